"""L2 pooling: a Hann-windowed local root mean square that halves a map without aliasing.

Source: Ding et al. 2020 (DISTS), arXiv:2004.07728, after Henaff and Simoncelli 2015
(arXiv:1511.06394).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 1e-12  # under the root: the gradient stays finite where a map is 0


def l2_pool2d(x: Tensor) -> Tensor:
    """Pool by the square root of the Hann-weighted mean square, (B, C, H, W) -> halves, rounded up.

    Args:
        x: (B, C, H, W).

    Returns:
        (B, C, ceil(H / 2), ceil(W / 2)); zeros stand outside the image.
    """
    window = torch.hann_window(5, periodic=False, dtype=x.dtype, device=x.device)[1:-1]
    kernel = torch.outer(window, window) / window.sum().square()  # (3, 3), sums to 1
    channels = x.shape[1]
    kernels = kernel.expand(channels, 1, 3, 3)
    return (F.conv2d(x.square(), kernels, stride=2, padding=1, groups=channels) + FLOOR).sqrt()


class L2Pool2d(nn.Module):
    """`l2_pool2d` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2))."""
        return l2_pool2d(x)
