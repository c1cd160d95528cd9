"""Where people would see a difference, by ColorVideoVDP: a calibrated model of contrast vision.

Its raw heat map says so pixel by pixel; here it is averaged over 8x8 blocks. A pair of 192x192
takes some 25 ms on a core, so the maps of a table are made once and kept beside it.

Source: Mantiuk, Hanji, Ashraf, Asano, Chapiro 2024, "ColorVideoVDP" (arXiv:2401.11485); the package
`cvvdp` (MIT), which brings its own parameters.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losses import extras
from restoration.common import durable
from restoration.opinion.table import OpinionTable

BLOCK = 8
DISPLAY = "standard_fhd"  # 38 pixels per degree


@cache
def _model() -> Any:
    try:
        from pycvvdp import cvvdp
    except ImportError as error:
        raise extras.missing("pycvvdp", "A map of visibility") from error
    return cvvdp(display_name=DISPLAY, heatmap="raw", device=torch.device("cpu"), quiet=True)


def visibility(reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """Visible difference at every pixel, as ColorVideoVDP predicts it for an office display.

    Args:
        reference: RGB (H, W, 3) uint8.
        distorted: RGB (H, W, 3) uint8.

    Returns:
        (H, W) float32, 0 where nothing is seen, up to 1.

    Raises:
        ValueError: cvvdp is not installed.
    """
    with torch.no_grad():
        _, found = _model().predict(distorted, reference, dim_order="HWC")
    return found["heatmap"].float().squeeze().numpy()


def mean_of_blocks(image: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Mean of every whole block, (H, W) -> (H // block, W // block)."""
    rows, columns = (side // block for side in image.shape)
    whole = image[: rows * block, : columns * block]
    return whole.reshape(rows, block, columns, block).mean((1, 3))


def with_visibility(
    table: OpinionTable, kept: Path | None = None, on_progress: Callable[[], None] | None = None
) -> OpinionTable:
    """The table with the visible difference of each pair's 8x8 blocks.

    Args:
        table: pairs; images of one size.
        kept: .npz file that keeps the maps; one made for other pairs is an error.
        on_progress: called after every reference.

    Raises:
        ValueError: cvvdp is not installed, or the file holds the maps of other pairs.
    """
    about = json.dumps({"pairs": _digest(table), "cvvdp": _version(), "display": DISPLAY})
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as content:
            if str(content["about"]) != about:
                raise ValueError(f"{kept}: made for other pairs, or by another cvvdp: delete it")
            return table.with_visible(content["visible"])
    maps: list[np.ndarray] = []
    for number, reference in enumerate(table.references):
        versions = (table.versions[pair] for pair in table.pairs_of(number))
        maps += [mean_of_blocks(visibility(reference, version)) for version in versions]
        if on_progress is not None:
            on_progress()
    order = np.concatenate([table.pairs_of(number) for number in range(len(table.references))])
    visible = np.array(maps, np.float16)[np.argsort(order)]  # (P, h, w)
    if kept is not None:
        with durable.replacing(kept) as part, part.open("wb") as file:
            np.savez(file, about=about, visible=visible)
    return table.with_visible(visible)


def _version() -> str:
    _model()
    return metadata.version("cvvdp")


def _digest(table: OpinionTable) -> str:
    digest = hashlib.sha256(table.row.tobytes())
    for image in table.versions:
        digest.update(np.ascontiguousarray(image[::BLOCK, ::BLOCK]).data)
    return digest.hexdigest()[:12]
