"""Files of an exported network: safetensors and TorchScript, and what every format needs.

An exported network takes images of any size: what it needs to pad and to crop is part of it.
"""

import copy
import json
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from restoration.archs import restore
from restoration.archs.described import NETWORK_G
from restoration.archs.protocol import image_channels, size_multiple, smallest_side

SIDE = 64  # of the images that an export is tried on, about

Run = Callable[[Tensor], Tensor]
# network, its options, file, whether weights are float16 -> what runs the file
Write = Callable[[nn.Module, Mapping[str, Any] | None, Path, bool], Run]


class AnySize(nn.Module):
    """A network with its padding, cropping and clamping, in operations that can be exported.

    Args:
        network: maps images to images of the same size.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.multiple = network, size_multiple(network)

    def forward(self, image: Tensor) -> Tensor:
        """Restore images (B, C, H, W) in [0, 1], H and W at least the network's multiple."""
        height, width = image.shape[-2], image.shape[-1]
        right, below = (-width) % self.multiple, (-height) % self.multiple
        padded = functional.pad(image, (0, right, 0, below), mode="reflect")
        return self.network(padded)[..., :height, :width].clamp(0, 1)


def example(denoiser: nn.Module) -> Tensor:
    """An image whose sides are no multiples of what the network needs."""
    side = max(SIDE, 2 * size_multiple(denoiser), smallest_side(denoiser))
    return torch.rand(1, image_channels(denoiser), side - 4, side - 12)


def is_halved(shape: tuple[int, ...] | torch.Size) -> bool:
    """Whether weights of a shape become float16: kernels and matrices do, norms and biases not."""
    return len(shape) > 1


def write_safetensors(
    denoiser: nn.Module, options: Mapping[str, Any] | None, path: Path, half: bool
) -> Run:
    """Write weights, and the options of their network as metadata; equal weights, equal files."""
    metadata = {"format": "pt"}
    if options is not None:
        metadata[NETWORK_G] = json.dumps(dict(options))
    state = {
        name: t.detach().half() if half and is_halved(t.shape) else t.detach().clone()
        for name, t in denoiser.state_dict().items()
    }
    path.write_bytes(_ordered(save({k: t.contiguous() for k, t in state.items()}, metadata)))
    written = copy.deepcopy(denoiser)
    written.load_state_dict(load(path.read_bytes()))
    return lambda image: restore(written, image)


def _ordered(content: bytes) -> bytes:
    """The same file with its metadata in order, which safetensors shuffles."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def write_torchscript(
    denoiser: nn.Module, options: Mapping[str, Any] | None, path: Path, half: bool
) -> Run:
    """Write the network as a TorchScript program."""
    if half:
        raise ValueError("torchscript is written in float32 alone: leave out half")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own exporters
        traced = torch.jit.trace(AnySize(denoiser).eval(), example(denoiser), check_trace=False)
        torch.jit.save(traced, str(path))
        written: nn.Module = torch.jit.load(str(path))

    def run(image: Tensor) -> Tensor:
        with torch.no_grad():
            return written(image)

    return run
