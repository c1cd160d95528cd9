"""Pixel distances as pure functions: two image batches in, one value per image or pixel out.

SSIM follows Wang et al. 2004 (doi:10.1109/TIP.2003.819861). It is written with the moments of the
difference of the two images: equal to the usual form, and exact where they are almost equal.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2  # SSIM's stabilisers for a data range of 1
WINDOW = 11  # side of SSIM's Gaussian window
PSNR_CEILING = 1e-12  # added to the mean squared error: identical images give 120 dB, not inf


def at_least_float32(x: Tensor) -> Tensor:
    """Return half-precision tensors as float32 and leave float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_pair(prediction: Tensor, target: Tensor, channels: int | None = None) -> None:
    """Raise ValueError unless both are floating (B, C, H, W) tensors of one shape, not empty.

    Args:
        prediction: (B, C, H, W).
        target: (B, C, H, W).
        channels: the C that is needed, or None for any.
    """
    if not (isinstance(prediction, Tensor) and isinstance(target, Tensor)):
        raise ValueError(
            f"expected two tensors, got {type(prediction).__name__} and {type(target).__name__}"
        )
    if prediction.ndim != 4 or prediction.shape != target.shape:
        raise ValueError(
            "expected two (B, C, H, W) tensors of one shape, "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    if not (prediction.is_floating_point() and target.is_floating_point()):
        raise ValueError(
            f"expected floating-point images in [0, 1], got {prediction.dtype} and {target.dtype}"
        )
    if channels is not None and prediction.shape[1] != channels:
        raise ValueError(f"expected {channels} channels, got {prediction.shape[1]}")
    if 0 in prediction.shape:
        raise ValueError(f"expected one image or more, got an empty {tuple(prediction.shape)}")


def check_side(x: Tensor, least: int, user: str) -> None:
    """Raise ValueError if a side of (B, C, H, W) is shorter than `user` needs."""
    if min(x.shape[-2:]) < least:
        height, width = x.shape[-2:]
        raise ValueError(
            f"expected at least {least}x{least} pixels for {user}, got {height}x{width}"
        )


def check_reduction(reduction: str) -> str:
    """Return the reduction, or raise ValueError if it is none of "mean", "sum" and "none"."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def reduce(per_image: Tensor, reduction: str) -> Tensor:
    """Turn (B,) values into their mean, their sum, or leave them ("none")."""
    if check_reduction(reduction) == "none":
        return per_image
    return per_image.mean() if reduction == "mean" else per_image.sum()


def mean_over_channels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W)."""
    # not `mean`, whose gradient fills memory for every channel
    return x if x.shape[1] == 1 else x.sum(1, keepdim=True) / x.shape[1]


def absolute_error(x: Tensor, y: Tensor) -> Tensor:
    """|x - y| of every value, (B, C, H, W) x 2 -> (B, C, H, W)."""
    return F.l1_loss(x, y, reduction="none")


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """(x - y)^2 of every value, (B, C, H, W) x 2 -> (B, C, H, W)."""
    return (x - y).square()


def charbonnier_error(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """sqrt((x - y)^2 + eps^2) of every value, (B, C, H, W) x 2 -> (B, C, H, W)."""
    return (squared_error(x, y) + eps**2).sqrt()


def mae(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error per image, (B, C, H, W) x 2 -> (B,), in [0, 1], lower is better."""
    return absolute_error(x, y).mean((1, 2, 3))


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error per image, (B, C, H, W) x 2 -> (B,), in [0, 1], lower is better."""
    return squared_error(x, y).mean((1, 2, 3))


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """Charbonnier distance per image: mean of sqrt(d^2 + eps^2) (Charbonnier et al. 1994)."""
    return charbonnier_error(x, y, eps).mean((1, 2, 3))


def decibels(mse: Tensor, data_range: float = 1.0) -> Tensor:
    """PSNR in dB of mean squared errors, higher is better, at most 120 dB."""
    return -10 * torch.log10(mse / data_range**2 + PSNR_CEILING)


def psnr(x: Tensor, y: Tensor, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB per image, higher is better, at most 120 dB.

    Args:
        x: (B, C, H, W).
        y: (B, C, H, W).
        data_range: the peak value; stated by the caller, never guessed from the data.

    Returns:
        (B,) in dB.
    """
    return decibels(mse(x, y), data_range)


def gaussian_window(size: int = WINDOW, sigma: float = 1.5, like: Tensor | None = None) -> Tensor:
    """Return a (size,) Gaussian that sums to 1, on the device and in the type of `like`."""
    position = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = torch.exp(-0.5 * (position / sigma).square())
    window = window / window.sum()
    return window if like is None else window.to(like)


def gaussian_blur(x: Tensor, window: Tensor, padding: int = 0) -> Tensor:
    """Filter every channel of (B, C, H, W) with a separable window, zero padding on request."""
    channels = x.shape[1]
    window = window.to(x)
    rows = window.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = window.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    x = F.conv2d(x, rows, padding=(padding, 0), groups=channels)
    return F.conv2d(x, columns, padding=(0, padding), groups=channels)


def dissimilarity(x: Tensor, y: Tensor, padding: int = 0) -> Tensor:
    """1 - SSIM at every place: 11x11 Gaussian of 1.5.

    SSIM = (1 - l) (1 - s), with l = (mean_x - mean_y)^2 / (mean_x^2 + mean_y^2 + C1) and
    s = variance of (x - y) / (variance_x + variance_y + C2).

    Args:
        x: (B, C, H, W) in [0, 1], without padding at least 11 pixels on each side.
        y: (B, C, H, W) in [0, 1].
        padding: zeros around the images; 0 compares the valid region, 5 all of it, as E-SSIM does.

    Returns:
        (B, C, H + 2 padding - 10, W + 2 padding - 10) in [0, 2], lower is better; exactly 0 where
        the images are identical.

    Raises:
        ValueError: a side is shorter than the window.
    """
    check_side(x, WINDOW - 2 * padding, "SSIM")
    stacked = torch.cat([x, y, x * x + y * y, (x - y).square()], dim=1)
    moments = gaussian_blur(stacked, gaussian_window(like=x), padding).chunk(4, dim=1)
    mean_x, mean_y, squares, squares_of_difference = moments
    squared_means = mean_x * mean_x + mean_y * mean_y
    squared_mean_difference = (mean_x - mean_y).square()
    variances = (squares - squared_means).clamp_min(0)
    luminance = squared_mean_difference / (squared_means + C1)
    structure = (squares_of_difference - squared_mean_difference).clamp_min(0) / (variances + C2)
    return luminance + structure - luminance * structure


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity per image: 11x11 Gaussian of 1.5, valid region, mean over channels.

    Args:
        x: (B, C, H, W) in [0, 1], at least 11 pixels on each side.
        y: (B, C, H, W) in [0, 1].

    Returns:
        (B,) in [-1, 1], higher is better; 1 for identical images.

    Raises:
        ValueError: a side is shorter than the window.
    """
    return 1 - dissimilarity(x, y).mean((1, 2, 3))
