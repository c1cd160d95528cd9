"""`restoration.denoise`: one photograph, from a file or an array."""

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import nn

from restoration.common.distributed import choose_device
from restoration.photo.engines import TORCH, with_engine
from restoration.photo.memory import tile_side
from restoration.photo.model import Network, load_denoiser
from restoration.photo.reading import read_photograph
from restoration.photo.tiles import Denoiser, denoise_pixels
from restoration.photo.writing import write_photograph


def denoise(
    image: str | PathLike[str] | np.ndarray,
    model: str | PathLike[str] | nn.Module | None = None,
    *,
    out: str | PathLike[str] | None = None,
    strength: float = 1.0,
    detail: float = 0.0,
    tile: int | None = None,
    network: Network | None = None,
    engine: str = TORCH,
    device: str | torch.device | int = "auto",
) -> np.ndarray:
    """Denoise one photograph.

    Args:
        image: path of a photograph, see `restoration.photo.reading`; or an array, (H, W, 3) RGB or
            (H, W) grey: uint8, uint16, or floating point in [0, 1].
        model: path of a checkpoint, name of a shipped denoiser, or a network; default: the shipped
            denoiser.
        out: file that the result of a path is written to, in the format of the photograph and with
            its EXIF, profile and alpha; one that is there is replaced. Default: none.
        strength: share of the network's change that is made, in [0, 1].
        detail: share of the detail that is given back, in [0, 1], see
            `restoration.photo.detail.returned_detail`.
        tile: side of the tiles that large images are denoised in; default: by the free memory.
        network: options of the network, where the checkpoint does not say.
        engine: what runs a checkpoint: "torch", "onnxruntime" or "openvino"; a network runs in
            torch.
        device: where to compute, such as "cuda:1"; default: a GPU where there is one.

    Returns:
        The denoised image, upright, (H, W, 3) or (H, W), in the same kind of numbers; of a path
        without its alpha channel.

    Raises:
        FileNotFoundError: the photograph or the checkpoint is missing.
        ValueError: an argument is out of its range, or a file is of a kind that is not read.
    """
    device = choose_device(device if isinstance(device, int) else str(device))
    if isinstance(model, nn.Module):
        loaded = model.to(device)
    else:
        loaded = with_engine(load_denoiser(model, network, device), engine, device)
    denoiser = Denoiser(
        loaded, device, tile or tile_side(loaded, device), strength=strength, detail=detail
    )
    if isinstance(image, np.ndarray):
        if out is not None:
            raise ValueError("expected `out` with the path of a photograph, got it with an array")
        return denoise_pixels(denoiser, _channels(image)).reshape(image.shape)
    photograph = read_photograph(Path(image))
    photograph.pixels = denoise_pixels(denoiser, photograph.pixels)
    if out is not None:
        write_photograph(photograph, Path(out))
    pixels = photograph.pixels
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _channels(image: np.ndarray) -> np.ndarray:
    """(H, W, C) of an array that a caller gives."""
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if not shaped or not (image.dtype in (np.uint8, np.uint16) or image.dtype.kind == "f"):
        raise ValueError(
            "expected an array (H, W, 3) or (H, W) of uint8, uint16 or floating point in [0, 1], "
            f"got {image.shape} {image.dtype}"
        )
    return image if image.ndim == 3 else image[:, :, None]
