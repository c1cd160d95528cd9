"""What a metric says of a fixed probe, to notice that it is no longer the metric it was."""

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor, Tensor], Tensor]  # (distorted, reference), (1, 3, H, W) -> (1,)
PROBE_SIDE = 192


def fingerprint(function: Function) -> str:
    """What a metric says of fixed noise and its blur; differs for other weights or arguments."""
    noise = torch.rand(1, 3, PROBE_SIDE, PROBE_SIDE, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)
    with torch.no_grad():
        return f"{float(function(smooth, noise)):.6g}"
