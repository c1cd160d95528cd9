"""Gaussian blur, the same in all directions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from restoration.degradations.base import Degradation, Numbers, Range

REACH = 3  # half of the window in standard deviations


class Blur(Degradation):
    """Gaussian blur; the border is mirrored.

    Args:
        sigma: standard deviation in pixels: a number, [low, high] or {"choice": [a, b, ...]};
            0 leaves an image as it is.

    Raises:
        ValueError: another form, or a negative number.
    """

    label = "blur sigma"
    level = "sigma"

    def __init__(self, sigma: Numbers) -> None:
        self.sigma = Range.of(sigma, "blur sigma", 0, 100)

    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """(sigma,), in pixels."""
        return (self.sigma.at(uniforms[0]),)

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Blur, (B, C, H, W); see `Degradation.apply`."""
        blurred = [_blurred(i, s) for i, s in zip(clean, parameters[:, 0].tolist(), strict=True)]
        return torch.stack(blurred)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """(C, H, W), rows and then columns."""
    if sigma == 0:
        return image.clone()
    for dim in (1, 2):
        reach = min(math.ceil(REACH * sigma), image.shape[dim] - 1)  # a mirror has no more
        places = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
        window = torch.exp(-(places**2) / (2 * sigma**2))
        shape = [1, 1, 1, 1]
        shape[dim + 1] = len(window)
        padding = [0, 0, reach, reach] if dim == 1 else [reach, reach, 0, 0]
        mirrored = F.pad(image[:, None], padding, "reflect")  # (C, 1, h, w)
        image = F.conv2d(mirrored, (window / window.sum()).view(shape))[:, 0]
    return image
