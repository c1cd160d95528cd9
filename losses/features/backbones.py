"""Frozen feature extractors: VGG-16 and VGG-19 through timm, and the small embedded backbone.

VGG taps are the ReLUs before each pool (Simonyan & Zisserman 2015). E-VGG of arXiv:2305.19858
replaces the max-pools by 2x2 average pools and feeds RGB in [0, 1] without ImageNet
normalisation; both are arguments, with the paper's choice as the default of vgg16. In bf16 the
convolutions behind the first compute in half precision: bf16 has 8 bits of mantissa, so that an
image rounded to it would lose the differences that a loss is about.
"""

import difflib
import itertools
import re
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from losses.features.embedded import EmbeddedBackbone
from losses.features.pooling import L2Pool2d
from losses.functional import check_side
from losses.masks import freeze
from losses.weights import load_state_dict

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HUB_FILE = "model.safetensors"
PRECISIONS = ("float32", "bf16")
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "max": partial(nn.MaxPool2d, 2, 2),
    "avg": partial(nn.AvgPool2d, 2, 2),
    "l2": L2Pool2d,  # of DISTS
}


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone offers: its taps in order, and its customary input and pooling."""

    taps: tuple[str, ...]
    normalize: bool
    pooling: str


def _vgg_taps(*convs_per_level: int) -> tuple[str, ...]:
    return tuple(f"relu{level}_{n}" for level, n in enumerate(convs_per_level, start=1))


BACKBONES: dict[str, BackboneSpec] = {
    "vgg16": BackboneSpec(_vgg_taps(2, 2, 3, 3, 3), normalize=False, pooling="avg"),
    "vgg19": BackboneSpec(_vgg_taps(2, 2, 4, 4, 4), normalize=True, pooling="max"),
    "embedded": BackboneSpec(("tap1", "tap2", "tap3"), normalize=True, pooling="avg"),
}


def _to_bf16(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
    return out.to(torch.bfloat16)


def _lower(body: nn.Module) -> None:
    """Let all convolutions but the first compute in bfloat16, on maps with channels last."""
    first, *others = (module for module in body.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_hook(_to_bf16)
    for conv in others:
        conv.to(torch.bfloat16, memory_format=torch.channels_last)


class Backbone(nn.Module):
    """A frozen feature extractor for RGB images in [0, 1].

    Args:
        body: module that maps (B, 3, H, W) to a list of feature maps.
        channels: channels of each map.
        normalize: whether to apply ImageNet mean and standard deviation first.
        min_side: height and width below which an image would lose its last pixel in a pool.
        taps: name of each map; None to number them.
        precision: "float32" (in truth the image's own type), or "bf16": every convolution but the
            first in bfloat16, channels last. Maps are returned in the image's type either way.
        compile: run the body through `torch.compile`, which works when it first runs.

    Raises:
        ValueError: an unknown precision.
    """

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
        _check_name("precision", precision, PRECISIONS)
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


def _check_name(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(known)}{hint}")


def check_backbone(name: str) -> None:
    """Raise ValueError, with the nearest known name, if there is no such backbone."""
    _check_name("backbone", name, tuple(BACKBONES))


def _replace_pools(module: nn.Module, pooling: str) -> None:
    _check_name("pooling", pooling, tuple(POOLINGS))
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, POOLINGS[pooling]())


def _published_file(name: str) -> Path:
    """File of the published ImageNet weights, from the Hugging Face cache or downloaded."""
    import huggingface_hub
    import timm

    source = timm.get_pretrained_cfg(name)
    cached = huggingface_hub.try_to_load_from_cache(source.hf_hub_id, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    try:
        urllib.request.urlopen(huggingface_hub.constants.ENDPOINT, timeout=5).close()  # noqa: S310
        return Path(huggingface_hub.hf_hub_download(source.hf_hub_id, HUB_FILE))
    except OSError as error:
        raise FileNotFoundError(
            f"the weights of {name} ({source.hf_hub_id}) are not on this machine and could not be "
            f"downloaded ({type(error).__name__}): connect once, or give a local file, "
            "`weights: FILE`, with torchvision's key names (features.0.weight, ...)"
        ) from error


def _load_vgg_file(body: nn.Module, path: str | Path) -> None:
    """Load torchvision key names strictly; layers behind the last tap may stand in the file."""
    state = load_state_dict(path)
    wanted = body.state_dict()
    found = {name.replace("features.", "features_", 1): value for name, value in state.items()}
    missing = [name for name in wanted if name not in found]
    wrong = [n for n in wanted if n in found and found[n].shape != wanted[n].shape]
    if missing or wrong:
        bad = (missing + wrong)[0].replace("features_", "features.")
        raise ValueError(
            f"{path}: expected {len(wanted)} VGG tensors, got {len(missing)} missing and "
            f"{len(wrong)} of another shape, first {bad} (choose fewer taps, or another file)"
        )
    body.load_state_dict({name: found[name] for name in wanted})


def _conv_names(spec: BackboneSpec) -> dict[str, list[str]]:
    """Torchvision's names of the convolutions that each tap of a VGG adds, in order."""
    names, index = {}, 0
    for tap in spec.taps:
        convs = int(tap.rsplit("_", 1)[1])
        names[tap] = [f"features.{index + 2 * n}.weight" for n in range(convs)]
        index += 2 * convs + 1  # every convolution has a ReLU, every level ends in a pool
    return names


def _taps_in(path: str | Path, name: str) -> tuple[str, ...]:
    """Taps of a VGG whose convolutions all stand in the file (a file may end early)."""
    found = {key for key in load_state_dict(path) if re.fullmatch(r"features\.\d+\.weight", key)}
    if not found:
        raise ValueError(f"{path}: expected VGG weights (features.0.weight, ...), got none")
    convs = _conv_names(BACKBONES[name])
    foreign = sorted(found - set(itertools.chain.from_iterable(convs.values())))
    if foreign:
        raise ValueError(f"{path}: expected weights of {name}, got a layer {foreign[0]} it has not")
    complete = itertools.takewhile(lambda tap: found.issuperset(convs[tap]), convs)
    taps = tuple(complete)
    if not taps:
        raise ValueError(f"{path}: expected the weights of one tap or more of {name}, got fewer")
    return taps


def _initialise(body: nn.Module) -> None:
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)


def _build_vgg(
    name: str, spec: BackboneSpec, taps: Sequence[str] | None, weights: str | Path | None
) -> tuple[nn.Module, list[int], list[str]]:
    local = weights not in (None, "random")
    held = _taps_in(weights, name) if local else spec.taps
    taps = held if taps is None else tuple(taps)
    for tap in taps:
        _check_name("tap", tap, spec.taps)
    if not taps or len(set(taps)) < len(taps):
        raise ValueError(f"expected one tap or more, each once, got {list(taps)}")
    indices = tuple(sorted(spec.taps.index(tap) for tap in taps))
    import timm  # takes a second: only those who use a VGG wait for it

    with torch.device("meta"):  # timm makes the unused classifier too: 0.4 GB, 4 seconds
        body = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)
    body = body.to_empty(device="cpu")
    if weights == "random":
        _initialise(body)
    else:
        _load_vgg_file(body, weights if local else _published_file(name))
    return body, body.feature_info.channels(), [spec.taps[index] for index in indices]


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
        name: "vgg16", "vgg19" or "embedded".
        taps: which ReLUs to compare, "relu1_2" ... "relu5_3"; None for all that the weights hold.
        weights: None for the published weights (timm downloads them; the embedded ones ship),
            a local file with torchvision's key names, or "random" for an untrained network.
        pooling: "avg", "max" or "l2" (of DISTS); None for the backbone's custom.
        normalize: apply ImageNet mean and std to the [0, 1] input; None for the custom.
        precision: "float32" or "bf16" of the convolutions, see Backbone.
        compile: run the body through `torch.compile`.

    Returns:
        A Backbone, frozen and in evaluation mode.

    Raises:
        FileNotFoundError: the weights are not here and cannot be downloaded.
        ValueError: an unknown name, tap, pooling or precision, or a file that does not fit.
    """
    check_backbone(name)
    _check_name("precision", precision, PRECISIONS)  # before a long download
    spec = BACKBONES[name]
    normalize = spec.normalize if normalize is None else normalize
    if name == "embedded":
        if taps is not None or pooling is not None or normalize is not spec.normalize:
            raise ValueError("the embedded backbone has fixed taps, pooling and normalisation")
        body = EmbeddedBackbone()
        if weights != "random":
            body.load_state_dict(load_state_dict(weights or "embedded_backbone"))
        least = 2 ** (len(body.channels) - 1)
        # the body normalises by itself
        return Backbone(body, body.channels, False, least, None, precision, compile)
    body, channels, taps = _build_vgg(name, spec, taps, weights)
    pools = sum(isinstance(module, nn.MaxPool2d) for module in body.modules())
    pooling = pooling or spec.pooling
    _replace_pools(body, pooling)
    least = 1 if pooling == "l2" else 2**pools  # l2 pooling pads: it never loses the last pixel
    return Backbone(body, channels, normalize, least, taps, precision, compile)
