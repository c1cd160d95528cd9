"""Where masks show an error: less in texture than in smooth areas, and as people would see it."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from losses import Loss
from losses.pixel import EnhancedLoss
from restoration.masks.visibility import visibility
from restoration.opinion.pairs import to_tensor

BLOCK = 32


@torch.no_grad()
def contrast_masking(term: EnhancedLoss, image: np.ndarray, sigma: float, seed: int = 0) -> float:
    """Mean mask in the most textured quarter of 32x32 blocks over that in the smoothest quarter.

    Args:
        term: an enhanced pixel metric.
        image: photograph, RGB (H, W, 3) uint8, with four blocks or more.
        sigma: of the Gaussian noise that is to be seen, of 255.
        seed: of the noise.

    Returns:
        A ratio, 1 for an even mask; smaller the more texture hides.

    Raises:
        ValueError: an image of fewer than four blocks.
    """
    reference, distorted = _with_noise(image, sigma, seed)
    return _textured_over_smooth(term.mask(distorted, reference), reference)


def contrast_masking_of_vision(image: np.ndarray, sigma: float, seed: int = 0) -> float:
    """The same ratio for ColorVideoVDP: visible difference of a block, divided by its error.

    Args:
        image: photograph, RGB (H, W, 3) uint8, with four blocks or more.
        sigma: of the Gaussian noise that is to be seen, of 255.
        seed: of the noise.

    Raises:
        ValueError: an image of fewer than four blocks, or cvvdp is not installed.
    """
    reference, distorted = _with_noise(image, sigma, seed)
    pixels = (distorted[0].permute(1, 2, 0) * 255).round().byte().numpy()
    height, width = pixels.shape[:2]
    seen = torch.from_numpy(visibility(np.ascontiguousarray(image[:height, :width]), pixels))
    error = (distorted - reference).abs().mean(1, keepdim=True)
    return _textured_over_smooth(
        F.avg_pool2d(seen[None, None], BLOCK) / F.avg_pool2d(error, BLOCK), reference
    )


def _with_noise(image: np.ndarray, sigma: float, seed: int) -> tuple[Tensor, Tensor]:
    """Whole blocks of a photograph, (1, 3, H, W), without and with noise."""
    rows, columns = (side // BLOCK for side in image.shape[:2])
    if rows * columns < 4:
        raise ValueError(f"expected 4 blocks of {BLOCK}x{BLOCK} or more, got {image.shape}")
    reference = to_tensor([image[: rows * BLOCK, : columns * BLOCK]])
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(seed))
    return reference, (reference + noise * sigma / 255).clamp(0, 1)


def _textured_over_smooth(values: Tensor, reference: Tensor) -> float:
    """Mean of a map in the quarter of blocks with most contrast over that in the smoothest."""
    rows, columns = (side // BLOCK for side in reference.shape[-2:])
    blocks = F.adaptive_avg_pool2d(values, (rows, columns))
    ordered = blocks.flatten()[_contrast(reference).argsort()]
    quarter = len(ordered) // 4
    return float(ordered[-quarter:].mean() / ordered[:quarter].mean())


def _contrast(image: Tensor) -> Tensor:
    """Variance of the grey value in every block, (1, 3, H, W) -> (blocks,)."""
    grey = image.mean(1, keepdim=True)
    squares = F.avg_pool2d(grey.square(), BLOCK)
    return (squares - F.avg_pool2d(grey, BLOCK).square()).flatten()


@torch.no_grad()
def block_agreement(
    term: Loss, reference: np.ndarray, distorted: np.ndarray, visible: np.ndarray
) -> float:
    """Spearman of a metric's errors in 32x32 blocks with what is seen in them.

    Args:
        term: a pixel metric, plain or enhanced.
        reference: photograph, RGB (H, W, 3) uint8, sides multiples of 32.
        distorted: RGB (H, W, 3) uint8.
        visible: (H / 32, W / 32) mean of what a model of vision says of each block.

    Returns:
        From -1 to 1, higher is better.
    """
    ((error, _),) = term.error_map(to_tensor([distorted]), to_tensor([reference]))
    blocks = F.adaptive_avg_pool2d(error, visible.shape)
    return float(spearmanr(blocks.flatten().numpy(), visible.ravel())[0])
