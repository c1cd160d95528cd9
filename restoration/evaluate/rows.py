"""Values per image and their means, and how result files spell them.

Metrics have a mapping of their own in a row, so that no name of a metric can replace a column.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.options.datasets import AVERAGE_NAME

AVERAGE = AVERAGE_NAME
COLUMNS = ("run", "seed", "set", "image", "sigma", "degradation", "level", "n", "spread")


@dataclass(frozen=True)
class Row:
    """What was measured on one image.

    Args:
        run: name of what restored it.
        set: name of the test set.
        image: name of the image in its set.
        degradation: see `Condition`.
        level: see `Condition`.
        values: by name of the metric.
        seed: of the training, where a run was trained with several.
    """

    run: str
    set: str
    image: str
    degradation: str
    level: float | None
    values: dict[str, float]
    seed: int | None = None

    @property
    def condition(self) -> Condition:
        """Degradation and level."""
        return Condition(self.degradation, self.level)


@dataclass(frozen=True)
class Mean:
    """Means over the images of a set, or over sets.

    Args:
        run: name of what restored the images.
        set: name of the test set, or AVERAGE.
        degradation: see `Condition`.
        level: see `Condition`.
        n: number of images.
        values: by name of the metric; infinite where one image is restored without any error.
        sd: sample standard deviation of the means of several trainings, by name of the metric.
    """

    run: str
    set: str
    degradation: str
    level: float | None
    n: int
    values: dict[str, float]
    sd: dict[str, float] = field(default_factory=dict)

    @property
    def condition(self) -> Condition:
        """Degradation and level."""
        return Condition(self.degradation, self.level)


def summarize(rows: Sequence[Row]) -> list[Mean]:
    """Average over images, then over sets.

    Args:
        rows: one per run, set, image and condition, all with the same metrics.

    Returns:
        A mean per run, set and condition; the set "average" is the mean over sets, each with the
        same weight, and n its number of images.
    """
    groups: dict[tuple[str, str, Condition], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.run, row.set, row.condition), []).append(row)
    means = [
        Mean(run, name, condition.degradation, condition.level, len(members), _means(members))
        for (run, name, condition), members in groups.items()
    ]
    return means + _over_sets(means)


def _over_sets(means: Sequence[Mean]) -> list[Mean]:
    groups: dict[tuple[str, Condition], list[Mean]] = {}
    for mean in means:
        groups.setdefault((mean.run, mean.condition), []).append(mean)
    return [
        Mean(
            run,
            AVERAGE,
            condition.degradation,
            condition.level,
            sum(mean.n for mean in members),
            _means(members),
        )
        for (run, condition), members in groups.items()
    ]


def _means(members: Sequence[Row] | Sequence[Mean]) -> dict[str, float]:
    return {name: fmean(member.values[name] for member in members) for name in members[0].values}


def conditions_of(rows: Iterable[Row] | Iterable[Mean]) -> list[Condition]:
    """Every condition of some rows once, in order."""
    return in_order(row.condition for row in rows)


def in_order(conditions: Iterable[Condition]) -> list[Condition]:
    """Every condition once: degradations as they come, levels ascending."""
    unique = list(dict.fromkeys(conditions))
    order = list(dict.fromkeys(condition.degradation for condition in unique))
    return sorted(unique, key=lambda c: (order.index(c.degradation), c.level or 0.0))


def condition_text(condition: Condition, gaussian: str = "sigma {:g}") -> str:
    """Name a condition for people.

    Args:
        condition: what is named.
        gaussian: how Gaussian noise is written where "sigma 25" does not suit.

    Returns:
        Such as "sigma 25", "jpeg quality 30", or "paired" for a condition without a level.
    """
    if condition.level is None:
        return condition.degradation
    if condition.degradation == GAUSSIAN:
        return gaussian.format(condition.level)
    return f"{condition.degradation} {condition.level:g}"


def condition_slug(condition: Condition) -> str:
    """Name a condition in names of files and curves: "sigma25", "jpeg_quality_30", "paired"."""
    return re.sub(r"[^\w.]+", "_", condition_text(condition, "sigma{:g}")).strip("_")


def only_gaussian(conditions: Iterable[Condition]) -> bool:
    """Whether files can say `sigma` for the level of all of these."""
    return all(condition.degradation == GAUSSIAN for condition in conditions)


def condition_columns(condition: Condition, sigma: bool) -> dict[str, Any]:
    """Columns of a condition in files: `sigma`, or `degradation` and `level`."""
    if sigma:
        return {"sigma": condition.level}
    return {"degradation": condition.degradation, "level": condition.level}


def metric_columns(names: Iterable[str]) -> dict[str, str]:
    """Columns of metrics in files, by their names; a name that a column has gets "metric_"."""
    names = list(names)
    columns: dict[str, str] = {}
    for name in names:
        column = name
        while column in COLUMNS or (column != name and column in names):
            column = f"metric_{column}"
        columns[name] = column
    return columns


def plain_means(means: Sequence[Mean]) -> list[dict[str, Any]]:
    """Means as result files hold them, one flat mapping each."""
    sigma = only_gaussian(mean.condition for mean in means)
    columns = metric_columns(dict.fromkeys(name for mean in means for name in mean.values))
    return [
        {"run": mean.run, "set": mean.set}
        | condition_columns(mean.condition, sigma)
        | {"n": mean.n}
        | {columns[name]: value for name, value in mean.values.items()}
        | ({"spread": mean.sd} if mean.sd else {})
        for mean in means
    ]


def to_row(row: Row | Mapping[str, Any]) -> Row:
    """Read a flat mapping, as per_image.csv spells it; a Row stays as it is.

    Args:
        row: `run`, `set`, `image`, `sigma` or `degradation` and `level`, perhaps `seed`; what is
            left is metrics.

    Raises:
        ValueError: a column is missing.
    """
    if isinstance(row, Row):
        return row
    missing = [key for key in ("run", "set", "image") if key not in row]
    if missing or not ("sigma" in row or "degradation" in row):
        raise ValueError(
            "expected a Row or a mapping with run, set, image and sigma (or degradation and "
            f"level), got {', '.join(map(str, row))}"
        )
    gaussian = "degradation" not in row
    return Row(
        row["run"],
        row["set"],
        row["image"],
        GAUSSIAN if gaussian else row["degradation"],
        row["sigma"] if gaussian else row.get("level"),
        {name: value for name, value in row.items() if name not in COLUMNS},
        row.get("seed"),
    )
