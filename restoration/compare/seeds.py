"""Several trainings of one recipe, with different seeds, taken together.

A row of a training with one of several seeds has the seed; rows of checkpoints, of the noisy input
and of comparisons without `seeds` have none, and hold beside every seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from restoration.common.digests import plain_digest
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import Mean, Row, summarize


def seeds_of(rows: Sequence[Row]) -> list[int]:
    """Seeds that rows were trained with, in their order."""
    return list(dict.fromkeys(row.seed for row in rows if row.seed is not None))


def with_seed(rows: Sequence[Row], seed: int) -> list[Row]:
    """Rows of one seed, and those that have none."""
    return [row for row in rows if row.seed in (None, seed)]


def average(rows: Sequence[Row]) -> list[Row]:
    """Average every value of an image over the seeds.

    Args:
        rows: one per run, seed, set, image and condition.

    Returns:
        One row per run, set, image and condition, without seeds; a row that has no seed stays as
        it is.
    """
    groups: dict[tuple[str, str, str, Condition], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.run, row.set, row.image, row.condition), []).append(row)
    return [_average(members) for members in groups.values()]


def _average(members: Sequence[Row]) -> Row:
    first = members[0]
    if first.seed is None:
        return first
    means = {name: fmean(row.values[name] for row in members) for name in first.values}
    return replace(first, seed=None, values=means)


def add_spread(means: Sequence[Mean], rows: Sequence[Row]) -> list[Mean]:
    """Add to every mean how far the means of the single trainings lie apart.

    Args:
        means: over images and seeds, as `summarize` returns them for averaged rows.
        rows: one per run, seed, set, image and condition.

    Returns:
        The means; those of recipes that were trained with several seeds have, by metric, the sample
        standard deviation (n - 1) over the seeds of the mean over images.
    """
    single: dict[tuple[str, str, Condition], list[Mean]] = {}
    for seed in seeds_of(rows):
        for mean in summarize([row for row in rows if row.seed == seed]):
            single.setdefault((mean.run, mean.set, mean.condition), []).append(mean)
    return [
        replace(mean, sd=_spread(single.get((mean.run, mean.set, mean.condition), [])))
        for mean in means
    ]


def _spread(members: Sequence[Mean]) -> dict[str, float]:
    if len(members) < 2:
        return {}
    values = {name: [mean.values[name] for mean in members] for name in members[0].values}
    return {name: stdev(some) for name, some in values.items() if all(map(math.isfinite, some))}


def merge_identities(identities: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Take the hashes of all trainings of a recipe together.

    Args:
        identities: of every training in the order of the seeds, see `fairness.identify`.

    Returns:
        By key the value that all trainings have, else one SHA-256 of all their values.
    """
    merged = {}
    for key, value in identities[0].items():
        values = [identity[key] for identity in identities]
        merged[key] = value if all(v == value for v in values) else plain_digest(values)
    return merged


def mean_curves(curves: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """Average training curves over the seeds.

    Args:
        curves: rows of curves.csv, by training.

    Returns:
        Rows at the steps that every training has a point at, with the keys that all have there.
    """
    by_step = [{row["step"]: row for row in rows} for rows in curves]
    means = []
    for step, first in by_step[0].items():
        if not all(step in rows for rows in by_step):
            continue
        rows = [curve[step] for curve in by_step]
        keys = [key for key in first if all(key in row for row in rows)]
        means.append({key: fmean(row[key] for row in rows) for key in keys})
    return means
