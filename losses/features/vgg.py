"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015, arXiv:1409.1556), without their classifiers.

Taps are the last ReLUs before each pool. Files have torchvision's key names, and may end early.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from losses.features.pooling import L2Pool2d
from losses.features.published import published_file
from losses.naming import check_name
from losses.weights import load_state_dict

CHANNELS = (64, 128, 256, 512, 512)  # of the levels
CONVS_PER_LEVEL = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
TAPS = {
    name: tuple(f"relu{level}_{n}" for level, n in enumerate(counts, start=1))
    for name, counts in CONVS_PER_LEVEL.items()
}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "max": partial(nn.MaxPool2d, 2, 2),
    "avg": partial(nn.AvgPool2d, 2, 2),
    "l2": L2Pool2d,  # of DISTS
}


class VggLayers(nn.ModuleDict):
    """Convolutions with their ReLUs, level by level, a pool between two, up to the last tap.

    Args:
        name: "vgg16" or "vgg19".
        levels: numbers of the levels, from 0, whose last ReLUs are taps; ascending.
    """

    def __init__(self, name: str, levels: Sequence[int]):
        super().__init__()
        self.tapped: list[str] = []
        channels = 3
        for level in range(levels[-1] + 1):
            if level:
                self._append(nn.MaxPool2d(2, 2))
            for _ in range(CONVS_PER_LEVEL[name][level]):
                self._append(nn.Conv2d(channels, CHANNELS[level], 3, padding=1))
                self._append(nn.ReLU(inplace=True))
                channels = CHANNELS[level]
            if level in levels:
                self.tapped.append(f"features_{len(self) - 1}")

    def _append(self, layer: nn.Module) -> None:
        self[f"features_{len(self)}"] = layer  # torchvision's number

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> one map per tap."""
        taps = []
        for name, layer in self.items():
            x = layer(x)
            if name in self.tapped:
                taps.append(x)
        return taps


def build_vgg(
    name: str, taps: Sequence[str] | None, weights: str | Path | None
) -> tuple[nn.Module, tuple[int, ...], tuple[str, ...]]:
    """Build a VGG with its max-pools, up to the last tap.

    Args:
        name: "vgg16" or "vgg19".
        taps: which ReLUs; None for all that the weights hold.
        weights: None for the published weights, a local file, or "random".

    Returns:
        The network, (B, 3, H, W) -> a list of maps; the channels and the name of each map.

    Raises:
        FileNotFoundError: the weights are not here and cannot be downloaded.
        ValueError: an unknown tap, or a file that does not fit.
    """
    file = None if weights == "random" else weights
    if taps is None:
        taps = TAPS[name] if file is None else taps_in(file, name)
    for tap in taps:
        check_name("tap", tap, TAPS[name])
    if not taps or len(set(taps)) < len(taps):
        raise ValueError(f"expected one tap or more, each once, got {list(taps)}")
    indices = tuple(sorted(TAPS[name].index(tap) for tap in taps))
    with torch.device("meta"):  # no weights are drawn: they are loaded, or drawn below
        layers = VggLayers(name, indices)
    body = layers.to_empty(device="cpu")
    if weights == "random":
        _initialise(body)
    else:
        _load_file(body, published_file(name) if file is None else file)
    return body, tuple(CHANNELS[i] for i in indices), tuple(TAPS[name][i] for i in indices)


def replace_pools(body: nn.Module, pooling: str) -> None:
    """Put other pools into the places of the max-pools.

    Raises:
        ValueError: an unknown pooling.
    """
    check_name("pooling", pooling, tuple(POOLINGS))
    for name, child in body.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(body, name, POOLINGS[pooling]())


def taps_in(path: str | Path, name: str) -> tuple[str, ...]:
    """Taps of a VGG whose convolutions all stand in the file (a file may end early).

    Raises:
        ValueError: a file of something else, or of too few layers.
    """
    stored = {key for key in load_state_dict(path) if re.fullmatch(r"features\.\d+\.weight", key)}
    if not stored:
        raise ValueError(f"{path}: expected VGG weights (features.0.weight, ...), got none")
    convs = _conv_names(name)
    foreign = sorted(stored - set(itertools.chain.from_iterable(convs.values())))
    if foreign:
        raise ValueError(f"{path}: expected weights of {name}, got a layer {foreign[0]} it has not")
    taps = tuple(itertools.takewhile(lambda tap: stored.issuperset(convs[tap]), convs))
    if not taps:
        raise ValueError(f"{path}: expected the weights of one tap or more of {name}, got fewer")
    return taps


def _conv_names(name: str) -> dict[str, list[str]]:
    """Torchvision's names of the convolutions that each tap of a VGG adds, in order."""
    names, index = {}, 0
    for tap, convs in zip(TAPS[name], CONVS_PER_LEVEL[name], strict=True):
        names[tap] = [f"features.{index + 2 * n}.weight" for n in range(convs)]
        index += 2 * convs + 1  # every convolution has a ReLU, every level ends in a pool
    return names


def _load_file(body: nn.Module, path: str | Path) -> None:
    """Load torchvision key names strictly; layers behind the last tap may stand in the file."""
    state = load_state_dict(path)
    wanted = body.state_dict()
    stored = {name.replace("features.", "features_", 1): value for name, value in state.items()}
    missing = [name for name in wanted if name not in stored]
    wrong = [n for n in wanted if n in stored and stored[n].shape != wanted[n].shape]
    if missing or wrong:
        bad = (missing + wrong)[0].replace("features_", "features.")
        raise ValueError(
            f"{path}: expected {len(wanted)} VGG tensors, got {len(missing)} missing and "
            f"{len(wrong)} of another shape, first {bad} (choose fewer taps, or another file)"
        )
    body.load_state_dict({name: stored[name] for name in wanted})


def _initialise(body: nn.Module) -> None:
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
