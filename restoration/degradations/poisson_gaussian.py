"""Poisson-Gaussian noise (Foi et al. 2008, doi:10.1109/TIP.2008.2001399): shot and read noise."""

from collections.abc import Sequence

import torch
from torch import Tensor

from restoration.degradations.base import Degradation, Numbers, Range, by_sample


class PoissonGaussian(Degradation):
    """Noise whose variance grows with the brightness, as a sensor's does, plus Gaussian noise.

    A pixel x in [0, 1] becomes a * Poisson(x / a) + N(0, sigma^2), neither clipped nor rounded;
    a = (shot / 255)^2, so that `shot` is the standard deviation of the shot noise at white.

    Args:
        shot: standard deviation of the shot noise at white, in 0..255 units: a number,
            [low, high] or {"choice": [a, b, ...]}.
        sigma: standard deviation of the Gaussian part, in the same units and forms.

    Raises:
        ValueError: another form, or a negative number.
    """

    label = "poisson-gaussian shot"
    level = "shot"

    def __init__(self, shot: Numbers = (0, 25), sigma: Numbers = (0, 25)) -> None:
        self.shot, self.sigma = Range.of(shot, "shot"), Range.of(sigma, "sigma")

    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """(shot, sigma), both in 0..255 units."""
        return self.shot.at(uniforms[0]), self.sigma.at(uniforms[1])

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Add noise, (B, C, H, W); see `Degradation.apply`."""

        def spoil(image: Tensor, number: int, generator: torch.Generator) -> Tensor:
            shot, sigma = (parameters[number] / 255).unbind()
            gain = shot.square().clamp_min(1e-12)  # below, a double count of photons overflows
            seen = torch.poisson(image.clamp_min(0) / gain, generator=generator) * gain
            noise = torch.empty_like(image).normal_(generator=generator)
            return torch.where(shot > 0, seen, image) + sigma * noise

        return by_sample(clean, seeds, spoil)
