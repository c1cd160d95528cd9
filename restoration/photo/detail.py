"""Detail that a denoiser took beyond the noise, found in what it took.

Noise is all that is left of most of the difference between an image and its denoised version.
Texture that went with it is smoother than noise and stands out of it. So the luma of the difference
is smoothed, which leaves little of the noise, and only what exceeds one and a half robust standard
deviations of the rest is kept, less that threshold (soft thresholding, Donoho 1995).

A network that was trained for PSNR leaves hardly any texture in the difference: what comes back is
faint, and costs at most a few hundredths of a dB.
"""

from torch import Tensor
from torch.nn import functional

from restoration.common.luma import LUMA

THRESHOLD = 1.5  # robust standard deviations of the smoothed difference
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
TO_DEVIATION = 1.4826  # from the median of absolute values, for a normal distribution


def returned_detail(degraded: Tensor, restored: Tensor) -> Tensor:
    """Detail to add to a restored image: smooth parts of the difference that are no noise.

    Args:
        degraded: images (B, C, H, W) in [0, 1], C = 3 colour or 1 grey.
        restored: the same images from a denoiser.

    Returns:
        (B, 1, H, W), signed; zero where the difference is like noise.

    Source:
        Soft thresholding: Donoho 1995, "De-noising by soft-thresholding".
    """
    difference = degraded - restored
    if difference.shape[1] == len(LUMA):
        weights = difference.new_tensor(LUMA)[:, None, None]
        difference = (difference * weights).sum(1, keepdim=True)  # (B, 1, H, W)
    smooth = _smooth(difference)
    size = smooth.abs()
    deviation = TO_DEVIATION * size.flatten(1).median(1).values[:, None, None, None]
    return smooth.sign() * (size - THRESHOLD * deviation).clamp_min(0)


def _smooth(image: Tensor) -> Tensor:
    """Binomial filter of 5x5 pixels; edges are repeated."""
    kernel = image.new_tensor(BINOMIAL)
    padded = functional.pad(image, (2, 2, 2, 2), mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, 5, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, 5))
