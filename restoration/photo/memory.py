"""How large tiles may be: the memory that is free, and what a network needs for each pixel."""

import torch
from torch import nn

from restoration.archs import restore
from restoration.archs.protocol import image_channels
from restoration.common.tensor_memory import LiveTensors, free_bytes

PROBE = 128  # side of the image that a network is measured on
SMALLEST, LARGEST, STEP = 128, 2048, 32  # sides of tiles
CPU_BYTES = 448 * 2**20  # larger tiles are no faster on a CPU
SHARE = 0.5  # of the free memory
SLACK = 1.25  # workspaces of kernels, and holes between tensors


def tile_side(network: nn.Module, device: torch.device) -> int:
    """Choose the side of tiles by the memory that is free, and that the network needs.

    Args:
        network: on the device.
        device: where to compute.

    Returns:
        Pixels, a multiple of 32 from 128 to 2048.
    """
    budget = SHARE * free_bytes(device)
    if device.type == "cpu":
        budget = min(budget, CPU_BYTES)
    pixels = budget / (SLACK * bytes_per_pixel(network, device))
    side = int(pixels**0.5) // STEP * STEP
    return min(max(side, SMALLEST), LARGEST)


def bytes_per_pixel(network: nn.Module, device: torch.device) -> float:
    """Measure the most bytes of tensors that a network holds at a time, for each pixel.

    Args:
        network: on the device; it runs once on a small image.
        device: where to compute.
    """
    told = getattr(network, "bytes_per_pixel", None)  # of what another engine runs
    if told is not None:
        return told
    image = torch.zeros(1, image_channels(network), PROBE, PROBE, device=device)
    with LiveTensors() as live:
        restore(network, image)
    return max(live.peak / PROBE**2, 1.0)
