"""Distortions of colour, brightness and contrast, after the list of KADID-10k.

Source: Lin, Hosu, Saupe 2019, "KADID-10k: A Large-scale Artificially Distorted IQA Database",
written from the published list; the formulas are ours. Every function takes and returns an
RGB image (H, W, 3), float64 in [0, 1]; the result may leave that range (the caller clips).
The strength of each is one number; the table of five levels stands in `distortions.py`.
"""

import cv2
import numpy as np
from scipy import ndimage

Image = np.ndarray


def to_lab(image: Image) -> Image:
    """Convert RGB in [0, 1] to CIE Lab (L in 0..100)."""
    return cv2.cvtColor(image.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB).astype(np.float64)


def from_lab(lab: Image) -> Image:
    """Convert CIE Lab (L in 0..100) to RGB."""
    return cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB).astype(np.float64)


def color_diffusion(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Blur the two Lab colour channels with a Gaussian of `sigma` pixels; L stays."""
    lab = to_lab(image)
    for channel in (1, 2):
        lab[..., channel] = ndimage.gaussian_filter(lab[..., channel], sigma, mode="reflect")
    return from_lab(lab)


def color_shift(image: Image, shift: float, rng: np.random.Generator) -> Image:
    """Move the green channel by `shift` pixels in a random direction where edges are strong."""
    angle = rng.uniform(0, 2 * np.pi)
    offset = (shift * np.sin(angle), shift * np.cos(angle))
    green = image[..., 1]
    moved = ndimage.shift(green, offset, order=1, mode="reflect")
    gradient = np.hypot(ndimage.sobel(green, axis=0), ndimage.sobel(green, axis=1))
    weight = ndimage.gaussian_filter(gradient, 4.0, mode="reflect")
    weight = np.clip(weight / (0.5 * weight.max() + 1e-8), 0, 1)
    shifted = image.copy()
    shifted[..., 1] = weight * moved + (1 - weight) * green
    return shifted


def color_quantization(image: Image, num_colors: float, rng: np.random.Generator) -> Image:
    """Map every pixel to one of `num_colors` colours found by k-means, without dither."""
    colors = max(2, round(num_colors))
    pixels = image.reshape(-1, 3)  # (HW, 3)
    sample = pixels[rng.choice(len(pixels), min(len(pixels), 4096), replace=False)]
    order = np.argsort(sample.sum(axis=1))
    centers = sample[order[np.linspace(0, len(order) - 1, colors).round().astype(int)]]
    for _ in range(6):
        nearest = _nearest(sample, centers)
        for index in range(colors):
            members = sample[nearest == index]
            if len(members):
                centers[index] = members.mean(axis=0)
    return centers[_nearest(pixels, centers)].reshape(image.shape)


def _nearest(pixels: Image, centers: Image) -> np.ndarray:
    """Return the index of the nearest centre of every pixel; (N, 3), (K, 3) -> (N,)."""
    return (-2 * pixels @ centers.T + (centers**2).sum(axis=1)).argmin(axis=1)


def saturation_hsv(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Multiply the saturation of HSV by `factor` (1 leaves it, 0 is grey)."""
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = hsv[..., 1] * factor
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float64)


def saturation_lab(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Multiply the two colour channels of Lab by `factor` (> 1: more vivid)."""
    lab = to_lab(image)
    lab[..., 1:] *= factor
    return from_lab(lab)


def brighten(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Lift the tone curve of L: L^(1 / (1 + amount)), black and white stay."""
    lab = to_lab(image)
    lab[..., 0] = 100 * (lab[..., 0].clip(0, 100) / 100) ** (1 / (1 + amount))
    return from_lab(lab)


def darken(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Lower the tone curve of L: L^(1 + amount), black and white stay."""
    lab = to_lab(image)
    lab[..., 0] = 100 * (lab[..., 0].clip(0, 100) / 100) ** (1 + amount)
    return from_lab(lab)


def mean_shift(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Add `amount` to all pixels, up or down by the toss of the generator."""
    return image + amount * (1.0 if rng.random() < 0.5 else -1.0)


def quantization(image: Image, num_levels: float, rng: np.random.Generator) -> Image:
    """Quantise every channel to `num_levels` even steps."""
    steps = max(2, round(num_levels)) - 1
    return np.round(image * steps) / steps


def contrast_change(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Scale the distance to the image's mean by 1 - amount, or by 1 / (1 - amount).

    The toss of the generator decides the direction (three in four: less contrast).
    """
    factor = 1 - amount
    if rng.random() < 0.25:
        factor = 1 / factor
    mean = image.mean(axis=(0, 1), keepdims=True)
    return mean + factor * (image - mean)


def gamma(image: Image, exponent: float, rng: np.random.Generator) -> Image:
    """Apply image^exponent, or image^(1 / exponent), by the toss of the generator."""
    return image ** (exponent if rng.random() < 0.5 else 1 / exponent)
