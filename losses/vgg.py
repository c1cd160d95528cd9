"""Perceptual distances on the features of a frozen backbone, with or without visual masks.

VGG and E-VGG are one class: a mask bank turns the plain distance into the enhanced one of
arXiv:2305.19858. Unlike the authors' release, gradients reach the prediction, batches of any size
work, and every image gets its own value.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from losses import functional
from losses.base import Loss
from losses.features.backbones import build_backbone, check_backbone
from losses.masks import load_masks
from losses.weights import resolve

SHIPPED_MASKS = {
    "embedded": "masks_e_vgg_embedded",
    "vgg16": "masks_e_vgg_vgg16",
    "vgg19": "masks_e_vgg_vgg19",
}
MASKED_TAPS = {"vgg19": ("relu1_2", "relu2_2", "relu3_4")}  # where the masks know fewer than all
MASK_ORDERS = {"E_VGG": "distorted_first"}  # the authors' E-VGG script swaps the pair


class FeatureLoss(Loss):
    """Mean absolute feature difference over all taps and channels, weighted by visual masks.

    value = sum over taps k and channels of mean_hw(M_k * |f_k(x) - f_k(y)|) / (sum of channels).
    Not negative, lower is better, exactly 0 for identical images. Arguments: see Loss.

    Source: arXiv:2305.19858.
    """

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """Mean over channels of the absolute difference, (B, C_k, H_k, W_k) -> (B, 1, H_k, W_k)."""
        return functional.mean_over_channels(functional.absolute_error(x, y))

    @property
    def shares(self) -> tuple[float, ...]:
        """Each tap's share of the channels."""
        assert self.backbone is not None
        channels = self.backbone.channels
        return tuple(count / sum(channels) for count in channels)


class VGG(FeatureLoss):
    """Plain perceptual distance on the taps of a backbone.

    Args:
        backbone: "vgg16", "vgg19", "alexnet" or "embedded".
        taps: which ReLUs to compare; None for all that the weights hold.
        weights: local file of the backbone; None for the published weights.
        pooling: "avg" or "max"; None for the backbone's default.
        normalize: ImageNet normalisation of the input; None for the default.
        reduction: "mean", "sum" or "none".
        precision: of the backbone, "float32" or "bf16"; the distance is float32 either way.
        compile: run the backbone through `torch.compile`: a wait, then somewhat faster steps.
    """

    def __init__(
        self,
        backbone: str = "vgg16",
        taps: Sequence[str] | None = None,
        weights: str | Path | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        reduction: str = "mean",
        precision: str = "float32",
        compile: bool = False,
    ):
        body = build_backbone(backbone, taps, weights, pooling, normalize, precision, compile)
        super().__init__(body, reduction=reduction)


class EVGG(FeatureLoss):
    """E-VGG: the plain distance, counted only where the masks say that an error is visible.

    Args:
        backbone: "vgg16", "vgg19", "alexnet" or "embedded".
        taps: which ReLUs to compare; None for those that the default masks know, or with masks of
            your own for all that the weights hold.
        weights: local file of the backbone; None for the published weights.
        masks: mask file or a name of the weights manifest, such as the authors' "E_VGG" for vgg16
            (your own copy, or fetched); None for the masks that ship: for the embedded backbone,
            the five taps of vgg16 and three of vgg19 (relu1_2, relu2_2, relu3_4).
        order: how the pair is concatenated for the masks; None for the default of the file
            ("distorted_first" for the authors' E_VGG, else "reference_first").
        pooling: "avg" or "max"; None for the backbone's default.
        normalize: ImageNet normalisation of the input; None for the default.
        mask_gradient: whether gradients also flow through the masks.
        reduction: "mean", "sum" or "none".
        precision: of the backbone, "float32" or "bf16"; masks and distance are float32 either
            way, but what they read has been rounded by bf16.
        compile: run the backbone through `torch.compile`: a wait, then somewhat faster steps.

    Raises:
        FileNotFoundError: weights or masks are not on this machine.
        ValueError: masks for another backbone or other taps, or an unknown precision.
    """

    def __init__(
        self,
        backbone: str = "vgg16",
        taps: Sequence[str] | None = None,
        weights: str | Path | None = None,
        masks: str | Path | None = None,
        order: str | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
        precision: str = "float32",
        compile: bool = False,
    ):
        check_backbone(backbone)
        if masks is None and backbone not in SHIPPED_MASKS:
            raise ValueError(f"expected `masks: FILE` for {backbone}, of which none are known")
        if masks is None:
            masks, taps = SHIPPED_MASKS[backbone], taps or MASKED_TAPS.get(backbone)
        masks = resolve(masks)  # before the backbone, which may be a long download
        if order is None:
            order = MASK_ORDERS.get(masks.stem, "reference_first")
        body = build_backbone(backbone, taps, weights, pooling, normalize, precision, compile)
        super().__init__(body, load_masks(masks, body.channels, order), mask_gradient, reduction)
