"""Crops side by side, as PNG data URIs: images, error maps and masks on common scales."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image
from torch import Tensor

from restoration.compare import seeds
from restoration.compare.fronts import curves_of
from restoration.compare.report.crops import (
    Crop,
    Ranking,
    by_difference,
    merge_same,
)
from restoration.compare.report.restorer import Parts, Restorer
from restoration.compare.result import Record
from restoration.degradations.conditions import Condition
from restoration.evaluate import Row
from restoration.evaluate.measure import NOISY

TOP_SHARE = 0.995  # quantile of all shown values at which a colour scale ends
STOPS = 9  # of the colour bar
DARK_SHOWN = 2  # dark and smooth crops
RANKINGS = ("e_mae", "lpips")  # metrics that choose images, where they were measured
ZOOM, SMALLEST = 3, 320  # CSS pixels per pixel of a crop, and of a whole crop


@dataclass(frozen=True)
class Tile:
    """One image: data URI, text for those who cannot see it, size as it is shown."""

    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Layer:
    """What can be blinked to: an image, with its error map and mask where it was restored."""

    name: str
    caption: str
    image: Tile
    error: Tile | None = None
    mask: Tile | None = None


@dataclass(frozen=True)
class DrawnCrop:
    """A crop: its rule; noisy, every recipe and reference; which of them is shown first."""

    crop: Crop
    layers: list[Layer]
    first: int


@dataclass(frozen=True)
class Gallery:
    """All crops, and where the two colour scales end."""

    crops: list[DrawnCrop]
    pair: tuple[str, str]
    error_limit: float
    mask_limit: float


def focus(record: Record) -> tuple[str, str]:
    """Return the two recipes by which images are chosen.

    Those of the first expectation; in a grid the reference and the other loss at its weight; else
    the first recipe and the reference.
    """
    plan = record.plan
    reference = plan.reference.name
    if plan.settings.expected:
        first = plan.settings.expected[0]
        return first.recipe, first.against or reference
    curves = list(curves_of(plan.recipes).values())
    others = [labels for labels in curves if reference not in labels]
    if others and len(curves) < len(plan.recipes):
        weight = next(labels[reference] for labels in curves if reference in labels)
        same = [name for name, label in others[0].items() if label == weight]
        return (*same, *others[0])[0], reference
    return (*plan.challengers, plan.reference)[0].name, reference


def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error, (B, C, H, W) -> (B,)."""
    return (prediction - target).abs().mean((1, 2, 3))


def rankings(record: Record, restorer: Restorer) -> list[Ranking]:
    """By what images are chosen: E-MAE and LPIPS where they were measured, else the first metric.

    Another metric than these may need larger windows: absolute error stands for it there.
    """
    chosen = [name for name in RANKINGS if name in record.columns]
    found = []
    for name in chosen or list(record.columns)[:1]:
        column = record.columns[name]
        own = name in chosen
        function = record.metrics.by_name[name] if own else absolute_error
        measure = partial(restorer.window_values, function)
        if not own and column.higher_is_better:
            measure = partial(restorer.window_values, lambda x, y: -absolute_error(x, y))
        label = column.label.replace(" x100", "")
        what = f"its {label}" if own else "absolute error"
        found.append(
            Ranking(name, label, column.higher_is_better, restorer.condition, measure, what)
        )
    return found


def choose_crops(record: Record, restorer: Restorer, dark: Sequence[Crop]) -> list[Crop]:
    """Choose by the rules: largest wins, the median image, and the first dark and smooth crops."""
    crops: list[Crop] = []
    for number, ranking in enumerate(rankings(record, restorer)):
        rows, pair = record.findings.rows, focus(record)
        crops += by_difference(rows, pair, ranking, restorer.luma, with_median=number == 0)
    return merge_same([*crops, *dark[:DARK_SHOWN]])


def draw_crops(record: Record, restorer: Restorer, crops: Sequence[Crop]) -> Gallery:
    """Draw crops for the report.

    Args:
        record: the comparison.
        restorer: of its test images.
        crops: see `choose_crops`.

    Returns:
        The gallery.
    """
    pair = focus(record)
    runs = [NOISY, *(recipe.name for recipe in record.plan.recipes)]
    cut = [{run: restorer.cut(run, crop) for run in runs} for crop in crops]
    limits = (
        _limit([parts[run].error for parts in cut for run in runs[1:]]),
        _limit([parts[run].mask for parts in cut for run in runs[1:]]),
    )
    values = captions(record, restorer.condition)
    drawn = [
        DrawnCrop(crop, _layers(crop, parts, values, limits), runs.index(pair[0]))
        for crop, parts in zip(crops, cut, strict=True)
    ]
    return Gallery(drawn, pair, *limits)


def captions(record: Record, condition: Condition) -> dict[tuple[str, str, str], str]:
    """What is printed under a crop, by run, set and image: values of the whole image."""
    shown = [name for name in RANKINGS if name in record.columns] or list(record.columns)[:1]
    return {
        (row.run, row.set, row.image): ", ".join(
            f"{record.columns[name].label} {record.columns[name].text(row.values[name])}"
            for name in shown
            if name in row.values
        )
        for row in shown_rows(record)
        if row.condition == condition
    }


def shown_rows(record: Record) -> list[Row]:
    """Values of the networks whose images are shown: those of the first seed."""
    rows, trained_with = record.findings.trainings, record.plan.seeds
    return seeds.with_seed(rows, trained_with[0]) if trained_with else rows


def _limit(maps: list[np.ndarray]) -> float:
    """Where a common colour scale ends: a high quantile of everything that is shown."""
    if not maps:
        return 1.0
    return max(float(np.quantile(np.concatenate([m.ravel() for m in maps]), TOP_SHARE)), 1e-3)


def _layers(
    crop: Crop,
    parts: Mapping[str, Parts],
    values: Mapping[tuple[str, str, str], str],
    limits: tuple[float, float],
) -> list[Layer]:
    """Draw noisy input, every recipe and reference."""
    where = f"{crop.image} of {crop.set}"
    layers = []
    for run, part in parts.items():
        what = f"Crop of {where}, {'noisy' if run == NOISY else f'restored by {run}'}"
        mean = f"mean {part.mask.mean():.3f}"
        layers.append(
            Layer(
                run,
                values.get((run, crop.set, crop.image), ""),
                picture_tile(part.restored, what),
                map_tile(part.error, limits[0], f"Error map of {run} on {where}"),
                map_tile(part.mask, limits[1], f"Visual mask of {run} on {where}, {mean}"),
            )
        )
    clean = next(iter(parts.values())).clean
    return [*layers, Layer("reference", "", picture_tile(clean, f"Reference crop of {where}"))]


def map_tile(values: np.ndarray, limit: float, alt: str) -> Tile:
    """Encode (H, W) values in magma's colours, from 0 to limit; a palette takes a third of RGB."""
    indices = np.rint(np.clip(values / limit, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(indices)
    palette = np.rint(colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    image.putpalette(palette.tobytes())
    return encode(image, alt)


def colour_stops() -> list[str]:
    """Colours of the bar from 0 to the limit, as CSS."""
    return [to_hex(colormaps["magma"](k / (STOPS - 1))) for k in range(STOPS)]


def picture_tile(image: np.ndarray, alt: str) -> Tile:
    """Encode an (H, W, 3) or (H, W) image in [0, 1]."""
    return encode(to_picture(image), alt)


def to_picture(image: np.ndarray) -> Image.Image:
    """Round an (H, W, 3) or (H, W) image in [0, 1] to 8 bits."""
    return Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))


def encode(image: Image.Image, alt: str) -> Tile:
    """Encode an image as PNG in a data URI, shown at least SMALLEST wide."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    zoom = max(ZOOM, -(-SMALLEST // image.width))
    return Tile(uri, alt, zoom * image.width, zoom * image.height)
