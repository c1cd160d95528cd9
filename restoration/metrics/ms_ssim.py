"""MS-SSIM (Wang, Simoncelli and Bovik 2003, doi:10.1109/ACSSC.2003.1292216), five scales.

The windows are those of `ssim`: 11x11 Gaussian of 1.5, valid region, each channel by itself.
Between scales the images are averaged over 2x2 pixels; an odd last row or column is left out. A
negative mean of contrast times structure counts as zero, since its power is not a number.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.functional import check_side
from restoration.metrics.psnr_ssim import WINDOW_SIZE, check_images, ssim_parts

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the publication; their sum is 1.0001
MIN_SIDE = WINDOW_SIZE * 2 ** (len(SCALE_WEIGHTS) - 1)  # 176: a whole window at the last scale


def ms_ssim(
    prediction: Tensor, target: Tensor, data_range: float = 1.0, crop_border: int = 0
) -> Tensor:
    """Structural similarity at five scales, mean over channels, per image.

    Args:
        prediction: (B, C, H, W), in [0, data_range], at least 176 pixels on a side.
        target: (B, C, H, W).
        data_range: the peak value, 1 for images in [0, 1] and 255 for 0..255.
        crop_border: pixels left out on every side.

    Returns:
        (B,) float64 in [0, 1], higher is better; 1 for identical images.

    Raises:
        ValueError: as for `psnr`; fewer than 176 pixels on a side.
    """
    x, y = check_images(prediction, target, data_range, crop_border)
    check_side(x, MIN_SIDE, "MS-SSIM")
    return torch.stack([_of_image(a, b, data_range) for a, b in zip(x, y, strict=True)])


def _of_image(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """MS-SSIM of one (C, H, W) pair -> ()."""
    x, y = x.double(), y.double()
    product = x.new_ones(x.shape[0])  # (C,)
    for number, weight in enumerate(SCALE_WEIGHTS, start=1):
        whole, structure = ssim_parts(x, y, data_range)  # (C,) each
        last = number == len(SCALE_WEIGHTS)
        product = product * (whole if last else structure).clamp_min(0) ** weight
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product.mean()
