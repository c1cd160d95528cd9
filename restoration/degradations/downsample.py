"""Loss of resolution at the same size: shrunk and enlarged again."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from restoration.degradations.base import Degradation, Numbers, Range


class Downsample(Degradation):
    """Shrink by bicubic interpolation with antialiasing, and enlarge to the size of before.

    Args:
        factor: how many times smaller, >= 1: a number, [low, high] or {"choice": [a, b, ...]}.

    Raises:
        ValueError: another form, or a number below 1.
    """

    label = "downsample factor"
    level = "factor"

    def __init__(self, factor: Numbers) -> None:
        self.factor = Range.of(factor, "factor", 1, 64)

    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """(factor,)."""
        return (self.factor.at(uniforms[0]),)

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Shrink and enlarge, (B, C, H, W); see `Degradation.apply`."""
        rows = [_resampled(i, f) for i, f in zip(clean, parameters[:, 0].tolist(), strict=True)]
        return torch.stack(rows)


def _resampled(image: Tensor, factor: float) -> Tensor:
    """(C, H, W) at the resolution of an image that is `factor` times smaller."""
    size = image.shape[-2:]
    smaller = [max(1, round(side / factor)) for side in size]
    if smaller == list(size):
        return image.clone()
    shrunk = F.interpolate(image[None], smaller, mode="bicubic", antialias=True)
    return F.interpolate(shrunk, tuple(size), mode="bicubic")[0]
