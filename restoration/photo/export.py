"""Exporting denoisers for other programs: safetensors, ONNX, TorchScript, each checked on images.

An exported network takes images of any size: what it needs to pad and to crop is part of it.
"""

import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from losses.naming import check_name
from restoration.archs import restore
from restoration.archs.protocol import (
    image_channels,
    size_multiple,
    smallest_side,
    takes_squares,
)
from restoration.photo.model import NETWORK_G, Network, find_checkpoint, load_denoiser

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt"}
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18
LARGEST_ERROR = 1e-4  # of a value in [0, 1]
SIDE = 64  # of the images that an export is tried on, about

Run = Callable[[Tensor], Tensor]


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


def export(
    model: str | PathLike[str] | None,
    format: str,
    out: str | PathLike[str] | None = None,
    network: Network | None = None,
    force: bool = False,
) -> tuple[Path, dict[tuple[int, int], float]]:
    """Export a denoiser, and compare what was written with the network on three sizes.

    Args:
        model: see `load_denoiser`.
        format: "safetensors", the weights with the options of their network; "onnx" (opset 18) or
            "torchscript", the network itself for images (1, C, H, W) of any height and width.
        out: file to write; default: beside the checkpoint, with another ending.
        network: see `load_denoiser`.
        force: whether a file that is there may be replaced.

    Returns:
        The file, and the largest difference for each (height, width).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        FileExistsError: the file is there.
        ValueError: unknown format, a package is missing, the network cannot be exported, or what
            was written differs by more than 1e-4.
    """
    check_name("format", format, tuple(SUFFIXES))
    checkpoint, options = find_checkpoint(model, network)
    path = checkpoint.with_suffix(SUFFIXES[format]) if out is None else Path(out)
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists: --force replaces it")
    denoiser = load_denoiser(model, network)
    if takes_squares(denoiser):
        raise ValueError(f"{checkpoint}: a network for square images alone cannot be exported")
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its own exporters
            run = WRITERS[format](denoiser, options, part)
            differences = _compare(denoiser, run)
        largest = max(differences.values())
        if not largest <= LARGEST_ERROR:
            raise ValueError(
                f"expected {format} to differ by at most {LARGEST_ERROR:g}, got {largest:.2g}"
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path, differences


def _compare(denoiser: nn.Module, run: Run) -> dict[tuple[int, int], float]:
    """Largest difference between a network and its export, by height and width."""
    side = max(SIDE, size_multiple(denoiser), smallest_side(denoiser))
    generator = torch.Generator().manual_seed(0)
    differences = {}
    for size in ((side, side), (side + 13, side + 30), (2 * side - 7, side + 1)):
        image = torch.rand(1, image_channels(denoiser), *size, generator=generator)
        differences[size] = float((run(image) - restore(denoiser, image)).abs().max())
    return differences


def _safetensors(denoiser: nn.Module, options: Mapping[str, Any] | None, path: Path) -> Run:
    metadata = {"format": "pt"}
    if options is not None:
        metadata[NETWORK_G] = json.dumps(dict(options))
    state = {name: t.detach().clone().contiguous() for name, t in denoiser.state_dict().items()}
    path.write_bytes(save(state, metadata))
    written = load_denoiser(path, options)
    return lambda image: restore(written, image)


def _torchscript(denoiser: nn.Module, options: Mapping[str, Any] | None, path: Path) -> Run:
    with torch.no_grad():
        traced = torch.jit.trace(AnySize(denoiser).eval(), _example(denoiser), check_trace=False)
    torch.jit.save(traced, str(path))
    written: nn.Module = torch.jit.load(str(path))

    def run(image: Tensor) -> Tensor:
        with torch.no_grad():
            return written(image)

    return run


def _onnx(denoiser: nn.Module, options: Mapping[str, Any] | None, path: Path) -> Run:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ValueError(f"ONNX needs {', '.join(missing)}: pip install {' '.join(missing)}")
    import onnxruntime

    shortest = max(2 * size_multiple(denoiser), smallest_side(denoiser))
    sides = {
        2: torch.export.Dim("height", min=shortest, max=2**14),
        3: torch.export.Dim("width", min=shortest, max=2**14),
    }
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        torch.onnx.export(
            AnySize(denoiser).eval(),
            (_example(denoiser),),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=(sides,),
            external_data=False,
            verbose=False,
        )
    except Exception as error:  # torch has a class for each stage; the first line says what
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"this network cannot be exported as ONNX: {text}") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"input": image.numpy()})[0])


def _example(denoiser: nn.Module) -> Tensor:
    side = max(SIDE, 2 * size_multiple(denoiser), smallest_side(denoiser))
    return torch.rand(1, image_channels(denoiser), side - 4, side - 12)


WRITERS: dict[str, Callable[[nn.Module, Mapping[str, Any] | None, Path], Run]] = {
    "safetensors": _safetensors,
    "onnx": _onnx,
    "torchscript": _torchscript,
}
