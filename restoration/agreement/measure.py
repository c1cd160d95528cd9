"""Values of metrics on every pair of a data set, computed once and kept in a folder.

What was measured stays valid only while images and metrics are the same: with the values stand a
digest of the images of each pair, and what every metric says of a fixed probe.
"""

import csv
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from restoration.common import durable
from restoration.common.folders import write_json
from restoration.common.reading import read_object, read_table
from restoration.evaluate.measure import to_batch
from restoration.metrics.against import Against
from restoration.metrics.fingerprint import Function, fingerprint
from restoration.opinion.people import Pairs

VALUES_FILE, VALIDITY_FILE = "per_pair.csv", "per_pair.json"
SAVE_SECONDS = 20.0


class PairValues:
    """Values of metrics by name, one per pair; NaN where not measured yet.

    Args:
        pairs: the data.
        functions: metrics by name.
        folder: where values are kept between runs; None keeps nothing. Values of other metrics
            stay there, those of other pairs do not.
        device: where the metrics are computed.
    """

    def __init__(
        self,
        pairs: Pairs,
        functions: Mapping[str, Function],
        folder: Path | None = None,
        device: torch.device | str = "cpu",
    ):
        self.pairs, self.functions, self.folder, self.device = pairs, functions, folder, device
        self._validity = {name: fingerprint(function) for name, function in functions.items()}
        self._images = [pairs.fingerprint(i) for i in range(len(pairs.distorted))]
        self._columns = {} if folder is None else self._load(folder)
        self._last: tuple[str, Against] | None = None  # a reference, and what measures there
        for name in functions:
            self._columns.setdefault(name, np.full(len(pairs.distorted), np.nan))

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    @property
    def num_missing(self) -> int:
        """How many pairs lack a value."""
        return int(self._missing().sum())

    def _missing(self) -> np.ndarray:
        columns = np.stack([self._columns[name] for name in self.functions])
        return np.isnan(columns).any(axis=0)  # (N,)

    def _load(self, folder: Path) -> dict[str, np.ndarray]:
        """Columns of the folder that are still valid."""
        if not all((folder / name).is_file() for name in (VALUES_FILE, VALIDITY_FILE)):
            return {}
        recorded_metrics = read_object(folder / VALIDITY_FILE).get("metrics")
        if not isinstance(recorded_metrics, dict):
            raise ValueError(f"expected `metrics` in {folder / VALIDITY_FILE}, got none: delete it")
        table = read_table(folder / VALUES_FILE)
        rows = {(row.get("distorted", ""), row.get("images", "")): row for row in table}
        kept = [rows.get(key, {}) for key in zip(self.pairs.distorted, self._images, strict=True)]
        columns = {}
        for name, recorded in recorded_metrics.items():
            if self._validity.setdefault(name, recorded) == recorded:
                columns[name] = np.array([float(row.get(name) or np.nan) for row in kept])
        return columns

    def save(self, scores: np.ndarray | None = None) -> None:
        """Write all values in full precision, with a column of scores where they are known."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Sequence[str]] = {
            "reference": self.pairs.references,
            "distorted": self.pairs.distorted,
            "category": self.pairs.categories,
            "images": self._images,
        }
        numbers = self._columns if scores is None else {"score": scores, **self._columns}
        for name, values in numbers.items():
            columns[name] = ["" if math.isnan(v) else repr(float(v)) for v in values]
        with durable.replacing(self.folder / VALUES_FILE) as part:
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))
            write_json(self.folder / VALIDITY_FILE, {"metrics": self._validity})

    def measure(self, on_progress: Callable[[], None] | None = None) -> None:
        """Fill what is missing; values so far are kept when this is interrupted.

        Args:
            on_progress: called after each pair that was measured.

        Raises:
            ValueError: an image cannot be read, two of a pair differ in size, a metric is not
                finite there; the pair is named.
        """
        try:
            self._measure(on_progress)
        finally:
            self.save()

    def _measure(self, on_progress: Callable[[], None] | None) -> None:
        saved = time.monotonic()
        for index in np.flatnonzero(self._missing()).tolist():
            for name, value in self._values(index).items():
                self._columns[name][index] = value
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
            if on_progress is not None:
                on_progress()

    def _values(self, index: int) -> dict[str, float]:
        """Of one pair, what is missing."""
        against, file = self._against(index), self.pairs.distorted[index]
        distorted = to_batch(self.pairs.read_distorted(index), self.device)
        if distorted.shape != against.target.shape:
            sizes = [f"{i.shape[-1]}x{i.shape[-2]}" for i in (against.target, distorted)]
            reference = self.pairs.references[index]
            raise ValueError(f"{file}: expected {sizes[0]} pixels like {reference}, got {sizes[1]}")
        try:
            with torch.no_grad():
                values = {name: float(v) for name, v in against.measure(distorted).items()}
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} on {file}: expected a finite value, got {value}")
        return values

    def _against(self, index: int) -> Against:
        """What measures a pair; a reference is read, and its features kept, until another comes."""
        reference = self.pairs.references[index]
        missing = [name for name in self.functions if math.isnan(self._columns[name][index])]
        if self._last is not None:
            name, against = self._last
            if name == reference and list(against.metrics) == missing:
                return against
        image = to_batch(self.pairs.read_reference(index), self.device)
        against = Against({name: self.functions[name] for name in missing}, image)
        self._last = reference, against
        return against
