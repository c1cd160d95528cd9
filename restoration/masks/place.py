"""Where an error shows: what the masked error of each 8x8 block is asked to follow.

"dissimilarity" compares gradients, chroma and luminance; it also says how much is seen, and fades
out, so that the scores have the last word. "masking" says how the same error is seen in different
places of one image, less where the reference has contrast of its own, and stays. So does "cvvdp",
with the maps of a calibrated model of vision (see `visibility`).

`slope_distance` asks for no map: what is left of an error shall fall as the reference's contrast
rises, and the rest of the mask is free.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restoration.common.luma import LUMA
from restoration.opinion.masking import block_error, threshold, visible_error

FLOOR = 1e-2  # dissimilarity of a block below which nobody sees a difference
GRADIENT_FLOOR, CHROMA_FLOOR, LUMINANCE_FLOOR = 0.0026, 0.00846, 0.0001  # for a range of 1
OPPONENT = (LUMA, (0.3, 0.04, -0.35), (0.34, -0.6, 0.17))  # luma, MDSI's chromas
SEEN = 0.1  # share of an image's mean error from which on a block counts
SMALLEST = 1e-8
SQUARED = ("e-mse", "e-psnr")  # metrics whose error grows with the square of the difference


def dissimilarity(reference: Tensor, distorted: Tensor) -> Tensor:
    """1 - similarity of gradients, chroma and luminance at half the size, place by place.

    Args:
        reference: (B, 3, H, W) in [0, 1].
        distorted: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H / 2, W / 2) in [0, 1], 0 where the images are equal.

    Source: the gradient magnitudes of GMSD (Xue et al. 2014, arXiv:1308.3052), the chromaticity of
    MDSI (Nafchi et al. 2016, arXiv:1608.07433), the luminance term of SSIM.
    """
    mix = reference.new_tensor(OPPONENT)[:, :, None, None]  # (3, 3, 1, 1): luma and two chromas
    across = reference.new_tensor([[1, 0, -1]] * 3).view(1, 1, 3, 3) / 3
    kernels = torch.cat([across, across.transpose(2, 3)])  # (2, 1, 3, 3)

    def parts(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        opponent = F.conv2d(F.avg_pool2d(image, 2), mix)
        padded = F.pad(opponent[:, :1], (1, 1, 1, 1), mode="replicate")
        gradient = F.conv2d(padded, kernels).square().sum(1, keepdim=True).sqrt()
        return gradient, opponent[:, 1:], F.avg_pool2d(padded, 3, stride=1)

    def similarity(x: Tensor, y: Tensor, floor: float) -> Tensor:
        both, each = (x * y).sum(1, keepdim=True), (x.square() + y.square()).sum(1, keepdim=True)
        return (2 * both + floor) / (each + floor)

    floors = (GRADIENT_FLOOR, CHROMA_FLOOR, LUMINANCE_FLOOR)
    pairs = zip(parts(reference), parts(distorted), floors, strict=True)
    gradient, chroma, luminance = (similarity(*pair) for pair in pairs)
    return 1 - gradient * chroma.clamp_min(0) * luminance


@dataclass(frozen=True)
class Place:
    """What tells where an error shows: a map of a pair, and whether its term fades out.

    Without a function the table of ratings has the map.
    """

    map_of: Callable[[Tensor, Tensor], Tensor] | None
    fades: bool


PLACES = {
    "dissimilarity": Place(dissimilarity, fades=True),
    "masking": Place(visible_error, fades=False),
    "cvvdp": Place(None, fades=False),
}


def place_target(
    place: str,
    reference: Tensor,
    distorted: Tensor,
    size: tuple[int, int],
    visible: Tensor | None = None,
) -> Tensor:
    """What the blocks' errors are to follow, (B, 1, *size).

    Args:
        place: a key of PLACES.
        reference: (B, 3, H, W) in [0, 1].
        distorted: (B, 3, H, W) in [0, 1].
        size: rows and columns of blocks.
        visible: (B, 1, *size), what the table has; for "cvvdp".

    Raises:
        ValueError: there is no such map.
    """
    map_of = PLACES[place].map_of
    if map_of is not None:
        return F.adaptive_avg_pool2d(map_of(reference, distorted), size)
    if visible is None or visible.shape[-2:] != size:
        raise ValueError(f"expected a table with what is seen in {size} blocks for {place!r}")
    return visible


def block_distance(place: str, kind: str, errors: Tensor, target: Tensor) -> Tensor:
    """How far the errors of blocks, (B, 1, h, w), are from their target.

    Args:
        place: a key of PLACES.
        kind: of the enhanced metric.
        errors: not negative.
        target: of `place_target`.
    """
    if place == "dissimilarity":
        return F.smooth_l1_loss(torch.log(errors + FLOOR), torch.log(target + FLOOR))
    seen = _seen(target)
    gap = _relative(errors, seen) - _power(kind) * _relative(target, seen)
    return (seen * F.smooth_l1_loss(gap, torch.zeros_like(gap), reduction="none")).mean()


def unmasked(reference: Tensor, distorted: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Error of blocks and what their contrast raises its threshold to, each (B, 1, *size).

    Args:
        reference: (B, 3, H, W) in [0, 1], H and W multiples of 8.
        distorted: (B, 3, H, W) in [0, 1].
        size: rows and columns of blocks.
    """
    maps = torch.cat([block_error(reference, distorted), threshold(reference)], 1)
    plain, contrast = F.adaptive_avg_pool2d(maps, size).split(1, dim=1)
    return plain, contrast


def slope_distance(kind: str, errors: Tensor, plain: Tensor, around: Tensor) -> Tensor:
    """How far the masked errors of blocks are from falling as the reference's contrast rises.

    On a scale of logarithms, over the contrast around a block, what a mask leaves of an error shall
    have the slope -1. The distance is half the mean square of what a line explains of the gap; all
    else that a mask does in an image is free.

    Args:
        kind: of the enhanced metric.
        errors: (B, 1, h, w), masked, not negative.
        plain: (B, 1, h, w), the errors without masks, of `unmasked`.
        around: (B, 1, h, w), the contrast, of `unmasked`.

    Source: contrast masking (Legge and Foley 1980).
    """
    seen = _seen(plain)
    contrast = _relative(around, seen) * seen
    gap = _relative(errors, seen) - _power(kind) * (_relative(plain, seen) - contrast)
    count = seen.sum((2, 3)).clamp_min(1)
    shared, own = ((contrast * map_).sum((2, 3)) / count for map_ in (gap, contrast))
    return (0.5 * shared.square() / (own + SMALLEST)).mean()


def _power(kind: str) -> int:
    return 2 if kind in SQUARED else 1


def _seen(map_: Tensor) -> Tensor:
    """Blocks that count, 1 or 0: those with an error."""
    return (map_ > SEEN * map_.mean((2, 3), keepdim=True)).float()


def _relative(map_: Tensor, seen: Tensor) -> Tensor:
    """Logarithm relative to its mean over the blocks of an image in which there is an error."""
    logarithm = torch.log(map_ + SMALLEST)
    count = seen.sum((2, 3), keepdim=True).clamp_min(1)
    return logarithm - (seen * logarithm).sum((2, 3), keepdim=True) / count
