"""Pixel losses as modules: each stores settings and calls one pure function.

The target is a constant in every term: gradients reach the prediction only.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from losses import functional


class PixelLoss(nn.Module):
    """What the pixel losses share: checks, float32 under autocast, and a reduction.

    Args:
        reduction: "mean", "sum" or "none" over the batch.
    """

    higher_is_better = False
    channels: int | None = None  # the channels that a loss needs; None for any
    function: Callable[..., Tensor]

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = functional.check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (B, C, H, W) images in [0, 1]; a scalar, or (B,) with reduction "none"."""
        functional.check_pair(prediction, target, self.channels)
        with torch.autocast(prediction.device.type, enabled=False):
            prediction = functional.at_least_float32(prediction)
            value = self.per_image(prediction, target.detach().to(prediction.dtype))
        return functional.reduce(value, self.reduction)

    def per_image(self, x: Tensor, y: Tensor) -> Tensor:
        """Return one value per image; subclasses name the function."""
        return type(self).function(x, y)


class MAE(PixelLoss):
    """Mean absolute error, lower is better."""

    function = staticmethod(functional.mae)


class MSE(PixelLoss):
    """Mean squared error, lower is better."""

    function = staticmethod(functional.mse)


class PSNR(PixelLoss):
    """PSNR in dB for a data range of 1; higher is better, so a criterion subtracts it."""

    higher_is_better = True
    function = staticmethod(functional.psnr)


class SSIM(PixelLoss):
    """Structural dissimilarity, 1 - SSIM in [0, 2], lower is better."""

    def per_image(self, x: Tensor, y: Tensor) -> Tensor:
        """1 - SSIM per image."""
        return 1 - functional.ssim(x, y)


class Charbonnier(PixelLoss):
    """Charbonnier distance, lower is better.

    Args:
        eps: distance below which it acts like a squared error, > 0.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: eps is not positive: the gradient at equal pixels would not be finite.
    """

    def __init__(self, eps: float = 1e-3, reduction: str = "mean"):
        super().__init__(reduction)
        if not eps > 0:
            raise ValueError(f"expected eps > 0, got {eps}")
        self.eps = eps

    def per_image(self, x: Tensor, y: Tensor) -> Tensor:
        """Charbonnier distance per image."""
        return functional.charbonnier(x, y, self.eps)
