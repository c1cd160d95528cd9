"""Gaussian filters, rows and then columns: of images, and of noise."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 3  # half of a window in standard deviations


def gaussian_window(like: Tensor, sigma: float, longest: int) -> Tensor:
    """Weights of a Gaussian, 1 in the middle, (2 r + 1,), r = `longest` at most.

    Args:
        like: whose device and type they get.
        sigma: standard deviation in pixels, above 0.
        longest: half of the window at most.
    """
    reach = min(math.ceil(REACH * sigma), longest)
    places = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    return torch.exp(-(places**2) / (2 * sigma**2))


def along(image: Tensor, dim: int, window: Tensor, border: str) -> Tensor:
    """Filter (C, H, W) along one dimension, 1 or 2; `border` is a mode of `F.pad`."""
    reach = len(window) // 2
    shape = [1, 1, 1, 1]
    shape[dim + 1] = len(window)
    padding = [0, 0, reach, reach] if dim == 1 else [reach, reach, 0, 0]
    return F.conv2d(F.pad(image[:, None], padding, border), window.view(shape))[:, 0]
