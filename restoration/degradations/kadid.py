"""The distortions of KADID-10k at the strengths of KADID-10k itself.

People rated these kinds at these levels, so what they said on average of each holds for other
photographs too. The strengths are those of the database's published code; the formulas are written
from its description. Denoised images come from non-local means in place of a network, at the
noise that leaves them the PSNR which a network reaches at the database's noise. What is counted
(patches, blocks) is counted for 512x384 pixels and scales with the area.

Source: Lin, Hosu, Saupe 2019, "KADID-10k: A Large-scale Artificially Distorted IQA Database".
"""

import cv2
import numpy as np
from PIL import Image as PillowImage
from scipy.interpolate import CubicSpline

from restoration.common.luma import LUMA
from restoration.degradations import distortion_structure as structure
from restoration.degradations import distortion_tone as tone
from restoration.degradations.distortions import DISTORTIONS, Distortion

Image = np.ndarray

AREA = 512 * 384  # pixels of an image of the database
PATCH, BLOCK, REACH = 16, 32, 8


def gaussian_blur(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Blur with a Gaussian of `sigma` pixels in a window of 2 * ceil(2 * sigma) + 1."""
    extent = int(np.ceil(2 * sigma))
    kernel = np.exp(-(np.arange(-extent, extent + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


def color_diffusion(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Blur the two Lab colour channels with 1.5 * amount + 2 pixels, and multiply by `amount`."""
    lab = tone.to_lab(image)
    lab[..., 1:] = amount * cv2.GaussianBlur(lab[..., 1:], (0, 0), 1.5 * amount + 2)
    return tone.from_lab(lab)


def color_shift(image: Image, shift: float, rng: np.random.Generator) -> Image:
    """Move green by `shift` pixels, down and to the right, where edges are strong."""
    gradient = np.hypot(*np.gradient(image @ np.array(LUMA)))
    weight = cv2.GaussianBlur(gradient, (0, 0), 4)
    low, high = np.percentile(weight, [1, 99])
    weight = ((weight - low) / max(high - low, 1e-9)).clip(0, 1)
    direction = rng.random(2)
    down, right = np.round(direction / np.hypot(*direction) * shift).astype(int)
    height, width = weight.shape
    moved = np.pad(image[..., 1], ((down, 0), (right, 0)), mode="edge")[:height, :width]
    shifted = image.copy()
    shifted[..., 1] = weight * moved + (1 - weight) * image[..., 1]
    return shifted


def color_quantization(image: Image, num_colors: float, rng: np.random.Generator) -> Image:
    """Keep `num_colors` colours, with dither."""
    picture = PillowImage.fromarray((image * 255).round().astype(np.uint8))
    palette = picture.quantize(round(num_colors), method=PillowImage.Quantize.MEDIANCUT)
    dither = PillowImage.Dither.FLOYDSTEINBERG
    return np.asarray(picture.quantize(palette=palette, dither=dither).convert("RGB")) / 255.0


def saturation_hsv(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Multiply the saturation of HSV by `factor`, below 0 towards the opposite hue."""
    value = image.max(axis=-1, keepdims=True)
    return value - (value - image) * factor


def white_noise_color(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add noise of `sigma` to Y, Cb and Cr of the studio range (16..235 of 255)."""
    luma, blue, red = np.moveaxis(rng.normal(0, sigma, image.shape), -1, 0)
    rgb = (1.164 * luma + 1.596 * red, 1.164 * luma - 0.392 * blue - 0.813 * red)
    return image + np.stack([*rgb, 1.164 * luma + 2.017 * blue], axis=-1)


def brighten(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Lift the middle tones of RGB and, half as much, of L."""

    def lifted(tones: Image) -> Image:
        return (tones + 2 * amount * tones * (1 - tones)).clip(0, 1)

    lab = tone.to_lab(image)
    lab[..., 0] = 100 * lifted(lab[..., 0].clip(0, 100) / 100)
    return (2 * lifted(image) + tone.from_lab(lab).clip(0, 1)) / 3


def darken(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Lower the middle tones of RGB."""
    return image - 2 * amount * image * (1 - image)


def mean_shift(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Add `amount` to all values."""
    return image + amount


def jitter(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Displace every pixel by a random vector of `amount` pixels, five times over."""
    for _ in range(5):
        image = structure.jitter(image, amount, rng)
    return image


def patch_displacement(image: Image, count: float, rng: np.random.Generator) -> Image:
    """Copy patches of 16 pixels to a place up to 8 pixels off."""
    height, width = image.shape[:2]
    result = image.copy()
    for _ in range(_count(count, image)):
        row = int(rng.integers(REACH, height - PATCH - REACH))
        column = int(rng.integers(REACH, width - PATCH - REACH))
        down, right = rng.integers(-REACH, REACH + 1, 2)
        patch = result[row : row + PATCH, column : column + PATCH].copy()
        row, column = row + down, column + right
        result[row : row + PATCH, column : column + PATCH] = patch
    return result


def _count(count: float, image: Image) -> int:
    return max(1, round(count * image.shape[0] * image.shape[1] / AREA))


def pixelate(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Shrink to 0.95 - amount^0.6 of the size and enlarge again, both by nearest neighbours."""
    height, width = image.shape[:2]
    scale = 0.95 - amount**0.6
    small = (max(1, int(width * scale)), max(1, int(height * scale)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_NEAREST)


def quantization(image: Image, num_levels: float, rng: np.random.Generator) -> Image:
    """Quantise all channels by common thresholds, half even and half by population of the luma."""
    steps = round(num_levels)
    luma = (image @ np.array(LUMA)).ravel()
    shares = np.linspace(0, 1, steps + 2)[1:-1]
    even = luma.min() + (luma.max() - luma.min()) * shares
    return np.digitize(image, 0.5 * (even + np.quantile(luma, shares))) / steps


def color_block(image: Image, count: float, rng: np.random.Generator) -> Image:
    """Paint squares of 32 pixels in random colours."""
    height, width = image.shape[:2]
    result = image.copy()
    for _ in range(_count(count, image)):
        row, column = int(rng.integers(height - BLOCK)), int(rng.integers(width - BLOCK))
        result[row : row + BLOCK, column : column + BLOCK] = rng.random(3)
    return result


def sharpen(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Add `amount` times the difference of L to its blur of 3 pixels."""
    lab = tone.to_lab(image)
    luma = lab[..., 0]
    lab[..., 0] = (luma + amount * (luma - cv2.GaussianBlur(luma, (13, 13), 3))).clip(0, 100)
    return tone.from_lab(lab)


def contrast_change(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Bend the tone curve: steeper in the middle above 0, flatter below."""
    curve = CubicSpline([0, 0.3, 0.5, 0.7, 1], [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1])
    return curve(image)


def _roots(*variances: float) -> tuple[float, ...]:
    return tuple(variance**0.5 for variance in variances)


_OWN = {
    "gaussian_blur": (gaussian_blur, (0.1, 0.5, 1.0, 2.0, 5.0)),
    "lens_blur": (structure.lens_blur, (1.0, 2.0, 4.0, 6.0, 8.0)),
    "motion_blur": (structure.motion_blur, (1.0, 2.0, 4.0, 6.0, 10.0)),
    "color_diffusion": (color_diffusion, (1.0, 3.0, 6.0, 8.0, 12.0)),
    "color_shift": (color_shift, (1.0, 3.0, 6.0, 8.0, 12.0)),
    "color_quantization": (color_quantization, (64.0, 48.0, 32.0, 16.0, 8.0)),
    "saturation_hsv": (saturation_hsv, (0.4, 0.2, 0.1, 0.0, -0.4)),
    "saturation_lab": (tone.saturation_lab, (1.0, 2.0, 3.0, 6.0, 9.0)),
    "jpeg2000": (structure.jpeg2000, (16.0, 32.0, 45.0, 120.0, 400.0)),
    "jpeg": (structure.jpeg, (43.0, 36.0, 24.0, 7.0, 4.0)),
    "white_noise": (structure.white_noise, _roots(0.001, 0.002, 0.003, 0.005, 0.01)),
    "white_noise_color": (white_noise_color, _roots(0.0001, 0.0005, 0.001, 0.002, 0.003)),
    "impulse_noise": (structure.impulse_noise, (0.001, 0.005, 0.01, 0.02, 0.03)),
    "multiplicative_noise": (
        structure.multiplicative_noise,
        _roots(0.001, 0.005, 0.01, 0.02, 0.05),
    ),
    "denoise": (structure.denoise, (0.04, 0.073, 0.105, 0.193, 0.243)),
    "brighten": (brighten, (0.1, 0.2, 0.4, 0.7, 1.1)),
    "darken": (darken, (0.05, 0.1, 0.2, 0.4, 0.8)),
    "mean_shift": (mean_shift, (0.15, 0.08, 0.0, -0.08, -0.15)),
    "jitter": (jitter, (0.05, 0.1, 0.2, 0.5, 1.0)),
    "patch_displacement": (patch_displacement, (20.0, 40.0, 60.0, 80.0, 100.0)),
    "pixelate": (pixelate, (0.01, 0.05, 0.1, 0.2, 0.5)),
    "quantization": (quantization, (20.0, 16.0, 13.0, 10.0, 7.0)),
    "color_block": (color_block, (2.0, 4.0, 6.0, 8.0, 10.0)),
    "sharpen": (sharpen, (1.0, 2.0, 3.0, 6.0, 12.0)),
    "contrast_change": (contrast_change, (0.3, 0.15, 0.0, -0.4, -0.6)),
}

RATED: dict[str, Distortion] = {
    name: Distortion(function, strengths, DISTORTIONS[name].family)  # type: ignore[arg-type]
    for name, (function, strengths) in _OWN.items()
}
# kinds whose third level is the best: these change nothing in the middle
BEST_IN_THE_MIDDLE = ("mean_shift", "contrast_change")
