"""Crops side by side, as PNG data URIs: images, error maps and masks on common scales."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image

import losses
from restoration.compare import seeds
from restoration.compare.report.crops import Crop, by_difference, dark_smooth
from restoration.compare.result import Record
from restoration.evaluate import EvaluationSet, Row
from restoration.evaluate.measure import Denoise, to_batch
from restoration.evaluate.picture import to_image
from restoration.evaluate.rows import condition_text
from restoration.metrics import as_rgb

TOP_SHARE = 0.995  # quantile of all shown values at which a colour scale ends
STOPS = 9  # of the colour bar
RANKING = "e_mae"  # the metric that chooses images, where it was measured


@dataclass(frozen=True)
class Tile:
    """One small picture: data URI, text for those who cannot see it, caption."""

    uri: str
    alt: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class DrawnCrop:
    """A crop: its rule; noisy, every recipe and reference; error map and mask per recipe."""

    crop: Crop
    images: list[Tile]
    errors: list[Tile]
    masks: list[Tile]


@dataclass(frozen=True)
class Gallery:
    """All crops, and where the two colour scales end."""

    crops: list[DrawnCrop]
    pair: tuple[str, str]
    error_limit: float
    mask_limit: float


class Restorer:
    """Restores test images when asked, each once.

    Args:
        record: the comparison.
        denoisers: what every recipe restores with; of several trainings, the first.
        sets: test sets by name.
        device: where to compute.
    """

    def __init__(
        self,
        record: Record,
        denoisers: Mapping[str, Denoise],
        sets: Mapping[str, EvaluationSet],
        device: torch.device,
    ):
        self.denoisers, self.sets, self.device = denoisers, sets, device
        self.condition = record.plan.picture_condition
        self.mask_of = losses.EnhancedMAE().to(device).mask
        self._kept: dict[tuple[str, str, str], tuple[np.ndarray, ...]] = {}

    def restore(self, recipe: str, name: str, image: str) -> tuple[np.ndarray, ...]:
        """Return noisy, restored and clean (H, W, C) or (H, W), error and mask (H, W)."""
        key = (recipe, name, image)
        if key not in self._kept:
            test_set = self.sets[name]
            index = test_set.source.names.index(image)
            clean_image = test_set.source.read_float(index)
            clean = to_batch(clean_image, self.device)
            degraded = test_set.degrade(clean_image, index, self.condition)
            noisy = to_batch(degraded, self.device)
            restored = self.denoisers[recipe](noisy, self.condition)
            mask = self.mask_of(as_rgb(restored), as_rgb(clean))
            error = (restored - clean).abs().mean(1, keepdim=True)
            parts = (noisy, restored, clean, error, mask)
            self._kept[key] = tuple(to_image(part) for part in parts)
        return self._kept[key]

    def error(self, recipe: str, name: str, image: str) -> np.ndarray:
        """Mean absolute error over channels, (H, W)."""
        return self.restore(recipe, name, image)[3]


def focus(record: Record) -> tuple[str, str]:
    """Return the two recipes by which images are chosen: those of the first expectation."""
    plan = record.plan
    if plan.settings.expected:
        first = plan.settings.expected[0]
        return first.recipe, first.against or plan.reference.name
    return (*plan.challengers, plan.reference)[0].name, plan.reference.name


def draw_crops(
    record: Record,
    denoisers: Mapping[str, Denoise],
    sets: Mapping[str, EvaluationSet],
    device: torch.device,
) -> Gallery:
    """Choose the crops by their rules and draw them.

    Args:
        record: the comparison.
        denoisers: what every recipe restores with.
        sets: test sets by name.
        device: where to compute.

    Returns:
        The gallery.
    """
    restorer, pair = Restorer(record, denoisers, sets, device), focus(record)
    condition = restorer.condition
    names = list(record.columns)
    metric = RANKING if RANKING in names else names[0]
    column = record.columns[metric]
    ranking = (metric, column.label, column.higher_is_better, condition)
    crops = by_difference(record.findings.rows, pair, *ranking, restorer.error)
    crops += dark_smooth(sets, condition)
    cut = [[_cut(part, crop) for part in _parts(restorer, record, crop)] for crop in crops]
    limits = [_limit([parts[k] for group in cut for parts in group]) for k in (3, 4)]
    values = {
        (row.run, row.set, row.image): f"{column.label} {column.text(row.values[metric])}"
        for row in shown_rows(record)
        if row.condition == condition
    }
    drawn = [
        _draw(record, crop, parts, values, limits) for crop, parts in zip(crops, cut, strict=True)
    ]
    return Gallery(drawn, pair, *limits)


def shown_rows(record: Record) -> list[Row]:
    """Values of the networks whose pictures are shown: those of the first seed."""
    rows, trained_with = record.findings.trainings, record.plan.seeds
    return seeds.with_seed(rows, trained_with[0]) if trained_with else rows


def _parts(restorer: Restorer, record: Record, crop: Crop) -> list[tuple[np.ndarray, ...]]:
    return [restorer.restore(recipe.name, crop.set, crop.image) for recipe in record.plan.recipes]


def _cut(parts: tuple[np.ndarray, ...], crop: Crop) -> list[np.ndarray]:
    rows = slice(crop.top, crop.top + crop.side)
    columns = slice(crop.left, crop.left + crop.side)
    return [part[rows, columns] for part in parts]


def _limit(maps: list[np.ndarray]) -> float:
    """Where a common colour scale ends: a high quantile of everything that is shown."""
    if not maps:
        return 1.0
    return max(float(np.quantile(np.concatenate([m.ravel() for m in maps]), TOP_SHARE)), 1e-3)


def _draw(
    record: Record,
    crop: Crop,
    parts: list[list[np.ndarray]],
    values: dict[tuple[str, str, str], str],
    limits: list[float],
) -> DrawnCrop:
    where = f"{crop.image} of {crop.set}"
    noisy, _, clean, _, _ = parts[0]
    images = [
        _tile(noisy, f"Noisy crop of {where}", f"noisy, {condition_text(crop.condition, 'σ {:g}')}")
    ]
    errors, masks = [], []
    for recipe, (_, restored, _, error, mask) in zip(record.plan.recipes, parts, strict=True):
        value = values.get((recipe.name, crop.set, crop.image), "")
        images.append(_tile(restored, f"Crop of {where} restored by {recipe.name}", recipe.name))
        shown = magma(error, limits[0])
        errors.append(_tile(shown, f"Error map of {recipe.name} on {where}", value))
        masks.append(
            _tile(
                magma(mask, limits[1]),
                f"Visual mask of {recipe.name} on {where}",
                f"mean {mask.mean():.3f}",
            )
        )
    images.append(_tile(clean, f"Reference crop of {where}", "reference"))
    return DrawnCrop(crop, images, errors, masks)


def magma(values: np.ndarray, limit: float) -> np.ndarray:
    """Colour (H, W) values on a scale from 0 to limit -> (H, W, 3) in [0, 1]."""
    return colormaps["magma"](np.clip(values / limit, 0, 1))[:, :, :3]


def colour_stops() -> list[str]:
    """Colours of the bar from 0 to the limit, as CSS."""
    return [to_hex(colormaps["magma"](k / (STOPS - 1))) for k in range(STOPS)]


def _tile(image: np.ndarray, alt: str, caption: str) -> Tile:
    """Encode an (H, W, 3) or (H, W) image in [0, 1]."""
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Tile(uri, alt, caption, pixels.shape[1], pixels.shape[0])
