"""Loss terms and perceptual distances for image restoration, with visual masks (E-VGG).

Every term is called as `term(prediction, target)` on (B, 3, H, W) RGB images in [0, 1].
"""

from losses.base import FeatureDistance
from losses.criterion import TERMS, Criterion, build, build_term
from losses.dists import DISTS, EDISTS
from losses.elpips import ELPIPS
from losses.enhanced import EnhancedMAE, EnhancedMSE, EnhancedPSNR, EnhancedSSIM
from losses.features.backbones import Backbone, build_backbone
from losses.flip import FLIP, EnhancedFLIP
from losses.lpips import LPIPS
from losses.masks import MaskBank, MaskNet, ScalerNetwork, load_masks, load_scaler
from losses.milo import MILO
from losses.pixel import MAE, MSE, PSNR, SSIM, Charbonnier
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
    "Criterion",
    "EnhancedFLIP",
    "EnhancedMAE",
    "EnhancedMSE",
    "EnhancedPSNR",
    "EnhancedSSIM",
    "FeatureDistance",
    "FeatureLoss",
    "MaskBank",
    "MaskNet",
    "ScalerNetwork",
    "build",
    "build_backbone",
    "build_term",
    "load_masks",
    "load_scaler",
]
