"""Pixel metrics enhanced by a visual mask: E-MAE, E-MSE, E-PSNR, E-SSIM (arXiv:2305.19858).

The mask is computed from the pair by a frozen network. By default no gradient flows through it:
a loss that can shrink its own mask learns to hide errors instead of removing them.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from losses import functional
from losses.masks import follow, load_masks


class EnhancedLoss(nn.Module):
    """What the enhanced pixel metrics share: a frozen pixel mask and a reduction.

    Args:
        weights: mask file, or a name of the weights manifest; None for the mask that ships for
            this metric (E-MSE and E-SSIM share that of E-MAE).
        order: how the pair is concatenated for the mask network; the authors' released pixel
            metrics use "reference_first".
        mask_gradient: whether gradients also flow through the mask to the prediction.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        FileNotFoundError: the mask file is missing.
        ValueError: the mask file is for something else; an unknown order or reduction.
    """

    higher_is_better = False
    shipped = "pixel_mask_e_mae"

    def __init__(
        self,
        weights: str | Path | None = None,
        order: str = "reference_first",
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__()
        self.masks = self.load(self.shipped if weights is None else weights, order)
        self.mask_gradient = mask_gradient
        self.reduction = functional.check_reduction(reduction)

    @staticmethod
    def load(weights: str | Path, order: str) -> nn.Module:
        """Load the frozen mask network of RGB pairs."""
        return load_masks(weights, (3,), order)

    def train(self, mode: bool = True) -> "EnhancedLoss":
        """Stay in evaluation mode: the mask is frozen."""
        return super().train(False)

    def mask(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Visual mask of the pair, (B, 3, H, W) x 2 -> (B, 1, H, W) in [0, 1], float32."""
        functional.check_pair(prediction, target, channels=3)
        prediction = functional.at_least_float32(prediction)
        target = target.detach().to(prediction.dtype)
        with (
            torch.autocast(prediction.device.type, enabled=False),
            torch.set_grad_enabled(self.mask_gradient and torch.is_grad_enabled()),
        ):
            return follow(self.masks, prediction).mask(0, target, prediction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare a batch with its target.

        Args:
            prediction: distorted or restored images, (B, 3, H, W), RGB in [0, 1].
            target: reference images, (B, 3, H, W), RGB in [0, 1].

        Returns:
            A scalar, or (B,) with reduction "none".
        """
        functional.check_pair(prediction, target, channels=3)
        with torch.autocast(prediction.device.type, enabled=False):
            prediction = functional.at_least_float32(prediction)
            target = target.detach().to(prediction.dtype)
            value = self.compare(self.mask(prediction, target), prediction, target)
        return functional.reduce(value, self.reduction)

    def compare(self, mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Masked comparison of (B, 3, H, W) pairs -> (B,); what a subclass defines."""
        raise NotImplementedError


class EnhancedMAE(EnhancedLoss):
    """E-MAE: mean(M * |x - y|), in [0, 1], lower is better; exactly 0 for identical images."""

    def compare(self, mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Mean masked absolute error per image."""
        return functional.masked_mean((x - y).abs(), mask)


class EnhancedMSE(EnhancedLoss):
    """E-MSE: mean(M * (x - y)^2), in [0, 1], lower is better; exactly 0 for identical images."""

    def compare(self, mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Mean masked squared error per image."""
        return functional.masked_mean((x - y).square(), mask)


class EnhancedPSNR(EnhancedLoss):
    """E-PSNR: PSNR of the two masked images in dB, higher is better, at most 120."""

    higher_is_better = True
    shipped = "pixel_mask_e_psnr"

    def compare(self, mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """PSNR of M * x against M * y per image."""
        return functional.psnr(mask * x, mask * y)


class EnhancedSSIM(EnhancedLoss):
    """E-SSIM: mean of 1 - SSIM of the two masked images, lower is better.

    As in the authors' release, the floor in the standard deviations leaves identical images a
    value above 0 (at most 0.0218, in flat regions).
    """

    shipped = "pixel_mask_e_ssim"

    def compare(self, mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Mean dissimilarity of M * x and M * y per image."""
        return (1 - functional.ssim_map_same(mask * x, mask * y)).mean((1, 2, 3))
