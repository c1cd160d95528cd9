"""AlexNet's convolutions (Krizhevsky 2014, arXiv:1404.5997), the backbone of LPIPS.

A tap after each of the five ReLUs. State-dict names match torchvision's (`features.0.weight`, ...).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from losses.weights import load_state_dict

CHANNELS = (64, 192, 384, 256, 256)
MIN_SIDE = 31  # the last pool of a smaller image would have no pixel


class AlexNet(nn.Module):
    """Five convolutions with ReLU; max-pools of 3x3 at stride 2 behind the first two."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        self.features = nn.Sequential(
            *(nn.Conv2d(3, first, 11, stride=4, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(second, third, 3, padding=1), nn.ReLU(True)),
            *(nn.Conv2d(third, fourth, 3, padding=1), nn.ReLU(True)),
            *(nn.Conv2d(fourth, fifth, 3, padding=1), nn.ReLU(True)),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), normalised -> one (B, C_k, H_k, W_k) per tap."""
        taps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                taps.append(x)
        return taps


def build_alexnet(weights: str | Path) -> AlexNet:
    """Build the network with the weights of a file, or untrained with "random".

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds other weights; layers behind the convolutions may stand in it.
    """
    if weights == "random":
        return AlexNet()
    state = load_state_dict(weights)
    with torch.device("meta"):  # no weights are drawn: the file has all of them
        body = AlexNet()
    body = body.to_empty(device="cpu")
    try:
        body.load_state_dict({name: state[name] for name in body.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{weights}: expected torchvision's AlexNet: {error}") from error
    return body
