"""PSNR and SSIM (Wang et al. 2004, doi:10.1109/TIP.2003.819861), by the protocol of BasicSR.

SSIM is the MATLAB variant: 11x11 Gaussian of 1.5, valid region, each channel by itself, then the
mean. The data range is an argument, never guessed: a guess from the maximum makes one pixel at
1.0001 worth 48 dB. Maps of float32 images are float32 (float64 images: float64), sums of their
rows float64: against float64 throughout, SSIM is off by 1e-7 at most, in half the time.
"""

import torch
from torch import Tensor

from losses.functional import check_pair, check_side

WINDOW_SIZE, WINDOW_SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
STRIP_ROWS = 64  # on a CPU faster than whole photographs at once: the maps stay in the cache


def psnr(
    prediction: Tensor, target: Tensor, data_range: float = 1.0, crop_border: int = 0
) -> Tensor:
    """Peak signal-to-noise ratio in dB over all channels (RGB, not luma), per image.

    Args:
        prediction: (B, C, H, W), in [0, data_range]; not clamped here.
        target: (B, C, H, W).
        data_range: the peak value, 1 for images in [0, 1] and 255 for 0..255.
        crop_border: pixels left out on every side.

    Returns:
        (B,) float64 in dB, higher is better; inf for identical images.

    Raises:
        ValueError: shapes differ, integer images, a range or border that makes no sense.
    """
    x, y = check_images(prediction, target, data_range, crop_border)
    difference = _maps_type(x) - _maps_type(y)
    squares = difference.square_().flatten(1, 2)  # (B, CH, W)
    mse = _sum(squares) / squares[0].numel()
    return 10 * torch.log10(float(data_range) ** 2 / mse)


def luma(image: Tensor, data_range: float) -> Tensor:
    """Y of YCbCr by ITU-R BT.601 with its head- and footroom, as MATLAB's rgb2ycbcr computes it.

    Args:
        image: (B, 3, H, W) RGB in [0, data_range]; one channel stays as it is.
        data_range: the peak value.

    Returns:
        (B, 1, H, W) float64, in [16, 235] / 255 of the range.
    """
    if image.ndim != 4 or image.shape[1] != 3:
        return image
    weights = image.new_tensor([65.481, 128.553, 24.966], dtype=torch.float64) / 255
    mixed = torch.einsum("bchw,c->bhw", image.double(), weights)[:, None]
    return mixed + 16 / 255 * data_range


def ssim(
    prediction: Tensor, target: Tensor, data_range: float = 1.0, crop_border: int = 0
) -> Tensor:
    """Structural similarity, mean over channels and the valid region, per image.

    Args:
        prediction: (B, C, H, W), in [0, data_range], at least 11 pixels on a side.
        target: (B, C, H, W).
        data_range: the peak value, 1 for images in [0, 1] and 255 for 0..255.
        crop_border: pixels left out on every side.

    Returns:
        (B,) float64 in [-1, 1], higher is better; 1 for identical images.

    Raises:
        ValueError: as for `psnr`; fewer than 11 pixels on a side.
    """
    x, y = check_images(prediction, target, data_range, crop_border)
    check_side(x, WINDOW_SIZE, "SSIM")
    batch, channels = x.shape[:2]
    at_once = channels if x.is_cpu else batch * channels  # one image stays in a CPU's cache
    planes = (image.contiguous().flatten(0, 1).split(at_once) for image in (x, y))
    parts = [ssim_parts(a, b, data_range)[0] for a, b in zip(*planes, strict=True)]
    return torch.cat(parts).view(batch, channels).mean(1)


def check_images(
    prediction: Tensor, target: Tensor, data_range: float, crop_border: int
) -> tuple[Tensor, Tensor]:
    """Crop a pair of images, (B, C, H, W) each.

    Raises:
        ValueError: shapes differ, integer images, a range or border that makes no sense.
    """
    check_pair(prediction, target)
    if not data_range > 0:
        raise ValueError(f"expected data_range > 0, got {data_range}")
    height, width = prediction.shape[-2:]
    if not 0 <= 2 * crop_border < min(height, width):
        raise ValueError(f"expected a crop_border that fits {height}x{width}, got {crop_border}")
    rows, columns = (
        slice(crop_border, height - crop_border),
        slice(crop_border, width - crop_border),
    )
    return prediction[:, :, rows, columns], target[:, :, rows, columns]


def ssim_parts(x: Tensor, y: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Mean of SSIM, and mean of its contrast times structure, by channel.

    On a CPU the image is taken by strips of rows, whose maps stay in the cache.

    Args:
        x: (C, H, W), at least 11 pixels on a side.
        y: (C, H, W).
        data_range: the peak value.

    Returns:
        Two tensors (C,), float64.
    """
    channels, rows, columns = x.shape[0], x.shape[1] - WINDOW_SIZE + 1, x.shape[2] - WINDOW_SIZE + 1
    sums = x.new_zeros(2, channels, dtype=torch.float64)
    step = STRIP_ROWS if x.is_cpu else rows
    for top in range(0, rows, step):
        strip = slice(top, top + step + WINDOW_SIZE - 1)
        luminance, structure = _ssim_maps(
            _maps_type(x[:, strip]), _maps_type(y[:, strip]), data_range
        )
        sums[0] += _sum(luminance * structure)
        sums[1] += _sum(structure)
    whole, structure = sums / (rows * columns)
    return whole, structure


def _sum(x: Tensor) -> Tensor:
    """Sum of (N, H, W) over rows in their own type, then in float64 -> (N,)."""
    return x.sum(2).sum(1, dtype=torch.float64)


def _maps_type(x: Tensor) -> Tensor:
    """In the type that maps are computed in: float64 stays, all others become float32."""
    return x if x.dtype == torch.float64 else x.float()


def _ssim_maps(x: Tensor, y: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at every pixel with a whole window.

    Written in the sum s and the difference d of the images: 2 xy = (s^2 - d^2) / 2 and
    x^2 + y^2 = (s^2 + d^2) / 2. Variances do not depend on the mean, which is taken off first:
    that, and d being small, is what float32 needs to be exact enough. Equal images have d = 0 and
    so exactly 1.

    (C, H, W) x 2 -> (C, H - 10, W - 10) x 2.
    """
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    total, difference = x + y, x - y
    centre = total.mean((1, 2), keepdim=True)  # (C, 1, 1)
    total.sub_(centre)
    maps = torch.stack([total, difference, total.square(), difference.square()])  # (4, C, H, W)
    mean_s, mean_d, squares_s, squares_d = _gaussian(_gaussian(maps, dim=-2), dim=-1)
    mean_d2 = mean_d.square()
    bright = (mean_s + centre).square().add_(2 * c1)
    luminance = (bright - mean_d2).div_(bright + mean_d2)
    variance_s = torch.addcmul(squares_s, mean_s, mean_s, value=-1).add_(2 * c2)
    variance_d = squares_d - mean_d2
    structure = (variance_s - variance_d).div_(variance_s + variance_d)
    return luminance, structure


def _gaussian(x: Tensor, dim: int) -> Tensor:
    """Valid Gaussian filter along one dimension: on a CPU as fast as conv2d, in float64 faster."""
    half = WINDOW_SIZE // 2
    offset = torch.arange(-half, half + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offset / WINDOW_SIGMA).square())
    taps: list[float] = (weights / weights.sum()).tolist()
    length = x.shape[dim] - WINDOW_SIZE + 1
    out = x.narrow(dim, half, length) * taps[half]
    for k in range(half):
        out.add_(x.narrow(dim, k, length), alpha=taps[k])
        out.add_(x.narrow(dim, WINDOW_SIZE - 1 - k, length), alpha=taps[k])
    return out
