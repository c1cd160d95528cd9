"""Perceptual distances on the features of a frozen backbone, with or without visual masks.

VGG and E-VGG are one class: a mask bank turns the plain distance into the enhanced one of
arXiv:2305.19858. Unlike the authors' release, gradients reach the prediction, batches of any size
work, and every image gets its own value.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from losses import functional
from losses.backbones import Backbone, build_backbone, check_backbone
from losses.masks import MaskBank, load_masks
from losses.weights import resolve

SHIPPED_MASKS = {"embedded": "masks_e_vgg_embedded", "vgg16": "E_VGG"}
MASK_ORDERS = {"E_VGG": "distorted_first"}  # the authors' E-VGG script swaps the pair


class FeatureLoss(nn.Module):
    """Mean absolute feature difference over all taps and channels, weighted by visual masks.

    value = sum over taps k and channels of mean_hw(M_k * |f_k(x) - f_k(y)|) / (sum of channels).

    Args:
        backbone: frozen feature extractor.
        masks: one mask per tap, or None for the plain distance.
        mask_gradient: whether gradients also flow through the masks to the prediction. Off, a
            loss cannot lower itself by making its masks shrink.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: masks for other taps than the backbone's.

    Source: arXiv:2305.19858.
    """

    higher_is_better = False

    def __init__(
        self,
        backbone: Backbone,
        masks: MaskBank | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__()
        if masks is not None and masks.channels != backbone.channels:
            raise ValueError(
                f"expected masks for taps with {backbone.channels} channels, got {masks.channels}"
            )
        self.backbone = backbone
        self.masks = masks
        self.mask_gradient = mask_gradient
        self.reduction = functional.check_reduction(reduction)

    def train(self, mode: bool = True) -> "FeatureLoss":
        """Stay in evaluation mode: backbone and masks are frozen."""
        return super().train(False)

    def _tap_masks(self, target: list[Tensor], prediction: list[Tensor]) -> list[Tensor | None]:
        if self.masks is None:
            return [None] * len(target)
        with torch.set_grad_enabled(self.mask_gradient and torch.is_grad_enabled()):
            return self.masks(target, prediction)

    def features(self, prediction: Tensor, target: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features of both images; those of the target carry no gradient graph."""
        with torch.no_grad():
            of_target = self.backbone(target)
        return self.backbone(prediction), of_target

    def _compared(
        self, prediction: Tensor, target: Tensor
    ) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """Features of both images and the mask of every tap, at least in float32."""
        functional.check_pair(prediction, target, channels=3)
        with torch.autocast(prediction.device.type, enabled=False):
            prediction = functional.at_least_float32(prediction)
            self.to(prediction)
            of_prediction, of_target = self.features(prediction, target.to(prediction.dtype))
            masks = self._tap_masks(of_target, of_prediction)
        return list(zip(of_prediction, of_target, masks, strict=True))

    def maps(self, prediction: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Per tap, the channel-mean absolute difference (B, 1, h, w) and the mask, for pictures."""
        return [
            ((p - t).abs().mean(1, keepdim=True), mask)
            for p, t, mask in self._compared(prediction, target)
        ]

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare a batch with its target.

        Args:
            prediction: distorted or restored images, (B, 3, H, W), RGB in [0, 1].
            target: reference images, (B, 3, H, W), RGB in [0, 1].

        Returns:
            A scalar, or (B,) with reduction "none"; not negative, lower is better, exactly 0 for
            identical images.
        """
        value = sum(
            p.shape[1] * functional.masked_mean((p - t).abs(), mask)
            for p, t, mask in self._compared(prediction, target)
        )
        return functional.reduce(value / sum(self.backbone.channels), self.reduction)


class VGG(FeatureLoss):
    """Plain perceptual distance on the taps of a backbone.

    Args:
        backbone: "vgg16", "vgg19" or "embedded".
        taps: which ReLUs to compare; None for all that the weights hold.
        weights: local file of the backbone; None for the published weights.
        pooling: "avg" or "max"; None for the backbone's custom.
        normalize: ImageNet normalisation of the input; None for the custom.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self,
        backbone: str = "vgg16",
        taps: Sequence[str] | None = None,
        weights: str | Path | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        reduction: str = "mean",
    ):
        super().__init__(
            build_backbone(backbone, taps, weights, pooling, normalize), reduction=reduction
        )


class EVGG(FeatureLoss):
    """E-VGG: the plain distance, counted only where the masks say that an error is visible.

    Args:
        backbone: "vgg16", "vgg19" or "embedded".
        taps: which ReLUs to compare; None for all that the weights hold.
        weights: local file of the backbone; None for the published weights.
        masks: mask file or a name of the weights manifest; None for the masks that ship for the
            embedded backbone, or the authors' E_VGG for vgg16 (your own copy, or fetched).
        order: how the pair is concatenated for the masks; None for the custom of the file
            ("distorted_first" for the authors' E_VGG, else "reference_first").
        pooling: "avg" or "max"; None for the backbone's custom.
        normalize: ImageNet normalisation of the input; None for the custom.
        mask_gradient: whether gradients also flow through the masks.
        reduction: "mean", "sum" or "none".

    Raises:
        FileNotFoundError: weights or masks are not on this machine.
        ValueError: masks for another backbone or other taps.
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
    ):
        check_backbone(backbone)
        if masks is None:
            if backbone not in SHIPPED_MASKS:
                raise ValueError(f"no masks are known for {backbone}: give `masks: FILE`")
            masks = SHIPPED_MASKS[backbone]
        masks = resolve(masks)  # before the backbone, which may be a long download
        if order is None:
            order = MASK_ORDERS.get(masks.stem, "reference_first")
        body = build_backbone(backbone, taps, weights, pooling, normalize)
        super().__init__(body, load_masks(masks, body.channels, order), mask_gradient, reduction)
