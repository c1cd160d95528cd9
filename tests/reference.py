"""Slow NumPy and SciPy truths in float64, written from the formulas, for tests to compare with."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage, signal

Array = np.ndarray


def mae(x: Array, y: Array) -> Array:
    """(B, C, H, W) x 2 -> (B,)."""
    return np.array([np.mean(np.abs(a - b)) for a, b in zip(x, y, strict=True)])


def mse(x: Array, y: Array) -> Array:
    """(B, C, H, W) x 2 -> (B,)."""
    return np.array([np.mean((a - b) ** 2) for a, b in zip(x, y, strict=True)])


def charbonnier(x: Array, y: Array, eps: float = 1e-3) -> Array:
    """(B, C, H, W) x 2 -> (B,)."""
    return np.array([np.mean(np.hypot(a - b, eps)) for a, b in zip(x, y, strict=True)])


def psnr(x: Array, y: Array, data_range: float = 1.0) -> Array:
    """(B, C, H, W) x 2 -> (B,) in dB."""
    return 20 * np.log10(data_range / np.sqrt(mse(x, y)))


def window(size: int = 11, sigma: float = 1.5) -> Array:
    """Square Gaussian window that sums to 1."""
    line = signal.windows.gaussian(size, sigma)
    square = np.outer(line, line)
    return square / square.sum()


def blur(image: Array, mode: str) -> Array:
    """(H, W) filtered by the window; `mode` "same" pads with zeros, "valid" does not."""
    return signal.convolve2d(image, window(), mode=mode)


def moments(a: Array, b: Array, mode: str) -> tuple[Array, ...]:
    """Local means, variances and covariance of two (H, W) images."""
    mean_a, mean_b = blur(a, mode), blur(b, mode)
    var_a = blur(a * a, mode) - mean_a**2
    var_b = blur(b * b, mode) - mean_b**2
    return mean_a, mean_b, var_a, var_b, blur(a * b, mode) - mean_a * mean_b


def ssim(x: Array, y: Array) -> Array:
    """SSIM on the valid region, mean over channels: (B, C, H, W) x 2 -> (B,)."""
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for image_x, image_y in zip(x, y, strict=True):
        maps = []
        for a, b in zip(image_x, image_y, strict=True):
            ma, mb, va, vb, cov = moments(a, b, "valid")
            maps.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
        values.append(np.mean(maps))
    return np.array(values)


def dissimilarity_same(x: Array, y: Array, floor: float = 1e-5) -> Array:
    """Mean of 1 - l * c * s at full size with zero padding, as the authors write E-SSIM -> (B,).

    The floor stands under the roots of the deviations, and in no denominator of variances.
    """
    c1, c2, c3 = 0.01**2, 0.03**2, 0.03**2 / 2
    values = []
    for image_x, image_y in zip(x, y, strict=True):
        maps = []
        for a, b in zip(image_x, image_y, strict=True):
            ma, mb, va, vb, cov = moments(a, b, "same")
            da = np.sqrt(np.maximum(va, 0) + floor)
            db = np.sqrt(np.maximum(vb, 0) + floor)
            luminance = (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
            contrast = (2 * da * db + c2) / (va + vb + c2)
            maps.append(1 - luminance * contrast * (cov + c3) / (da * db + c3))
        values.append(np.mean(maps))
    return np.array(values)


def conv2d(x: Array, weight: Array, bias: Array) -> Array:
    """3x3 convolution of a network, zero padding 1: (C, H, W) -> (O, H, W)."""
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1)))
    planes = [
        signal.correlate(padded, np.asarray(kernel, np.float64), mode="valid", method="direct")[0]
        for kernel in weight
    ]
    return np.stack(planes) + np.asarray(bias, np.float64)[:, None, None]


def relu(x: Array) -> Array:
    """Negative values become 0."""
    return np.maximum(x, 0)


def pool(x: Array, kind: str) -> Array:
    """2x2 pooling, "avg" or "max"; an odd last row or column is dropped: (C, H, W)."""
    c, h, w = x.shape[0], x.shape[1] // 2, x.shape[2] // 2
    tiles = x[:, : 2 * h, : 2 * w].reshape(c, h, 2, w, 2)
    return tiles.mean((2, 4)) if kind == "avg" else tiles.max((2, 4))


def mask(state: Mapping[str, Array], k: int, first: Array, second: Array) -> Array:
    """Mask network k of a state dict: two (C, H, W), in the order of concatenation -> (1, H, W)."""
    x = np.concatenate([first, second])
    for layer in (1, 2, 3):
        name = f"mask_finder_{k}.conv{layer}.0"
        x = conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])
        x = relu(x) if layer < 3 else 1 / (1 + np.exp(-x))
    return x


def conv_levels(
    x: Array, levels: Sequence[Sequence[tuple[Array, Array]]], pooling: str = "avg"
) -> list[Array]:
    """VGG: levels of (weight, bias) with a pool between; the last ReLU of each level."""
    taps = []
    for number, level in enumerate(levels):
        x = pool(x, pooling) if number else x
        for weight, bias in level:
            x = relu(conv2d(x, weight, bias))
        taps.append(x)
    return taps


def feature_distance(
    taps_x: Sequence[Array], taps_y: Sequence[Array], masks: Sequence[Array] | None = None
) -> float:
    """Sum over taps and channels of mean_hw(M * |difference|), over the count of channels."""
    total = 0.0
    for number, (a, b) in enumerate(zip(taps_x, taps_y, strict=True)):
        error = np.abs(a - b) * (1.0 if masks is None else masks[number])
        total += error.mean((1, 2)).sum()
    return total / sum(len(a) for a in taps_x)


def dists_similarities(x: Array, y: Array, stabiliser: float = 1e-6) -> tuple[Array, Array]:
    """Texture and structure of every channel, by NumPy's own covariance: (C, H, W) x 2 -> (C,)."""
    texture, structure = [], []
    for a, b in zip(x, y, strict=True):
        (va, cov), (_, vb) = np.cov(a.ravel(), b.ravel(), bias=True)
        ma, mb = a.mean(), b.mean()
        texture.append((2 * ma * mb + stabiliser) / (ma**2 + mb**2 + stabiliser))
        structure.append((2 * cov + stabiliser) / (va + vb + stabiliser))
    return np.array(texture), np.array(structure)


def enlarge(x: Array, height: int, width: int) -> Array:
    """Twofold linear interpolation from corner to corner, then the last row or column again."""
    h, w = x.shape
    grid = np.meshgrid(np.linspace(0, h - 1, 2 * h), np.linspace(0, w - 1, 2 * w), indexing="ij")
    doubled = ndimage.map_coordinates(x, grid, order=1)
    return np.pad(doubled, ((0, height - 2 * h), (0, width - 2 * w)), mode="edge")


def milo_mask(state: Mapping[str, Array], ref: Array, dist: Array) -> Array:
    """Four-scale mask of MILO: (3, H, W) x 2 -> (1, H, W)."""
    scales = [(dist, ref)]
    for _ in range(3):
        scales.append(tuple(pool(image, "avg") for image in scales[-1]))
    mask = None
    for first, second in reversed(scales):
        below = np.zeros(first.shape[1:]) if mask is None else enlarge(mask, *first.shape[1:])
        x = np.concatenate([first, second, below[None]])
        for layer in (0, 2, 4, 6, 8):
            name = f"mask_finder_1.netBasic.{layer}"
            x = conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])
            x = relu(x) if layer < 8 else 1 / (1 + np.exp(-x))
        mask = x[0] + below
    return mask[None]
