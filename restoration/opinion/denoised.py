"""Outputs of denoisers as kinds of distortion: what is left of noise, and what is lost with it.

A photograph gets white noise and is denoised by a filter or a network. Filters are told a noise
level that is too low or too high, and half of a network's outputs are mixed with their inputs, as a
network leaves noise that was trained for too few steps. At high noise networks smear, and leave
blotches of colour.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from losses.naming import nearest
from restoration.archs import restore
from restoration.archs.denoisers import DENOISERS
from restoration.archs.protocol import image_channels
from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.degradations.distortion_structure import white_noise
from restoration.degradations.distortions import DENOISED, DENOISED_FAMILY, Distortion
from restoration.evaluate.baselines import NLM, non_local_means
from restoration.evaluate.ffdnet import FFDNET, ffdnet
from restoration.photo.model import load_denoiser

Told = Callable[[Tensor, float], Tensor]  # (1, 3, H, W) in [0, 1], sigma of 255 -> denoised

SIGMAS = (5 / 255, 15 / 255, 25 / 255, 40 / 255, 60 / 255)  # of the noise, at levels 1 to 5
TOLD = 0.6, 1.6  # the noise level that a filter is told, relative to the true one
UNFINISHED, MOST_LEFT = 0.5, 0.4  # share of a network's outputs that keep noise; how much at most


def gaussian(noisy: Tensor, sigma: float) -> Tensor:
    """Gaussian filter, wider the more noise there is."""
    return _filtered(noisy, lambda image: cv2.GaussianBlur(image, (0, 0), 0.4 + sigma / 30))


def bilateral(noisy: Tensor, sigma: float) -> Tensor:
    """Bilateral filter (Tomasi and Manduchi 1998), which keeps edges."""
    return _filtered(noisy, lambda image: cv2.bilateralFilter(image, 9, 3 * sigma / 255, 2.5))


def _filtered(noisy: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    image = np.ascontiguousarray(noisy[0].permute(1, 2, 0).numpy())
    return torch.from_numpy(function(image)).permute(2, 0, 1)[None]


FILTERS: dict[str, Told] = {
    "gaussian": gaussian,
    "bilateral": bilateral,
    NLM: non_local_means,
    FFDNET: lambda noisy, sigma: ffdnet(noisy, Condition(GAUSSIAN, sigma, sigma)),
}


def denoised_kinds(denoisers: Sequence[str]) -> dict[str, Distortion]:
    """Kinds of distortion by name, `denoised_by_...`, one for each denoiser.

    Args:
        denoisers: names of `FILTERS` or of networks that `restoration weights list` shows, or paths
            of checkpoints that say what their network is.

    Raises:
        FileNotFoundError: there is no such filter, network or checkpoint.
        ValueError: two of one name, or a network for grey images.
    """
    kinds = {
        DENOISED + Path(name).stem: Distortion(_kind(name), SIGMAS, DENOISED_FAMILY)
        for name in denoisers
    }
    if len(kinds) != len(denoisers):
        raise ValueError(f"expected denoisers of different names, got {', '.join(denoisers)}")
    return kinds


def _kind(denoiser: str) -> Callable[[np.ndarray, float, np.random.Generator], np.ndarray]:
    if denoiser in FILTERS:
        return partial(_by_filter, FILTERS[denoiser])
    if not Path(denoiser).expanduser().is_file() and denoiser not in DENOISERS:
        known = (*FILTERS, *DENOISERS)
        raise FileNotFoundError(
            f"expected a denoiser of {', '.join(FILTERS)}, a network that `restoration weights "
            f"list` shows, or a checkpoint, got {denoiser!r}{nearest(denoiser, known)}"
        )
    channels = image_channels(_network(denoiser))
    if channels != 3:
        raise ValueError(f"{denoiser}: expected a network for colour images, got one for grey ones")
    return partial(_by_network, denoiser)


def _by_filter(
    denoise: Told, image: np.ndarray, sigma: float, rng: np.random.Generator
) -> np.ndarray:
    noisy = _noisy(image, sigma, rng)
    told = 255 * sigma * np.exp(rng.uniform(*np.log(TOLD)))
    return _to_image(denoise(noisy, told))


def _by_network(
    denoiser: str, image: np.ndarray, sigma: float, rng: np.random.Generator
) -> np.ndarray:
    noisy = _noisy(image, sigma, rng)
    left = rng.uniform(0, MOST_LEFT) if rng.random() < UNFINISHED else 0.0
    restored = restore(_network(denoiser), noisy)
    return _to_image(left * noisy + (1 - left) * restored)


@cache
def _network(denoiser: str) -> nn.Module:
    return load_denoiser(denoiser)


def _noisy(image: np.ndarray, sigma: float, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(white_noise(image, sigma, rng)).permute(2, 0, 1)[None].float()


def _to_image(restored: Tensor) -> np.ndarray:
    return restored[0].permute(1, 2, 0).double().numpy()
