"""Exporting denoisers for other programs, each export checked against the network on images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, log10
from os import PathLike
from pathlib import Path

import torch
from torch import nn

from losses.naming import check_name
from restoration.archs import restore
from restoration.archs.protocol import (
    image_channels,
    size_multiple,
    smallest_side,
    takes_squares,
)
from restoration.common import durable
from restoration.photo import darktable
from restoration.photo.exported import SIDE, Run, Write, write_safetensors, write_torchscript
from restoration.photo.model import Network, find_checkpoint, load_denoiser
from restoration.photo.onnx_file import write_onnx

SUFFIXES = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "torchscript": ".pt",
    "dtmodel": ".dtmodel",
}
LARGEST_ERROR = 1e-4  # of a value in [0, 1], where weights are float32
LOWEST_PSNR = 60.0  # dB, where they are float16


@dataclass(frozen=True)
class Difference:
    """How an export answers other than its network does.

    Args:
        height: of the image.
        width: of the image.
        largest: absolute difference, of values in [0, 1].
        psnr: in dB, infinite where the answers are equal.
    """

    height: int
    width: int
    largest: float
    psnr: float


def export(
    model: str | PathLike[str] | None,
    format: str,
    out: str | PathLike[str] | None = None,
    network: Network | None = None,
    force: bool = False,
    half: bool = False,
    card: Mapping[str, str] | None = None,
) -> tuple[Path, list[Difference]]:
    """Export a denoiser, and compare what was written with the network on three sizes.

    Args:
        model: see `load_denoiser`.
        format: "safetensors", the weights with the options of their network; "onnx" (opset 18) or
            "torchscript", the network itself for images (1, C, H, W) of any height and width;
            "dtmodel", darktable's package of an ONNX file, see `restoration.photo.darktable`.
        out: file to write; default: beside the checkpoint, or in the working folder for a denoiser
            by name, with another ending.
        network: see `load_denoiser`.
        force: whether a file that is there may be replaced.
        half: write weights as float16. Norms, biases and all computing stay float32.
        card: of a dtmodel: fields of the model card, `restoration.photo.darktable.CARD_FIELDS`.

    Returns:
        The file, and the difference at each size.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        FileExistsError: the file is there.
        ValueError: unknown format, a package is missing, the network cannot be exported, or what
            was written differs by more than 1e-4, or with half by less than 60 dB of PSNR.
    """
    check_name("format", format, tuple(SUFFIXES))
    checkpoint, options = find_checkpoint(model, network)
    path = _target(model, checkpoint, format) if out is None else Path(out)
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists: --force replaces it")
    denoiser = load_denoiser(model, network)
    if takes_squares(denoiser):
        raise ValueError(f"{checkpoint}: a network for square images alone cannot be exported")
    write = WRITERS[format]
    if format == "dtmodel":
        stated = darktable.complete_card(model, card or {})
        write = partial(darktable.write_dtmodel, identifier=path.stem, card=stated)
    elif card:
        raise ValueError(f"expected a card with the format dtmodel alone, got {format}")
    with durable.replacing(path) as part:
        run = write(denoiser, options, part, half)
        differences = compare(denoiser, run)
        _check(format, differences, half)
    return path, differences


def _target(model: str | PathLike[str] | None, checkpoint: Path, format: str) -> Path:
    """Beside a checkpoint; in the working folder where it is a denoiser's, in our own package."""
    beside = model is not None and Path(model).expanduser() == checkpoint
    return (checkpoint if beside else Path(checkpoint.name)).with_suffix(SUFFIXES[format])


def compare(denoiser: nn.Module, run: Run) -> list[Difference]:
    """Run a network and its export on images of three sizes.

    Args:
        denoiser: the network.
        run: what its export answers.
    """
    side = max(SIDE, size_multiple(denoiser), smallest_side(denoiser))
    generator = torch.Generator().manual_seed(0)
    differences = []
    for size in ((side, side), (side + 13, side + 30), (2 * side - 7, side + 1)):
        image = torch.rand(1, image_channels(denoiser), *size, generator=generator)
        difference = (run(image) - restore(denoiser, image)).double()
        error = float(difference.square().mean())
        psnr = inf if error == 0 else -10 * log10(error)
        differences.append(Difference(*size, float(difference.abs().max()), psnr))
    return differences


def _check(format: str, differences: Sequence[Difference], half: bool) -> None:
    """Raise ValueError where an export answers something else than its network."""
    largest = max(difference.largest for difference in differences)
    psnr = min(difference.psnr for difference in differences)
    if not half and not largest <= LARGEST_ERROR:
        raise ValueError(
            f"expected {format} to differ by at most {LARGEST_ERROR:g}, got {largest:.2g}"
        )
    if half and not psnr >= LOWEST_PSNR:
        raise ValueError(
            f"expected {format} in float16 to match the network with {LOWEST_PSNR:g} dB or more, "
            f"got {psnr:.1f} dB: export it without half"
        )


WRITERS: dict[str, Write] = {
    "safetensors": write_safetensors,
    "onnx": write_onnx,
    "torchscript": write_torchscript,
    "dtmodel": darktable.write_dtmodel,
}
