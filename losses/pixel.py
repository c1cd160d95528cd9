"""Terms that compare pixels, plain and enhanced by a visual mask (arXiv:2305.19858).

E-MAE is MAE with a mask, and so for the others: the formula stands in the plain term. The mask is
computed from the pair by a frozen network. By default no gradient flows through it: a loss that can
shrink its own mask learns to hide errors instead of removing them.
"""

import warnings
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from losses import functional
from losses.base import Loss, Masking
from losses.masks import VisualMasks, load_masks

SAME_SIZE = functional.WINDOW // 2  # zeros around an image that keep SSIM's map at its size


class PixelLoss(Loss):
    """A plain term on pixels.

    Args:
        reduction: "mean", "sum" or "none" over the batch.
    """

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class MAE(PixelLoss):
    """Mean absolute error, lower is better, 0 for identical images."""

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """|d| of every value."""
        return functional.absolute_error(x, y)


class MSE(PixelLoss):
    """Mean squared error, lower is better, 0 for identical images."""

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """d^2 of every value."""
        return functional.squared_error(x, y)


class PSNR(PixelLoss):
    """PSNR in dB for a data range of 1; higher is better, so a criterion subtracts it.

    Its error map is the squared error; a mask multiplies both images.
    """

    higher_is_better = True
    unit = "dB"
    masking: Masking = "difference"

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """d^2 of every value."""
        return functional.squared_error(x, y)

    def finish(self, error: Tensor) -> Tensor:
        """Decibels of the mean squared errors."""
        return functional.decibels(error)


class SSIM(PixelLoss):
    """Structural dissimilarity, 1 - SSIM in [0, 2], lower is better, 0 for identical images.

    Args:
        reduction: "mean", "sum" or "none" over the batch.
        padding: zeros around the images: 0 for the valid region, which is the metric's default, 5
            for an error map of the images' size, as E-SSIM has it.
    """

    masking: Masking = "inputs"

    def __init__(self, reduction: str = "mean", padding: int = 0):
        super().__init__(reduction)
        if not 0 <= padding <= SAME_SIZE:
            raise ValueError(f"expected a padding from 0 to {SAME_SIZE}, got {padding}")
        self.padding = padding

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """1 - SSIM at every place."""
        return functional.dissimilarity(x, y, self.padding)


class Charbonnier(PixelLoss):
    """Charbonnier distance, the mean of sqrt(d^2 + eps^2), lower is better, eps if identical.

    The meaning of Restormer's CharbonnierLoss. BasicSR's adds eps itself, not its square.

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

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """sqrt(d^2 + eps^2) of every pixel."""
        return functional.charbonnier_error(x, y, self.eps)


class EnhancedLoss(Loss):
    """What the enhanced pixel terms share: a frozen mask of RGB pairs.

    Args:
        masks: mask file, or a name of the weights manifest; None for the mask that ships for
            this term.
        order: how the pair is concatenated for the mask network; the authors' released pixel
            metrics use "reference_first".
        mask_gradient: whether gradients also flow through the mask to the prediction.
        reduction: "mean", "sum" or "none" over the batch.
        weights: the former name of `masks`.

    Raises:
        FileNotFoundError: the mask file is missing.
        ValueError: the mask file is for something else; an unknown order or reduction.
    """

    shipped: ClassVar[str] = "pixel_mask_e_mae"

    def __init__(
        self,
        masks: str | Path | None = None,
        order: str = "reference_first",
        mask_gradient: bool = False,
        reduction: str = "mean",
        weights: str | Path | None = None,
    ):
        masks = renamed_masks(masks, weights, type(self).__name__)
        bank = self.load(self.shipped if masks is None else masks, order)
        Loss.__init__(self, None, bank, mask_gradient, reduction)

    @staticmethod
    def load(masks: str | Path, order: str) -> VisualMasks:
        """Load the frozen mask network of RGB pairs."""
        return load_masks(masks, (3,), order)

    def mask(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Visual mask of the pair, (B, 3, H, W) x 2 -> (B, 1, H, W), at least float32."""
        (mask,) = self.prepared(prediction, target)[2]
        assert mask is not None
        return mask


class EnhancedMAE(EnhancedLoss, MAE):
    """E-MAE: mean(M * |x - y|), in [0, 1], lower is better; exactly 0 for identical images."""


class EnhancedMSE(EnhancedLoss, MSE):
    """E-MSE: mean(M * (x - y)^2), in [0, 1], lower is better; exactly 0 for identical images."""

    shipped = "pixel_mask_e_mse"


class EnhancedPSNR(EnhancedLoss, PSNR):
    """E-PSNR: PSNR of M * x against M * y in dB, higher is better, at most 120."""

    shipped = "pixel_mask_e_psnr"


class EnhancedSSIM(EnhancedLoss, SSIM):
    """E-SSIM: mean of 1 - SSIM of M * x and M * y, in [0, 2], lower is better, 0 if identical.

    Zeros stand around the images. The authors write SSIM as luminance * contrast * structure with
    a floor inside the standard deviations; the floor cancels out.
    """

    shipped = "pixel_mask_e_ssim"
    padding = SAME_SIZE


def renamed_masks(
    masks: str | Path | None, weights: str | Path | None, term: str
) -> str | Path | None:
    """Take masks under their former name, `weights`, with a DeprecationWarning.

    Raises:
        ValueError: both names are used.
    """
    if weights is None:
        return masks
    if masks is not None:
        raise ValueError(f"{term}: expected `masks`, got `masks` and its former name `weights`")
    warnings.warn(
        f"{term}: the mask file is called `masks` now; `weights` is its former name",
        DeprecationWarning,
        stacklevel=3,
    )
    return weights
