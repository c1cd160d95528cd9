"""Fronts: what a loss buys and what it costs, through its weights, and which front lies above.

A loss with a perceptual term has no one result but a curve: with its weight a perceptual distance
falls, and PSNR with it. Two losses are compared where their curves overlap: by how much the quality
(PSNR) of one is higher at equal distance (LPIPS), training by training, in the mean over the
distances that both reach. Between points a curve is interpolated, see `interpolation`; a point that
another of its curve excels in both is left out, for nobody would choose it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from restoration.compare.front_difference import (
    Axes,
    FrontDifference,
    FrontPoint,
    difference_of,
    points_of,
    seed_effects,
)
from restoration.compare.judges import canonical
from restoration.compare.options import Statistics
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.compare.verdicts import BETTER, INCONCLUSIVE, WORSE, enough, holm, verdict
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import Row, condition_columns, conditions_of, only_gaussian, to_row
from restoration.metrics import Metric

QUALITIES, DISTANCES = ("psnr", "ssim"), ("lpips", "dists", "milo", "e_mae")
METHOD = (
    "difference of fronts at equal distance, seed by seed, mean over the distances that both "
    "curves reach; curves are interpolated monotonically (cubic Hermite pieces), points that "
    "another of their curve excels in both are left out; photographs enter by jackknife "
    "pseudo-values, then as for all differences"
)


@dataclass(frozen=True)
class Panel:
    """Quality against perceptual distance under one condition.

    Attributes:
        quality: metric, upwards.
        distance: metric, to the right.
        condition: that the images were tested under.
        curves: points of every curve in the order of its weights; one point without a grid.
        differences: of every other front to that of the reference.
    """

    quality: str
    distance: str
    condition: Condition
    curves: dict[str, list[FrontPoint]]
    differences: list[FrontDifference]


def curves_of(recipes: Iterable[ResolvedRecipe]) -> dict[str, dict[str, str]]:
    """Group recipes into curves: label by recipe, by name of the curve.

    A curve runs along the weight of a loss term, or along the first key of a grid without one;
    other keys of the grid make curves of their own.
    """
    curves: dict[str, dict[str, str]] = {}
    for recipe in recipes:
        along = next((s for s in recipe.settings if s.is_weight), None)
        along = along or next(iter(recipe.settings), None)
        others = [setting.text for setting in recipe.settings if setting is not along]
        name = " ".join([recipe.family or recipe.name, *others])
        curves.setdefault(name, {})[recipe.name] = along.text if along else ""
    return curves


def fronts_of(plan: Plan, metrics: Mapping[str, Metric], rows: Sequence[Row]) -> list[Panel]:
    """Draw up the fronts of a comparison.

    Args:
        plan: whose grids are the curves; without a grid every recipe is a point.
        metrics: that were measured, among them PSNR or SSIM and a perceptual distance.
        rows: one per run, seed, set, image and condition; runs that are no recipe are left out.

    Returns:
        See `find_fronts`; nothing where a quality or a distance was not measured.
    """
    names = [recipe.name for recipe in plan.recipes]
    kinds = {name: canonical(metric.label) for name, metric in metrics.items()}
    up = {name: metric.higher_is_better for name, metric in metrics.items()}
    return find_fronts(
        [row for row in rows if row.run in names],
        curves_of(plan.recipes),
        {name: up[name] for kind in QUALITIES for name in kinds if kinds[name] == kind},
        {name: up[name] for kind in DISTANCES for name in kinds if kinds[name] == kind},
        plan.reference.name,
        plan.settings.statistics,
    )


def find_fronts(
    rows: Sequence[Row | Mapping[str, Any]],
    curves: Mapping[str, Mapping[str, str]],
    qualities: Mapping[str, bool],
    distances: Mapping[str, bool],
    reference: str,
    statistics: Statistics | None = None,
) -> list[Panel]:
    """Draw up the fronts, and say which lies above.

    Args:
        rows: one per run, seed, set, image and condition, see `find_differences`.
        curves: label by run in the order of the weights, by name of the curve, see `curves_of`.
        qualities: metrics that go upwards, such as psnr, and whether higher is better.
        distances: metrics that go to the right, such as lpips, and whether higher is better.
        reference: a run; its curve is the one that others are compared with, or else the first
            that has several points.
        statistics: as for `find_differences`; `primary` fronts are those of two primary metrics.

    Returns:
        One panel per quality, distance and condition.

    Raises:
        ValueError: runs of a curve do not have the same images and seeds.
    """
    how, every = statistics or Statistics(), [to_row(row) for row in rows]
    panels = []
    for condition in conditions_of(every):
        some = [row for row in every if row.condition == condition]
        for quality, quality_up in qualities.items():
            for distance, distance_up in distances.items():
                axes = Axes(quality, distance, quality_up, distance_up)
                panels.append(_panel(some, curves, axes, reference, how))
    return _judge(panels, qualities, how)


def _panel(
    rows: Sequence[Row],
    curves: Mapping[str, Mapping[str, str]],
    axes: Axes,
    reference: str,
    how: Statistics,
) -> Panel:
    every = [run for labels in curves.values() for run in labels]
    effects = seed_effects(rows, every, axes, how)
    points = {name: points_of(rows, labels, axes, how, effects) for name, labels in curves.items()}
    fronts = {
        name: [point.recipe for point in of_curve if not point.excelled]
        for name, of_curve in points.items()
        if len(of_curve) > 1
    }
    first = next((name for name in fronts if reference in curves[name]), next(iter(fronts), ""))
    differences = [
        difference_of(rows, axes, (name, first), (fronts[name], fronts[first]), how)
        for name in fronts
        if name != first
    ]
    return Panel(axes.quality, axes.distance, rows[0].condition, points, differences)


def _judge(panels: Sequence[Panel], qualities: Mapping[str, bool], how: Statistics) -> list[Panel]:
    """Correct the tests of every family, primary fronts and others, and give the verdicts."""
    judged = list(panels)
    for first in (True, False):
        family = [
            (n, k, d.estimate)
            for n, panel in enumerate(panels)
            for k, d in enumerate(panel.differences)
            if d.estimate is not None and _is_primary(panel, how) is first
        ]
        p_values = holm([one.p for _, _, one in family])
        p_equivalents = holm([one.p_equivalent for _, _, one in family])
        num_tests = sum(one.p is not None for _, _, one in family)
        for (n, k, one), p, p_equivalent in zip(family, p_values, p_equivalents, strict=True):
            fewest = enough(max(1, num_tests), how.alpha)
            up = qualities[panels[n].quality]
            word = verdict(one, up, p, p_equivalent, fewest, how.alpha)
            difference = judged[n].differences[k]
            if word in (BETTER, WORSE) and difference.crosses:
                word = INCONCLUSIVE
            changed = list(judged[n].differences)
            changed[k] = replace(
                difference, p_holm=p, p_equivalent_holm=p_equivalent, fewest=fewest, verdict=word
            )
            judged[n] = replace(judged[n], differences=changed)
    return judged


def _is_primary(panel: Panel, how: Statistics) -> bool:
    return how.primary is None or {panel.quality, panel.distance} <= set(how.primary)


def plain_fronts(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Fronts as result files hold them."""
    sigma = only_gaussian(panel.condition for panel in panels)
    return [
        {"quality": panel.quality, "distance": panel.distance}
        | condition_columns(panel.condition, sigma)
        | {"curves": {name: [asdict(p) for p in points] for name, points in panel.curves.items()}}
        | {"differences": [asdict(difference) for difference in panel.differences]}
        for panel in panels
    ]
