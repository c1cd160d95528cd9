"""Distortions of structure: blur, noise, compression and spatial ones, after KADID-10k.

Source: Lin, Hosu, Saupe 2019, "KADID-10k: A Large-scale Artificially Distorted IQA Database",
written from the published list; the formulas are ours. Every function takes and returns an
RGB image (H, W, 3), float64 in [0, 1]; the result may leave that range (the caller clips).
The strength of each is one number; the table of five levels stands in `distortions.py`.
"""

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage
from scipy import ndimage

Image = np.ndarray


def _convolve(image: Image, kernel: np.ndarray) -> Image:
    """Filter every channel with `kernel` (normalised to sum 1), mirrored at the borders."""
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def gaussian_blur(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Blur with a Gaussian of `sigma` pixels."""
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="reflect")


def lens_blur(image: Image, radius: float, rng: np.random.Generator) -> Image:
    """Average over a disc of `radius` pixels with an anti-aliased rim."""
    extent = int(np.ceil(radius)) + 1
    rows, columns = np.mgrid[-extent : extent + 1, -extent : extent + 1]
    return _convolve(image, np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1))


def motion_blur(image: Image, length: float, rng: np.random.Generator) -> Image:
    """Average along a line of `length` pixels in a random direction."""
    angle = rng.uniform(0, np.pi)
    half = length / 2
    extent = int(np.ceil(half)) + 1
    rows, columns = np.mgrid[-extent : extent + 1, -extent : extent + 1]
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = columns * np.sin(angle) - rows * np.cos(angle)
    kernel = np.clip(half + 0.5 - abs(along), 0, 1) * np.clip(1 - abs(across), 0, 1)
    return _convolve(image, kernel)


def jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """Compress with baseline JPEG (4:2:0) of `quality` 1..100."""
    return _recode(image, format="JPEG", quality=round(quality), subsampling=2)


def jpeg2000(image: Image, ratio: float, rng: np.random.Generator) -> Image:
    """Compress with irreversible JPEG 2000 to 1 / `ratio` of the raw size."""
    return _recode(
        image, format="JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[ratio]
    )


def _recode(image: Image, **options: Any) -> Image:
    """Write the image to memory in a file format and read it back."""
    buffer = io.BytesIO()
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
    PillowImage.fromarray(pixels).save(buffer, **options)
    buffer.seek(0)
    return np.asarray(PillowImage.open(buffer).convert("RGB")) / 255.0


def white_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add white Gaussian noise of standard deviation `sigma` (of 1) to R, G and B."""
    return image + rng.normal(0, sigma, image.shape)


def white_noise_color(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add white Gaussian noise in YCbCr; `sigma` in Y and twice that in Cb and Cr."""
    noise = rng.normal(0, sigma, image.shape) * (1, 2, 2)
    luma, blue, red = np.moveaxis(noise, -1, 0)
    rgb = (luma + 1.402 * red, luma - 0.344 * blue - 0.714 * red, luma + 1.772 * blue)
    return image + np.stack(rgb, axis=-1)


def impulse_noise(image: Image, share: float, rng: np.random.Generator) -> Image:
    """Set the given share of samples to 0 or 1."""
    toss = rng.random(image.shape)
    noisy = np.where(toss < share / 2, 0.0, image)
    return np.where(toss > 1 - share / 2, 1.0, noisy)


def multiplicative_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Multiply every sample by 1 + N(0, sigma)."""
    return image * (1 + rng.normal(0, sigma, image.shape))


def denoise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add white noise of `sigma`, then remove it with a non-local means filter."""
    noisy = (np.clip(image + rng.normal(0, sigma, image.shape), 0, 1) * 255).round()
    strength = 255 * sigma
    result = cv2.fastNlMeansDenoisingColored(
        noisy.astype(np.uint8), None, 0.8 * strength, 0.8 * strength, 5, 15
    )
    return result / 255.0


def pink_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add Gaussian noise with a 1 / f amplitude spectrum and standard deviation `sigma`."""
    height, width = image.shape[:2]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=image.shape), axes=(0, 1)) / frequency[..., None]
    noise = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return image + sigma * noise / noise.std()


def jitter(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Displace every pixel by a random vector of `amount` pixels, with interpolation."""
    height, width = image.shape[:2]
    grid = np.mgrid[0:height, 0:width].astype(np.float64)
    moved = (grid + rng.normal(0, amount, grid.shape)).astype(np.float32)
    source = image.astype(np.float32)
    result = cv2.remap(source, moved[1], moved[0], cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
    return result.astype(np.float64)


def _corners(
    shape: tuple[int, ...], count: int, size: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Draw `count` upper left corners of squares of `size` pixels."""
    rows = rng.integers(0, max(1, shape[0] - size), count)
    columns = rng.integers(0, max(1, shape[1] - size), count)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def patch_displacement(image: Image, share: float, rng: np.random.Generator) -> Image:
    """Replace 12-pixel squares, `share` of the area, by their neighbours 8 pixels off."""
    size, reach = 12, 8
    height, width = image.shape[:2]
    padded = np.pad(image, ((reach, reach + size), (reach, reach + size), (0, 0)), mode="reflect")
    result = image.copy()
    for row, column in _corners(
        image.shape, max(1, round(share * height * width / size**2)), size, rng
    ):
        down, right = (reach * rng.choice((-1, 1), 2)).tolist()
        target = result[row : row + size, column : column + size]
        top, left = row + reach + down, column + reach + right
        target[:] = padded[top : top + target.shape[0], left : left + target.shape[1]]
    return result


def pixelate(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Shrink by `factor` with area averaging and enlarge again with nearest neighbour."""
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_NEAREST)


def color_block(image: Image, share: float, rng: np.random.Generator) -> Image:
    """Paint squares of a random colour, side 1 / 12 of the image, over `share` of the area."""
    height, width = image.shape[:2]
    size = max(4, round(min(height, width) / 12))
    result = image.copy()
    for row, column in _corners(
        image.shape, max(1, round(share * height * width / size**2)), size, rng
    ):
        result[row : row + size, column : column + size] = rng.random(3)
    return result


def sharpen(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Add `amount` times the difference to a Gaussian blur of 1 pixel (unsharp mask)."""
    blurred = ndimage.gaussian_filter(image, (1.0, 1.0, 0), mode="reflect")
    return image + amount * (image - blurred)
