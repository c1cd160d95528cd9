"""Several trainings of one recipe, with different seeds, taken together.

A row of a training with one of several seeds has the seed under SEED; rows of checkpoints, of the
noisy input and of comparisons without `seeds` have none, and hold beside every seed.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from restoration.compare.statistics import mean_difference
from restoration.evaluate.candidates import plain_digest
from restoration.evaluate.measure import Row
from restoration.evaluate.tables import SPREAD, summarize

SEED = "seed"
PLACE = ("run", "set", "image", "sigma")


def mark(rows: Sequence[Row], run: str, seed: int | None) -> list[Row]:
    """Write the seed into a run's own rows; those of other runs (the noisy input) stay."""
    if seed is None:
        return list(rows)
    return [row | {SEED: seed} if row["run"] == run else row for row in rows]


def seeds_of(rows: Sequence[Row]) -> list[int]:
    """Seeds that rows were trained with, in their order."""
    return list(dict.fromkeys(row[SEED] for row in rows if SEED in row))


def with_seed(rows: Sequence[Row], seed: int) -> list[Row]:
    """Rows of one seed, and those that have none."""
    return [row for row in rows if row.get(SEED, seed) == seed]


def average(rows: Sequence[Row]) -> list[Row]:
    """Average every value of an image over the seeds.

    Args:
        rows: one per run, seed, set, image and sigma.

    Returns:
        One row per run, set, image and sigma, without seeds; a row that has no seed stays as it is.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in PLACE), []).append(row)
    return [_average(members) for members in groups.values()]


def _average(members: Sequence[Row]) -> Row:
    first = members[0]
    if SEED not in first:
        return first
    names = [key for key in first if key not in (*PLACE, SEED)]
    means = {name: fmean(row[name] for row in members) for name in names}
    return {key: first[key] for key in PLACE} | means


def mean_differences(
    rows: Sequence[Row], metric: str, sigma: float, pair: tuple[str, str]
) -> dict[int, float | None]:
    """Mean difference of two recipes for every seed, over all test images.

    Args:
        rows: one per run, seed, set, image and sigma.
        metric: whose values are compared.
        sigma: noise level.
        pair: the recipe and the reference; a checkpoint is compared with every seed of the other.

    Returns:
        Recipe minus reference by seed; None where no image has a finite difference. Empty where
        neither has seeds.
    """
    own = [row for row in rows if row["run"] in pair and row["sigma"] == sigma]
    found = {}
    for seed in seeds_of(own):
        sides: tuple[dict, dict] = ({}, {})
        for row in with_seed(own, seed):
            sides[pair.index(row["run"])][row["set"], row["image"]] = row[metric]
        mine, others = sides
        found[seed] = mean_difference(list(mine.values()), [others[key] for key in mine])
    return found


def add_spread(summary: Sequence[Row], rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Add to every mean how far the means of the single trainings lie apart.

    Args:
        summary: means over images and seeds, as `summarize` returns them for averaged rows.
        rows: one per run, seed, set, image and sigma.
        names: the metric columns.

    Returns:
        The summary; rows of recipes that were trained with several seeds have under SPREAD, by
        metric, the sample standard deviation (n - 1) over the seeds of the mean over images.
    """
    single: dict[tuple[Any, ...], list[Row]] = {}
    for seed in seeds_of(rows):
        for row in summarize([row for row in rows if row.get(SEED) == seed], names):
            single.setdefault((row["run"], row["set"], row["sigma"]), []).append(row)
    found = []
    for row in summary:
        members = single.get((row["run"], row["set"], row["sigma"]), [])
        values = {name: [one[name] for one in members] for name in names}
        spread = {n: stdev(v) for n, v in values.items() if len(v) > 1 and None not in v}
        found.append(row | ({SPREAD: spread} if spread else {}))
    return found


def merge_identities(identities: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Take the hashes of all trainings of a recipe together.

    Args:
        identities: of every training in the order of the seeds, see `identity.identify`.

    Returns:
        By key the value that all trainings have, else one SHA-256 of all their values.
    """
    merged = {}
    for key, value in identities[0].items():
        values = [one[key] for one in identities]
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
        rows = [one[step] for one in by_step]
        keys = [key for key in first if all(key in row for row in rows)]
        means.append({key: fmean(row[key] for row in rows) for key in keys})
    return means
