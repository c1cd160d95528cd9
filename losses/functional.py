"""Pixel distances as pure functions: two image batches in, one value per image out.

SSIM follows Wang et al. 2004 (doi:10.1109/TIP.2003.819861). `ssim_map_same` is the variant of
"Enhancing image quality prediction with self-supervised visual masking" (arXiv:2305.19858): zero
padding to full size and a floor inside the standard deviations.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2  # SSIM's stabilisers for a data range of 1
PSNR_CEILING = 1e-12  # added to the mean squared error: identical images give 120 dB, not inf


def at_least_float32(x: Tensor) -> Tensor:
    """Return half-precision tensors as float32 and leave float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_pair(prediction: Tensor, target: Tensor, channels: int | None = None) -> None:
    """Raise ValueError unless both are floating (B, C, H, W) tensors of one shape.

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
    return getattr(per_image, reduction)()


def masked_mean(error: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over channels and pixels of the error, weighted by a visual mask.

    Args:
        error: (B, C, H, W), not negative.
        mask: (B, 1, H, W) in [0, 1], or None for a plain mean.

    Returns:
        (B,). The mask multiplies the error; the count of pixels stays the divisor.
    """
    return (error if mask is None else error * mask).mean((1, 2, 3))


def channel_sum_of_errors(x: Tensor, y: Tensor) -> Tensor:
    """Sum over channels of |x - y|, (B, C, H, W) x 2 -> (B, 1, H, W), in one pass over memory."""
    return F.l1_loss(x, y, reduction="none").sum(1, keepdim=True)


def mae(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error per image, (B, C, H, W) x 2 -> (B,), in [0, 1], lower is better."""
    return (x - y).abs().mean((1, 2, 3))


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error per image, (B, C, H, W) x 2 -> (B,), in [0, 1], lower is better."""
    return (x - y).square().mean((1, 2, 3))


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """Charbonnier distance per image: mean of sqrt(d^2 + eps^2) (Charbonnier et al. 1994)."""
    return ((x - y).square() + eps**2).sqrt().mean((1, 2, 3))


def psnr(x: Tensor, y: Tensor, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB per image, higher is better, at most 120 dB.

    Args:
        x: (B, C, H, W).
        y: (B, C, H, W).
        data_range: the peak value; stated by the caller, never guessed from the data.

    Returns:
        (B,) in dB.
    """
    return -10 * torch.log10(mse(x, y) / data_range**2 + PSNR_CEILING)


def gaussian_window(size: int = 11, sigma: float = 1.5, like: Tensor | None = None) -> Tensor:
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


def _local_moments(x: Tensor, y: Tensor, padding: int) -> tuple[Tensor, ...]:
    window = gaussian_window(like=x)
    stacked = torch.cat([x, y, x * x, y * y, x * y], dim=1)
    mean_x, mean_y, xx, yy, xy = gaussian_blur(stacked, window, padding).chunk(5, dim=1)
    return mean_x, mean_y, xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y


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
    check_side(x, 11, "SSIM")
    mean_x, mean_y, var_x, var_y, cov = _local_moments(x, y, padding=0)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return (luminance * (2 * cov + C2) / (var_x + var_y + C2)).mean((1, 2, 3))


def ssim_map_same(x: Tensor, y: Tensor, floor: float = 1e-5) -> Tensor:
    """SSIM at every pixel as E-SSIM uses it: luminance * contrast * structure, zero padding.

    Args:
        x: (B, C, H, W) in [0, 1].
        y: (B, C, H, W) in [0, 1].
        floor: added to the variances before the square root.

    Returns:
        (B, C, H, W), higher is better.
    """
    mean_x, mean_y, var_x, var_y, cov = _local_moments(x, y, padding=5)
    dev_x = (var_x.clamp_min(0) + floor).sqrt()
    dev_y = (var_y.clamp_min(0) + floor).sqrt()
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    contrast = (2 * dev_x * dev_y + C2) / (dev_x**2 + dev_y**2 + C2)
    structure = (cov + C2 / 2) / (dev_x * dev_y + C2 / 2)
    return luminance * contrast * structure
