"""Loss terms and perceptual distances for image restoration, with visual masks (E-VGG).

Every term is called as `term(prediction, target)` on (B, 3, H, W) RGB images in [0, 1].
"""

import warnings

from losses.base import Loss
from losses.criterion import TERMS, Criterion, build, build_term, register_loss
from losses.dists import DISTS, EDISTS
from losses.features.backbones import Backbone, build_backbone
from losses.flip import FLIP, EnhancedFLIP
from losses.lpips import ELPIPS, LPIPS
from losses.masks import (
    CompactMaskNet,
    ContextMaskNet,
    MaskBank,
    MaskNet,
    ScalerNetwork,
    load_masks,
    load_scaler,
)
from losses.milo import MILO
from losses.pixel import (
    MAE,
    MSE,
    PSNR,
    SSIM,
    Charbonnier,
    EnhancedMAE,
    EnhancedMSE,
    EnhancedPSNR,
    EnhancedSSIM,
)
from losses.shares import gradient_norms
from losses.vgg import EVGG, VGG, FeatureLoss

__all__ = [
    "DISTS",
    "EDISTS",
    "ELPIPS",
    "EVGG",
    "FLIP",
    "LPIPS",
    "MAE",
    "MILO",
    "MSE",
    "PSNR",
    "SSIM",
    "TERMS",
    "VGG",
    "Backbone",
    "Charbonnier",
    "CompactMaskNet",
    "ContextMaskNet",
    "Criterion",
    "EnhancedFLIP",
    "EnhancedMAE",
    "EnhancedMSE",
    "EnhancedPSNR",
    "EnhancedSSIM",
    "FeatureLoss",
    "Loss",
    "MaskBank",
    "MaskNet",
    "ScalerNetwork",
    "build",
    "build_backbone",
    "build_term",
    "gradient_norms",
    "load_masks",
    "load_scaler",
    "register_loss",
]


def __getattr__(name: str) -> type[Loss]:
    """Former names of what is still there."""
    if name == "FeatureDistance":
        warnings.warn(
            "losses.FeatureDistance is called losses.Loss now", DeprecationWarning, stacklevel=2
        )
        return Loss
    raise AttributeError(f"module 'losses' has no attribute {name!r}")
