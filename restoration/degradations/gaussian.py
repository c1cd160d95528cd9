"""Gaussian noise: for training on the device, and for evaluation as in Restormer's test scripts.

Noise is neither clipped nor rounded. Training noise is made per sample from the seed of the
sample, so it does not depend on the batch or the rank (kinds of devices do differ in theirs).
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch


def corrupt(
    batch: Mapping[str, torch.Tensor], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn a batch of `DenoisingDataset` into network input and target.

    Noisy and clean images of both partners, each with its own noise, are mixed with the same
    weight: `lam * sample + (1 - lam) * partner`.

    Args:
        batch: collated samples; crops (B, 3, P, P) uint8, sigma (B,) in 0..255 units.
        device: where to compute.

    Returns:
        Noisy and clean images, (B, 3, P, P) float32; clean in [0, 1], noisy not clipped.

    Source:
        Mixup (Zhang et al. 2018, arXiv:1710.09412) as Restormer (arXiv:2111.09881) uses it.
    """
    clean = _to_unit(batch["crop"], device)
    noisy = _add_noise(clean, batch["sigma"], batch["noise_seed"])
    if "lam" not in batch:
        return noisy, clean
    rows = (batch["lam"] != 1).nonzero().flatten()  # on the CPU: the partners that count
    if rows.numel() == 0:
        return noisy, clean
    partner = _to_unit(batch["partner_crop"][rows], device)
    partner_noisy = _add_noise(
        partner, batch["partner_sigma"][rows], batch["partner_noise_seed"][rows]
    )
    lam = batch["lam"][rows].to(device).view(-1, 1, 1, 1)
    rows = rows.to(device)
    noisy[rows] = lam * noisy[rows] + (1 - lam) * partner_noisy
    clean[rows] = lam * clean[rows] + (1 - lam) * partner
    return noisy, clean


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
    noise = _unit_noise(image.shape, seed) * (sigma / 255)
    return (image + noise).astype(np.float32)


@lru_cache(maxsize=2)
def _unit_noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Noise of deviation 1, which NumPy's `normal(0, scale)` multiplies by the scale; read-only.

    Kept from one noise level to the next, and for both orientations of a set's pictures.
    """
    noise = np.random.RandomState(seed).standard_normal(shape)
    noise.setflags(write=False)
    return noise


def _to_unit(crops: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Uint8 to float32 in [0, 1], on the device."""
    if crops.dtype != torch.uint8:
        raise ValueError(f"expected uint8 crops, got {crops.dtype}")
    return crops.to(device, non_blocking=True).to(torch.float32) / 255


def _add_noise(clean: torch.Tensor, sigma: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Add to each image the noise of its own seed; sigma (B,) in 0..255 units."""
    generator = torch.Generator(clean.device)
    noise = torch.empty_like(clean)
    for row, seed in zip(noise, seeds.tolist(), strict=True):
        row.normal_(generator=generator.manual_seed(seed))
    return clean + noise * (sigma.to(clean.device) / 255).view(-1, 1, 1, 1)
