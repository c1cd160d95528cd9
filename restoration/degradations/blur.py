"""Gaussian blur, the same in all directions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from restoration.degradations.base import Degradation, Numbers, Range
from restoration.degradations.separable import along, gaussian_window


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
        window = gaussian_window(image, sigma, image.shape[dim] - 1)  # a mirror has no more
        image = along(image, dim, window / window.sum(), "reflect")
    return image
