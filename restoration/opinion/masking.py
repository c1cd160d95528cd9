"""Contrast masking: how much of an error the reference's own contrast hides, by a power law.

Source: Legge and Foley 1980, "Contrast masking in human vision".
"""

import torch.nn.functional as F
from torch import Tensor

from restoration.common.luma import LUMA

BLOCK = 8
NO_CONTRAST, ELEVATION = 0.02, 0.6  # contrast that masks nothing; exponent of what masks
WINDOW = 16  # pixels whose contrast masks an error


def visible_error(reference: Tensor, distorted: Tensor, exponent: float = ELEVATION) -> Tensor:
    """Mean absolute error of 8x8 blocks, divided by what the reference's contrast hides.

    Contrast c raises the threshold of what is seen as c^exponent.

    Args:
        reference: (B, 3, H, W) in [0, 1], H and W multiples of 8.
        distorted: (B, 3, H, W) in [0, 1].
        exponent: 0 hides nothing.

    Returns:
        (B, 1, H / 8, W / 8), not negative.
    """
    return block_error(reference, distorted) / threshold(reference) ** exponent


def block_error(reference: Tensor, distorted: Tensor) -> Tensor:
    """Mean absolute error of 8x8 blocks, (B, 3, H, W) -> (B, 1, H / 8, W / 8)."""
    return F.avg_pool2d((reference - distorted).abs().mean(1, keepdim=True), BLOCK)


def threshold(reference: Tensor) -> Tensor:
    """Standard deviation of luma around every 8x8 block, and a little where there is none.

    Args:
        reference: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H / 8, W / 8), `NO_CONTRAST` or more.
    """
    mix = reference.new_tensor(LUMA).view(1, 3, 1, 1)
    edge = (WINDOW - BLOCK) // 2
    luma = F.pad(F.conv2d(reference, mix), (edge, edge, edge, edge), mode="reflect")
    mean = F.avg_pool2d(luma, WINDOW, BLOCK)
    variance = (F.avg_pool2d(luma.square(), WINDOW, BLOCK) - mean.square()).clamp_min(0)
    return NO_CONTRAST + variance.sqrt()
