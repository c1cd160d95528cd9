"""What an ablation of mask training shows: a table of agreement, and error maps of one pair."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

import losses
from restoration.evaluate.layouts import markdown
from restoration.maps.figure import CELL, DPI, TEXT_HEIGHT, TOP_SHARE
from restoration.masks.trainable import EnhancedMetric

COLUMNS = 4  # error maps beside each other


@dataclass(frozen=True)
class Row:
    """Agreement of one metric with the ratings that all are measured on.

    Args:
        name: of the variant, or "plain e-mae" for the metric without masks.
        training: what it was trained on, in words.
        overall: Spearman correlation over all pairs, None where it is not defined.
        families: the same per family of distortions.
    """

    name: str
    training: str
    overall: float | None
    families: Mapping[str, float | None]


def table_cells(rows: Sequence[Row]) -> list[list[str]]:
    """Heading and rows as text; "-" where a correlation is not defined."""
    families = list(dict.fromkeys(family for row in rows for family in row.families))

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    cells = [["variant", "all", *families, "trained on"]]
    for row in rows:
        numbers = [row.overall, *(row.families.get(family) for family in families)]
        cells.append([row.name, *map(text, numbers), row.training])
    return cells


def _with_best(cells: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows below the heading, the best number of each column in bold."""
    columns = list(zip(*cells[1:], strict=True))
    best = [max((c for c in column if c != "-"), key=_number, default="") for column in columns]
    return [
        [
            f"**{cell}**" if 0 < place < len(row) - 1 and cell == best[place] else cell
            for place, cell in enumerate(row)
        ]
        for row in cells[1:]
    ]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.0


def write_table(folder: Path, rows: Sequence[Row], about: str) -> None:
    """Write ablation.md, rounded, and ablation.csv in full precision."""
    cells = table_cells(rows)
    text = f"{about}\n\n{markdown(cells[0], _with_best(cells), []).strip()}\n"
    (folder / "ablation.md").write_text(text, encoding="utf-8")
    with (folder / "ablation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(cells[0])
        for row in rows:
            numbers = [row.overall, *(row.families.get(name) for name in cells[0][2:-1])]
            texts = ["" if value is None else repr(value) for value in numbers]
            writer.writerow([row.name, *texts, row.training])


@torch.no_grad()
def error_map(
    metric: EnhancedMetric,
    reference: Tensor,
    distorted: Tensor,
    masked: bool = True,
    scaler: losses.ScalerNetwork | None = None,
) -> np.ndarray:
    """Error of every pixel, all taps together; with a scaler network s it is s(error) - s(0).

    Args:
        metric: the metric.
        reference: (1, 3, H, W) in [0, 1].
        distorted: (1, 3, H, W) in [0, 1].
        masked: with the masks, or plain.
        scaler: makes the maps of several variants comparable.

    Returns:
        (H, W) float32.
    """
    size = reference.shape[-2:]
    maps = metric.error_maps(reference, distorted, masked)
    error = metric.weigh([F.interpolate(map_, size) for map_ in maps]).cpu()  # (1, 1, H, W)
    if scaler is not None:
        error = scaler(error) - scaler(torch.zeros_like(error[:, :, :1, :1]))
    return error[0, 0].numpy()


def draw_maps(
    path: Path,
    pictures: Mapping[str, np.ndarray],
    plain: tuple[str, np.ndarray],
    maps: Mapping[str, np.ndarray],
) -> None:
    """Draw a pair, the plain error, and a map per variant, all of these on one colour scale.

    Args:
        path: PNG to write.
        pictures: (H, W, 3) by title.
        plain: title and map of the metric without masks, on a scale of its own.
        maps: (H, W) by name of the variant.
    """
    height, width = plain[1].shape
    lines = 1 + -(-len(maps) // COLUMNS)
    cell = (CELL * min(1, width / height), CELL * min(1, height / width) + TEXT_HEIGHT)
    size = (COLUMNS * cell[0] + 1, lines * cell[1])
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(lines, COLUMNS)
    for axis in axes.ravel():
        axis.set_axis_off()
    for axis, (title, picture) in zip(axes[0], pictures.items(), strict=False):
        _show(axis, title, picture)
    drawn = _show(axes[0, len(pictures)], plain[0], plain[1], _limit([plain[1]]))
    bar = axes[0, -1].inset_axes([0.02, 0.0, 0.05, 1.0])
    figure.colorbar(drawn, cax=bar, extend="max").set_label(f"{plain[0]}: error")
    limit = _limit(list(maps.values()))
    for axis, (title, map_) in zip(axes[1:].ravel(), maps.items(), strict=False):
        drawn = _show(axis, title, map_, limit)
    label = "visible difference: s(error) - s(0)"
    figure.colorbar(drawn, ax=axes[1:], aspect=40, fraction=0.03, extend="max").set_label(label)
    figure.savefig(path, dpi=DPI)


def _limit(maps: Sequence[np.ndarray]) -> float:
    return max(float(np.quantile(map_, TOP_SHARE)) for map_ in maps) or 1.0


def _show(axis: Axes, title: str, picture: np.ndarray, limit: float = 1.0) -> AxesImage:
    axis.set_title(title, fontsize=10)
    return axis.imshow(picture, cmap="magma", vmin=0, vmax=limit, interpolation="nearest")
