"""A small VGG-like backbone that ships with the package, distilled from VGG-19 (see its card).

Nothing is published under this name; the design is ours: pairs of 3x3 convolutions with ReLU as
in VGG (Simonyan and Zisserman 2015, arXiv:1409.1556), 2x2 average pooling instead of maximum so
that gradients reach every pixel, and a tap after each pair, at strides 1, 2 and 4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (24, 48, 96)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class EmbeddedBackbone(nn.Module):
    """Three pairs of 3x3 convolutions with average pooling between; one tap after each pair.

    Args:
        channels: width of each level.

    Raises:
        ValueError: no level, or a level without channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: tuple[int, ...] = CHANNELS):
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"expected one positive width per level, got {channels}")
        self.channels = tuple(channels)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), False)
        before = (3, *self.channels[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1), nn.ReLU()
            )
            for i, o in zip(before, self.channels, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> one (B, C_k, H / 2^k, W / 2^k) per level k = 0, 1, ..."""
        x = (x - self.mean) / self.std
        taps = []
        for number, level in enumerate(self.levels):
            x = level(x if number == 0 else F.avg_pool2d(x, 2))
            taps.append(x)
        return taps
