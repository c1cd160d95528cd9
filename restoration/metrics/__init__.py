"""Full-reference metrics: pure functions, one value per image, data range always an argument."""

from restoration.metrics.against import Against
from restoration.metrics.learned import EMae, Lpips, MetricUnavailable, as_rgb
from restoration.metrics.ms_ssim import ms_ssim
from restoration.metrics.psnr_ssim import psnr, ssim
from restoration.metrics.quantize import to_uint8_range
from restoration.metrics.registry import (
    METRICS,
    Metric,
    build_metrics,
    known_metrics,
    register_metric,
)
from restoration.metrics.selection import Metrics, open_metrics
from restoration.metrics.table import Column

__all__ = [
    "METRICS",
    "Against",
    "Column",
    "EMae",
    "Lpips",
    "Metric",
    "MetricUnavailable",
    "Metrics",
    "as_rgb",
    "build_metrics",
    "known_metrics",
    "register_metric",
    "ms_ssim",
    "open_metrics",
    "psnr",
    "ssim",
    "to_uint8_range",
]
