"""Frozen feature extractors: VGG-16, VGG-19, AlexNet, and the small embedded backbone.

E-VGG of arXiv:2305.19858 replaces the max-pools of VGG-16 by 2x2 average pools and feeds RGB in
[0, 1] without ImageNet normalisation; both are arguments, with the paper's choice as the default of
vgg16. In bf16 the first quarter of the convolutions stays in float32: bf16 has 8 bits of mantissa,
so that an image rounded to it would lose the differences that a loss is about.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from losses.features import alexnet, vgg
from losses.features.embedded import IMAGENET_MEAN, IMAGENET_STD, EmbeddedBackbone
from losses.features.published import published_file
from losses.frozen import freeze, keep_type
from losses.functional import check_side
from losses.naming import check_name
from losses.weights import load_state_dict

PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone offers: its taps in order, and its customary input and pooling."""

    taps: tuple[str, ...]
    normalize: bool
    pooling: str


BACKBONES: dict[str, BackboneSpec] = {
    "vgg16": BackboneSpec(vgg.TAPS["vgg16"], normalize=False, pooling="avg"),
    "vgg19": BackboneSpec(vgg.TAPS["vgg19"], normalize=True, pooling="max"),
    "embedded": BackboneSpec(("tap1", "tap2", "tap3"), normalize=True, pooling="avg"),
    "alexnet": BackboneSpec(tuple(f"relu{n}" for n in range(1, 6)), normalize=True, pooling="max"),
}


def _to_bf16(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
    return out.to(torch.bfloat16)


def _lower(body: nn.Module) -> None:
    """Let all convolutions but the first quarter compute in bfloat16, on maps with channels last.

    One of the embedded backbone, three of VGG-16: with one alone, the gradients of E-VGG on VGG-16
    would have a cosine of 0.998 with those of float32, with three 0.9994, in 1.12 times the time.
    """
    convolutions = [module for module in body.modules() if isinstance(module, nn.Conv2d)]
    exact = max(1, len(convolutions) // 4)
    convolutions[exact - 1].register_forward_hook(_to_bf16)
    for conv in convolutions[:exact]:
        conv.to(memory_format=torch.channels_last)
    for conv in convolutions[exact:]:
        conv.to(torch.bfloat16).to(memory_format=torch.channels_last)
    keep_type(body)


class Backbone(nn.Module):
    """A frozen feature extractor for RGB images in [0, 1].

    Args:
        body: module that maps (B, 3, H, W) to a list of feature maps.
        channels: channels of each map.
        normalize: whether to apply ImageNet mean and standard deviation first.
        min_side: height and width below which an image would lose its last pixel in a pool.
        taps: name of each map; None to number them.
        precision: "float32" (in truth the image's own type), or "bf16": every convolution but the
            first quarter in bfloat16, channels last. Maps come back in the image's type either way.
        compile: run the body through `torch.compile`, which works when it first runs.

    Raises:
        ValueError: an unknown precision.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        channels: Sequence[int],
        normalize: bool,
        min_side: int = 1,
        taps: Sequence[str] | None = None,
        precision: str = "float32",
        compile: bool = False,
    ):
        super().__init__()
        check_name("precision", precision, PRECISIONS)
        self.body = freeze(body)
        self.precision, self.compiled = precision, compile
        if precision == "bf16":
            _lower(self.body)
        if compile:
            self.body.compile(dynamic=True)
        self.channels = tuple(channels)
        self.taps = tuple(taps or (f"tap{n}" for n in range(1, len(self.channels) + 1)))
        self.normalize = normalize
        self.min_side = min_side
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), False)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.compiled:  # copies and pickles come without what was compiled
            self.body.compile(dynamic=True)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode: the backbone is frozen."""
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Backbone":
        """Move and change the type as asked; a body in bf16 follows to the device alone."""
        if self.precision == "float32":
            return super()._apply(fn, recurse)
        self.body._apply(lambda tensor: tensor.to(fn(tensor.new_empty(0)).device), recurse)
        return super()._apply(fn, recurse=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> one (B, C_k, H_k, W_k) per tap, of the type of x.

        Raises:
            ValueError: an image too small for the pools.
        """
        check_side(x, self.min_side, "the taps of the backbone")
        if self.normalize:
            x = (x - self.mean) / self.std
        if self.precision == "float32":
            return list(self.body(x))
        single = x.to(torch.float32, memory_format=torch.channels_last)
        return [tap.to(x.dtype) for tap in self.body(single)]

    def _settings(self) -> tuple[object, ...]:
        return str(self), self.taps, self.normalize, self.precision, self.compiled

    def equals(self, other: "Backbone") -> bool:
        """Whether the other one computes the same: layers, taps, input, precision, weights."""
        mine, its = self.state_dict(), other.state_dict()
        return (
            self._settings() == other._settings()
            and mine.keys() == its.keys()
            and all(torch.equal(mine[name], its[name]) for name in mine)
        )


def check_backbone(name: str) -> None:
    """Raise ValueError, with the nearest known name, if there is no such backbone."""
    check_name("backbone", name, tuple(BACKBONES))


def build_backbone(
    name: str = "vgg16",
    taps: Sequence[str] | None = None,
    weights: str | Path | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    precision: str = "float32",
    compile: bool = False,
) -> Backbone:
    """Build a frozen backbone.

    Args:
        name: "vgg16", "vgg19", "alexnet" or "embedded".
        taps: which ReLUs to compare, "relu1_2" ... "relu5_3"; None for all that the weights hold.
        weights: None for the published weights (alexnet's and the embedded ones ship),
            a local file with torchvision's key names, or "random" for an untrained network.
        pooling: "avg", "max" or "l2" (of DISTS); None for the backbone's default.
        normalize: apply ImageNet mean and std to the [0, 1] input; None for the default.
        precision: "float32" or "bf16" of the convolutions, see Backbone.
        compile: run the body through `torch.compile`.

    Returns:
        A Backbone, frozen and in evaluation mode.

    Raises:
        FileNotFoundError: the weights are not here and cannot be downloaded.
        ValueError: an unknown name, tap, pooling or precision, or a file that does not fit.
    """
    check_backbone(name)
    check_name("precision", precision, PRECISIONS)  # before a long download
    spec = BACKBONES[name]
    normalize = spec.normalize if normalize is None else normalize
    if name == "embedded":
        if taps is not None or pooling is not None or normalize is not spec.normalize:
            raise ValueError("the embedded backbone has fixed taps, pooling and normalisation")
        return _embedded(weights, precision, compile)
    if name == "alexnet":
        if taps is not None or pooling not in (None, spec.pooling):
            raise ValueError("alexnet has fixed taps and pooling")
        body = alexnet.build_alexnet(published_file(name) if weights is None else weights)
        size = (alexnet.CHANNELS, normalize, alexnet.MIN_SIDE, spec.taps)
        return Backbone(body, *size, precision, compile)
    network, channels, taps = vgg.build_vgg(name, taps, weights)
    pools = sum(isinstance(module, nn.MaxPool2d) for module in network.modules())
    pooling = pooling or spec.pooling
    vgg.replace_pools(network, pooling)
    least = 1 if pooling == "l2" else 2**pools  # l2 pooling pads: it never loses the last pixel
    return Backbone(network, channels, normalize, least, taps, precision, compile)


def _embedded(weights: str | Path | None, precision: str, compile: bool) -> Backbone:
    body = EmbeddedBackbone()
    if weights != "random":
        body.load_state_dict(load_state_dict(weights or "embedded_backbone"))
    least = 2 ** (len(body.channels) - 1)
    # the body normalises by itself
    return Backbone(body, body.channels, False, least, None, precision, compile)
