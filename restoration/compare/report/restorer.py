"""Restored test images and their windows, made when a report asks for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import losses
from restoration.compare.report.crops import Crop, luma_of
from restoration.compare.result import Record
from restoration.evaluate import EvaluationSet
from restoration.evaluate.measure import NOISY, Denoise, as_given, to_batch
from restoration.evaluate.picture import to_image
from restoration.metrics import as_rgb


class Parts(NamedTuple):
    """A crop of restored and clean image, (H, W, C) or (H, W); of error and mask, (H, W)."""

    restored: np.ndarray
    clean: np.ndarray
    error: np.ndarray
    mask: np.ndarray


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
        self.denoisers = {NOISY: as_given, **denoisers}
        self.sets, self.device = sets, device
        self.condition = record.plan.picture_condition
        self.masked = losses.EnhancedMAE().to(device)
        self._kept: dict[tuple[str, str, str], tuple[Tensor, Tensor]] = {}

    def restore(self, recipe: str, name: str, image: str) -> tuple[Tensor, Tensor]:
        """Return restored and clean image, (1, C, H, W); the recipe NOISY restores nothing."""
        key = (recipe, name, image)
        if key not in self._kept:
            test_set = self.sets[name]
            index = test_set.source.names.index(image)
            clean_image = test_set.source.read_float(index)
            noisy = to_batch(test_set.degrade(clean_image, index, self.condition), self.device)
            restored = self.denoisers[recipe](noisy, self.condition)
            self._kept[key] = restored, to_batch(clean_image, self.device)
        return self._kept[key]

    def luma(self, name: str, image: str) -> np.ndarray:
        """Luma of a reference, (H, W)."""
        source = self.sets[name].source
        return luma_of(source.read_float(source.names.index(image)))

    def window_values(
        self,
        metric: Callable[[Tensor, Tensor], Tensor],
        recipe: str,
        name: str,
        image: str,
        windows: Sequence[tuple[int, int]],
        side: int,
    ) -> np.ndarray:
        """Measure windows, given as (top, left), of a restored image."""
        whole = self.restore(recipe, name, image)
        restored, clean = (
            torch.cat([one[:, :, t : t + side, x : x + side] for t, x in windows]) for one in whole
        )
        return metric(restored.clamp(0, 1), clean).double().cpu().numpy()

    def cut(self, recipe: str, crop: Crop) -> Parts:
        """Cut a crop out of a restored image, with its error and its mask."""
        restored, clean = self.restore(recipe, crop.set, crop.image)
        error = (restored - clean).abs().mean(1, keepdim=True)
        with torch.no_grad():
            mask = self.masked.mask(as_rgb(restored), as_rgb(clean))
        rows = slice(crop.top, crop.top + crop.side)
        columns = slice(crop.left, crop.left + crop.side)
        cut = (part[:, :, rows, columns] for part in (restored, clean, error, mask))
        return Parts(*map(to_image, cut))
