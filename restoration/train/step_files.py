"""CSV files with rows by step: curves.csv of the losses, val.csv of the validations."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import Mean, condition_columns, metric_columns, only_gaussian
from restoration.train.curve_file import read_rows, start_rows

CURVES, VALIDATIONS = "curves.csv", "val.csv"


class StepFile:
    """A file that a resumed run writes on as if it had never stopped.

    Args:
        path: the file; rows behind `start` (of a run that was interrupted later than its last
            checkpoint) are dropped.
        start: step that the run continues from.
        heads: columns; the first is "step".
    """

    def __init__(self, path: Path, start: int, heads: Sequence[str]):
        self.path, self.heads = path, list(heads)
        start_rows(path, self.heads, read_rows(path, start) if start else [])

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Append rows."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.heads, extrasaction="ignore").writerows(rows)


def open_curves(folder: Path, start: int, terms: Iterable[str]) -> StepFile:
    """Open curves.csv: the mean of every loss term between two log lines."""
    return StepFile(folder / CURVES, start, ["step", "lr", "grad_norm", "total", *terms])


class ValidationFile:
    """val.csv: a row per step, set and condition, with the mean of every metric over its images.

    The condition is spelled as in per_image.csv: `sigma` where all are Gaussian noise, else
    `degradation` and `level`.

    Args:
        folder: of the run.
        start: step that the run continues from.
        conditions: of all validation sets.
        metrics: names.
    """

    def __init__(
        self, folder: Path, start: int, conditions: Iterable[Condition], metrics: Iterable[str]
    ):
        self.sigma = only_gaussian(conditions)
        self.columns = metric_columns(metrics)
        where = ["sigma"] if self.sigma else ["degradation", "level"]
        heads = ["step", "set", *where, *self.columns.values()]
        self.file = StepFile(folder / VALIDATIONS, start, heads)

    def add(self, step: int, means: Iterable[Mean]) -> None:
        """Append a validation."""
        self.file.add(
            *(
                {"step": step, "set": mean.set}
                | condition_columns(mean.condition, self.sigma)
                | {self.columns[name]: value for name, value in mean.values.items()}
                for mean in means
            )
        )
