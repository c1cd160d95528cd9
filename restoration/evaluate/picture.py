"""One image to look at: noisy, restored, reference, error and mask, a row per condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import losses
from restoration.degradations.conditions import Condition
from restoration.evaluate.measure import Denoise, to_batch
from restoration.evaluate.rows import condition_text
from restoration.evaluate.sets import EvaluationSet
from restoration.maps.figure import top_of
from restoration.metrics import as_rgb

PICTURE_CONDITIONS = 4
ERROR_LIMIT = 0.2  # absolute error that the colour scale ends at, of a range of 1
LONGEST = 1500  # pixels of a side that are drawn
TALLEST, WIDEST = 4.0, 0.25  # height / width of a row's images; beyond, they stand in white
TITLES = ("noisy", "restored", "reference", "error", "visual mask")


@dataclass(frozen=True)
class Shown:
    """A row of the picture, in pixels that are drawn: large images are averaged.

    Attributes:
        images: noisy, restored and clean, (H, W, 3) in [0, 1], or (H, W) of grey ones.
        error: (H, W), mean over the channels.
        mask: (H, W) in [0, 1].
    """

    images: tuple[np.ndarray, np.ndarray, np.ndarray]
    error: np.ndarray
    mask: np.ndarray


def shown(noisy: Tensor, restored: Tensor, clean: Tensor, mask: Tensor) -> Shown:
    """Make a row of images (1, C, H, W) in [0, 1] and a mask (1, 1, H, W)."""
    error = (restored - clean).abs_().mean(1, keepdim=True)
    images = (to_small_image(noisy), to_small_image(restored), to_small_image(clean))
    return Shown(images, to_small_image(error), to_small_image(mask))


def shown_with_mask(noisy: Tensor, restored: Tensor, clean: Tensor) -> Shown:
    """Make a row with the mask of E-MAE."""
    with torch.no_grad():
        mask = losses.EnhancedMAE().mask(as_rgb(restored), as_rgb(clean))
    return shown(noisy, restored, clean, mask)


def to_image(batch: Tensor) -> np.ndarray:
    """(1, C, H, W) -> (H, W, C) or (H, W) for one channel, clamped to [0, 1]."""
    image = batch[0].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    return image[:, :, 0] if image.shape[2] == 1 else image


def to_small_image(batch: Tensor) -> np.ndarray:
    """As `to_image`, large ones averaged: a cell has 300 pixels, and matplotlib copies them all."""
    factor = -(-max(batch.shape[-2:]) // LONGEST)
    if factor > 1:
        batch = functional.avg_pool2d(batch.clamp(0, 1), factor, ceil_mode=True)
    return to_image(batch)


def denoising_figure(
    path: Path,
    rows: Sequence[tuple[str, Tensor, Tensor, Tensor, Tensor]],
) -> None:
    """Draw noisy | restored | reference | error | mask.

    Args:
        path: PNG to write.
        rows: (label, noisy, restored, clean, mask) per row; images (1, 3, H, W) in [0, 1], mask
            (1, 1, H, W) in [0, 1].
    """
    draw_rows(path, [(label, shown(*tensors)) for label, *tensors in rows])


def draw_rows(path: Path, rows: Sequence[tuple[str, Shown]]) -> None:
    """Draw rows under their labels into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    height, width = rows[0][1].mask.shape
    shape = min(max(height / width, WIDEST), TALLEST)
    size = (3.0 * len(TITLES) + 1.0, 3.0 * len(rows) * shape + 0.6)
    figure, axes = pyplot.subplots(
        len(rows), len(TITLES), figsize=size, squeeze=False, layout="constrained"
    )
    mask_limit = top_of([row.mask for _, row in rows])
    for line, (label, row) in zip(axes, rows, strict=True):
        for axis, picture in zip(line, row.images, strict=False):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
        of_error = line[3].imshow(row.error, cmap="magma", vmin=0, vmax=ERROR_LIMIT)
        of_mask = line[4].imshow(row.mask, cmap="magma", vmin=0, vmax=mask_limit)
        line[0].set_ylabel(label, parse_math=False)
        for axis in line:
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set_visible(False)
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title, parse_math=False)
    below: dict[str, Any] = {"location": "bottom", "shrink": 0.9, "pad": 0.02, "extend": "max"}
    figure.colorbar(of_error, ax=axes[:, 3], **below)
    figure.colorbar(of_mask, ax=axes[:, 4], **below)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def draw_picture(
    path: Path,
    denoise: Denoise,
    test_set: EvaluationSet,
    device: torch.device,
    known: Mapping[Condition, Shown] | None = None,
) -> None:
    """Draw the first image of a set under its conditions (four at most).

    Args:
        path: PNG to write.
        denoise: restores an image.
        test_set: the set.
        device: where to compute.
        known: rows by condition, where the evaluation has them already.
    """
    rows = dict(known or {})
    drawn = test_set.conditions[:PICTURE_CONDITIONS]
    unknown = [condition for condition in drawn if condition not in rows]
    clean = test_set.source.read_float(0) if unknown else None
    for condition in unknown:
        assert clean is not None
        noisy = to_batch(test_set.degrade(clean, 0, condition), device)
        restored = denoise(noisy, condition)
        rows[condition] = shown_with_mask(noisy, restored, to_batch(clean, device))
    draw_rows(path, [(condition_text(condition), rows[condition]) for condition in drawn])
