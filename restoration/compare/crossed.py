"""Differences of two runs as a table: a row per pair of trainings, a column per test image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restoration.evaluate.rows import Row, condition_text

Image = tuple[str, str]  # set, name
Values = dict[int | None, dict[Image, float]]  # by seed


@dataclass(frozen=True)
class Crossed:
    """Run minus reference, every training on every image.

    Attributes:
        d: (S, I) differences; not finite where one of two values is infinite.
        seeds: S seeds, or None alone where neither run has any.
        images: I images.
        num_trainings: of the run that was trained less often.
    """

    d: np.ndarray
    seeds: tuple[int | None, ...]
    images: tuple[Image, ...]
    num_trainings: int


def cross(rows: Sequence[Row], metric: str, run: str, reference: str) -> Crossed:
    """Pair two runs by seed and image.

    Args:
        rows: of one condition; a run that has no seeds holds beside every seed of the other.
        metric: whose values are compared.
        run: a run.
        reference: the other run.

    Raises:
        ValueError: they were not trained with the same seeds, or one misses an image or the metric.
    """
    tables = [_by_seed(rows, metric, name) for name in (run, reference)]
    seeds = _seeds((run, reference), tables)
    sides = [{seed: table.get(seed) or table[None] for seed in seeds} for table in tables]
    images = tuple(dict.fromkeys(i for side in sides for values in side.values() for i in values))
    for name, side in zip((run, reference), sides, strict=True):
        for seed, values in side.items():
            missing = [image for image in images if image not in values]
            if missing:
                of_set, image = missing[0]
                raise ValueError(
                    f"expected the same images of {run} and {reference} at "
                    f"{condition_text(rows[0].condition)}, got none of {name}"
                    f"{'' if seed is None else f', seed {seed},'} for {image} of {of_set}"
                )
    value, other = (
        np.array([[side[seed][image] for image in images] for seed in seeds], float)
        for side in sides
    )
    with np.errstate(invalid="ignore"):
        d = np.where(value == other, 0.0, value - other)  # infinite ones, too
    return Crossed(d, seeds, images, min(len(table) for table in tables))


def _by_seed(rows: Sequence[Row], metric: str, run: str) -> Values:
    table: Values = {}
    for row in rows:
        if row.run != run:
            continue
        if metric not in row.values:
            raise ValueError(f"expected {metric} of {run}, image {row.image}, got no such value")
        table.setdefault(row.seed, {})[row.set, row.image] = row.values[metric]
    if not table:
        raise ValueError(f"expected rows of {run}, got none at {condition_text(rows[0].condition)}")
    if None in table and len(table) > 1:
        raise ValueError(f"expected every row of {run} to have a seed, or none, got both")
    return table


def _seeds(names: tuple[str, str], tables: Sequence[Values]) -> tuple[int | None, ...]:
    """Seeds that both runs have; those of one run where the other has none."""
    seeded = [table for table in tables if None not in table]
    if len(seeded) == 2 and seeded[0].keys() != seeded[1].keys():
        first, second = (", ".join(map(str, table)) for table in seeded)
        raise ValueError(
            f"expected the same seeds of {names[0]} and {names[1]}, got {first} and {second}"
        )
    return tuple(seeded[-1]) if seeded else (None,)
