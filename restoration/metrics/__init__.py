"""Full-reference metrics: pure functions, one value per image, data range always an argument."""

from restoration.metrics.learned import EMae, Lpips, MetricUnavailable, as_rgb, error_strips
from restoration.metrics.ms_ssim import ms_ssim
from restoration.metrics.psnr_ssim import psnr, ssim
from restoration.metrics.quantize import to_uint8_range
from restoration.metrics.registry import METRICS, Metric, build_metrics, known_metrics

__all__ = [
    "METRICS",
    "EMae",
    "Lpips",
    "Metric",
    "MetricUnavailable",
    "as_rgb",
    "build_metrics",
    "error_strips",
    "known_metrics",
    "ms_ssim",
    "psnr",
    "ssim",
    "to_uint8_range",
]
