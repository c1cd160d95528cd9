"""Gaussian noise: for training on the device, and for tests as in Restormer's test scripts.

Noise is neither clipped nor rounded. Training noise is made per sample from the seed of the
sample, so it does not depend on the batch or the rank (kinds of devices do differ in theirs).
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.base import Degradation, Numbers, Range

MOST_KEPT = 2**23  # numbers of 8 bytes: the noise of 2.8 megapixels
BLOCK_ROWS = 256


class Gaussian(Degradation):
    """Additive white Gaussian noise, independent in every pixel and channel.

    Args:
        sigma: standard deviation in 0..255 units: a number, [low, high] (blind) or
            {"choice": [a, b, ...]}.

    Raises:
        ValueError: another form, or a negative number.
    """

    label = "gaussian"
    level = "sigma"

    def __init__(self, sigma: Numbers) -> None:
        self.sigma = Range.of(sigma, "sigma")

    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """(sigma,), in 0..255 units."""
        return (self.sigma.at(uniforms[0]),)

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Add noise, (B, C, H, W); see `Degradation.apply`."""
        return clean + unit_noise(clean, seeds) * (parameters[:, 0] / 255).view(-1, 1, 1, 1)

    def spoil(self, image: np.ndarray, parameters: Sequence[float]) -> np.ndarray:
        """Add the test noise of `evaluation_noise`, (H, W, C)."""
        return evaluation_noise(image, parameters[0])


def unit_noise(like: Tensor, seeds: Sequence[int]) -> Tensor:
    """Normal noise of deviation 1, (B, C, H, W), each sample from its own seed."""
    generator = torch.Generator(like.device)
    noise = torch.empty_like(like)
    for row, seed in zip(noise, seeds, strict=True):
        row.normal_(generator=generator.manual_seed(seed))
    return noise


def evaluation_noise(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """Add the test noise of Restormer's protocol: a fresh seed before each image.

    The numbers are those of `np.random.seed(seed)` followed by
    `np.random.normal(0, sigma / 255, image.shape)`, without touching the global generator. They
    depend on the shape of the image only, so one image size has one noise pattern.

    Args:
        image: (H, W, C) float32 in [0, 1].
        sigma: standard deviation in 0..255 units.
        seed: seed of the image.

    Returns:
        Noisy image, (H, W, C) float32, neither clipped nor rounded.

    Raises:
        ValueError: the image is not (H, W, C) float32, or sigma is negative.
    """
    if image.ndim != 3 or image.dtype != np.float32:
        raise ValueError(f"expected (H, W, C) float32, got {image.shape} {image.dtype}")
    if sigma < 0:
        raise ValueError(f"expected sigma >= 0, got {sigma}")
    noisy = np.empty_like(image)
    for rows, noise in _blocks_of_noise(image.shape, seed):
        noisy[rows] = image[rows] + noise * (sigma / 255)  # computed in float64
    return noisy


def _blocks_of_noise(shape: tuple[int, ...], seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of an image, and noise of deviation 1 for them; that of large images is not kept."""
    if math.prod(shape) <= MOST_KEPT:
        yield slice(None), _numpy_noise(shape, seed)
        return
    state = np.random.RandomState(seed)
    for top in range(0, shape[0], BLOCK_ROWS):
        rows = slice(top, min(top + BLOCK_ROWS, shape[0]))
        yield rows, state.standard_normal((rows.stop - top, *shape[1:]))


@lru_cache(maxsize=2)
def _numpy_noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Noise of deviation 1, which NumPy's `normal(0, scale)` multiplies by the scale; read-only.

    Kept from one noise level to the next, and for both orientations of a set's images.
    """
    noise = np.random.RandomState(seed).standard_normal(shape)
    noise.setflags(write=False)
    return noise
