"""Points of a front, and the difference of two: quality at equal distance, with its uncertainty.

The difference of fronts is no mean over photographs, so that its table (training, photograph),
which `inference` takes, is made of jackknife pseudo-values (Tukey 1958): what a photograph
contributes is what changes without it. Verdicts then speak of new trainings on new photographs, as
those of all other differences do; the t interval over the seeds alone stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from restoration.compare.inference import Estimate, Uncertainty, average_groups, estimate
from restoration.compare.interpolation import interpolate
from restoration.compare.options import Statistics
from restoration.compare.photographs import photograph_of
from restoration.compare.verdicts import INCONCLUSIVE
from restoration.evaluate.rows import Row

NO_OVERLAP = "no overlap"
PLACES = 64  # of the overlap at which curves are compared
Interval = tuple[float, float]


@dataclass(frozen=True)
class FrontPoint:
    """One recipe under one condition.

    Attributes:
        recipe: a run.
        label: what it has of the grid, such as "share=0.3"; empty without one.
        x: mean of the perceptual distance over trainings and photographs.
        y: mean of the quality.
        x_interval: for new trainings on these photographs, without what a seed does to all runs
            alike, see `SeedEffects`; None for a single training.
        y_interval: the same of the quality.
        excelled: whether another point of its curve is better in one and no worse in the other.
    """

    recipe: str
    label: str
    x: float
    y: float
    x_interval: Interval | None
    y_interval: Interval | None
    excelled: bool = False


@dataclass(frozen=True)
class FrontDifference:
    """One front against that of the reference.

    Attributes:
        curve: its name.
        reference: name of the other.
        overlap: distances that both reach, mean over the trainings; None where they reach none in
            common in some training.
        estimate: quality at equal distance, curve minus reference; None without overlap.
        by_seed: the difference of every pair of trainings.
        ends: lowest and highest difference along the overlap, in the mean over the trainings.
        mean_linear: the mean if points are joined by straight lines: how much interpolation does.
        p_holm: corrected p-value of no difference.
        p_equivalent_holm: corrected p-value of a difference beyond the margin.
        fewest: trainings and photographs that a verdict needs.
        verdict: one of `verdicts.VERDICTS`, or NO_OVERLAP.
    """

    curve: str
    reference: str
    overlap: Interval | None = None
    estimate: Estimate | None = None
    by_seed: dict[int, float] = field(default_factory=dict)
    ends: Interval | None = None
    mean_linear: float | None = None
    p_holm: float | None = None
    p_equivalent_holm: float | None = None
    fewest: int = 2
    verdict: str = NO_OVERLAP

    @property
    def crosses(self) -> bool:
        """Whether each front is above the other somewhere."""
        return self.ends is not None and self.ends[0] < 0 < self.ends[1]


@dataclass(frozen=True)
class Axes:
    """Two metrics, and which way each is better."""

    quality: str
    distance: str
    quality_up: bool
    distance_up: bool


@dataclass(frozen=True)
class Table:
    """Values of some runs: (2, runs, S, N), distance and quality, trainings, photographs."""

    values: np.ndarray
    runs: list[str]
    seeds: list[int | None]

    def of(self, runs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Distance and quality of the points of a curve, (S, N, K) each."""
        places = [self.runs.index(run) for run in runs]
        x, y = np.moveaxis(self.values[:, places], 1, -1)
        return x, y


def _table(rows: Sequence[Row], runs: Sequence[str], axes: Axes, how: Statistics) -> Table:
    """Values of runs on the images that are finite for all, crops of a photograph averaged."""
    found: dict[str, dict[int | None, dict[tuple[str, str], tuple[float, float]]]] = {}
    for row in rows:
        if row.run in runs:
            pair = (row.values[axes.distance], row.values[axes.quality])
            found.setdefault(row.run, {}).setdefault(row.seed, {})[row.set, row.image] = pair
    seeds = list(dict.fromkeys(seed for run in runs for seed in found.get(run, {})))
    images = list(dict.fromkeys(i for run in found.values() for s in run.values() for i in s))
    for run in runs:
        of_run = found.get(run, {})
        if set(of_run) != set(seeds) or any(set(of_run[s]) != set(images) for s in seeds):
            raise ValueError(
                f"expected the same seeds and images of {', '.join(runs)}, got others of {run}"
            )
    values = np.array([[[found[r][s][i] for i in images] for s in seeds] for r in runs], float)
    values = np.moveaxis(values, -1, 0)  # (2, runs, S, I)
    finite = np.isfinite(values).all((0, 1, 2))
    kept = [image for image, good in zip(images, finite, strict=True) if good]
    groups = [(name, photograph_of(image, how.group)) for name, image in kept]
    flat = values[..., finite].reshape(-1, len(kept))  # (2 runs S, I)
    grouped = average_groups(flat, groups) if kept else flat
    return Table(grouped.reshape(*values.shape[:3], -1), list(runs), seeds)


@dataclass(frozen=True)
class SeedEffects:
    """What a seed does to all runs alike: its data, in their order, with their noise.

    Runs are compared seed by seed, so that this part of chance concerns no comparison, and
    intervals leave it out (Cousineau 2005), corrected for the number of runs (Morey 2008).

    Attributes:
        offsets: (2, S) of distance and quality, mean 0; zeros for a single run.
        factor: of variances.
    """

    offsets: np.ndarray
    factor: float


def seed_effects(
    rows: Sequence[Row], runs: Sequence[str], axes: Axes, how: Statistics
) -> SeedEffects | None:
    """Effects of the seeds that runs have in common.

    Args:
        rows: of one condition.
        runs: those that have no seed are left out.
        axes: two metrics.
        how: groups of images.

    Returns:
        The effects; None where no run has several seeds.
    """
    seeded = {row.run for row in rows if row.seed is not None}
    runs = [run for run in runs if run in seeded]
    if not runs:
        return None
    table = _table(rows, runs, axes, how)
    if len(table.seeds) < 2 or not table.values.size:
        return None
    by_seed = table.values.mean(-1)  # (2, runs, S)
    count = len(runs)
    if count == 1:
        return SeedEffects(np.zeros(by_seed.shape[::2]), 1.0)
    common = by_seed.mean(1)
    return SeedEffects(common - common.mean(1, keepdims=True), count / (count - 1))


def points_of(
    rows: Sequence[Row],
    labels: Mapping[str, str],
    axes: Axes,
    how: Statistics,
    effects: SeedEffects | None,
) -> list[FrontPoint]:
    """Points of a curve, of runs that have values."""
    points = []
    for run, label in labels.items():
        if not any(row.run == run for row in rows):
            continue
        values = _table(rows, [run], axes, how).values[:, 0]  # (2, S, N)
        if values.size:
            x, y = values.mean((1, 2)).tolist()
            of_x, of_y = _intervals(values.mean(2), effects, how.confidence)
            points.append(FrontPoint(run, label, x, y, of_x, of_y))
    signs = (1 if axes.distance_up else -1, 1 if axes.quality_up else -1)
    return [replace(point, excelled=_excelled(point, points, signs)) for point in points]


def _intervals(
    by_seed: np.ndarray, effects: SeedEffects | None, confidence: float
) -> list[Interval | None]:
    """T intervals over the trainings of (2, S) means; None for a single training."""
    num_seeds = by_seed.shape[1]
    if effects is None or num_seeds < 2:
        return [None, None]
    variances = (by_seed - effects.offsets).var(1, ddof=1) * effects.factor / num_seeds
    halves = [Uncertainty(float(v), num_seeds - 1).half_width(confidence) for v in variances]
    middles = by_seed.mean(1).tolist()
    return [(m - half, m + half) for m, half in zip(middles, halves, strict=True)]


def _excelled(point: FrontPoint, points: Sequence[FrontPoint], signs: tuple[int, int]) -> bool:
    gains = [(signs[0] * (p.x - point.x), signs[1] * (p.y - point.y)) for p in points]
    return any(min(gain) >= 0 and max(gain) > 0 for gain in gains)


def _gaps(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], monotone: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of two curves along their overlap.

    Args:
        x: distances of the points, (..., S, K) for each curve.
        y: qualities.
        monotone: see `interpolate`.

    Returns:
        Lower and upper end of the overlap in every training, (..., S), and the differences from
        one end to the other, (..., S, PLACES); not a number where there is no overlap.
    """
    low = np.maximum(*(one.min(-1) for one in x))
    high = np.minimum(*(one.max(-1) for one in x))
    steps = (np.arange(PLACES) + 0.5) / PLACES
    at = low[..., None] + (high - low)[..., None] * steps
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (interpolate(a, b, at, monotone) for a, b in zip(x, y, strict=True))
    d = np.where(first == second, 0.0, first - second)
    return low, high, np.where((high > low)[..., None], d, np.nan)


def difference_of(
    rows: Sequence[Row],
    axes: Axes,
    names: tuple[str, str],
    fronts: tuple[Sequence[str], Sequence[str]],
    how: Statistics,
) -> FrontDifference:
    """Compare two fronts; without a verdict yet."""
    nothing = FrontDifference(*names)
    if min(map(len, fronts)) < 2:
        return nothing  # one point excels all others of its curve
    table = _table(rows, [*fronts[0], *fronts[1]], axes, how)
    curves = [table.of(runs) for runs in fronts]
    x, y = ([one.mean(1) for one in side] for side in zip(*curves, strict=True))  # (S, K)
    low, high, d = _gaps(x, y)
    num_photographs = table.values.shape[-1]
    by_seed = d.mean(-1)
    pseudo = by_seed[:, None]
    if num_photographs > 1:
        without = [[_leave_one_out(one) for one in side] for side in zip(*curves, strict=True)]
        changed = _gaps(without[0], without[1])[2].mean(-1)  # (N, S)
        pseudo = pseudo - (num_photographs - 1) * (changed - changed.mean(0)).T
    if not np.isfinite(pseudo).all():
        return nothing  # also where one photograph less leaves none
    mean = d.mean(0)
    return replace(
        nothing,
        overlap=(float(low.mean()), float(high.mean())),
        estimate=estimate(pseudo, how.confidence, how.margins.get(axes.quality)),
        by_seed={s: float(v) for s, v in zip(table.seeds, by_seed, strict=True) if s is not None},
        ends=(float(mean.min()), float(mean.max())),
        mean_linear=float(_gaps(x, y, False)[2].mean()),
        verdict=INCONCLUSIVE,
    )


def _leave_one_out(values: np.ndarray) -> np.ndarray:
    """Means without one photograph each, (S, N, K) -> (N, S, K)."""
    num_photographs = values.shape[1]
    total = values.sum(1, keepdims=True)
    return np.moveaxis((total - values) / (num_photographs - 1), 1, 0)
