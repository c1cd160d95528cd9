"""Figures of the report: differences with intervals, images as points, training curves."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from restoration.compare.differences import Difference
from restoration.compare.findings import images_of
from restoration.compare.report.drawing import (
    FAINT,
    MARKERS,
    SERIES,
    STYLE,
    Drawing,
    legend_above,
    new_figure,
    safe_name,
)
from restoration.compare.result import Record
from restoration.compare.verdicts import BETTER, WORSE
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import condition_text
from restoration.train.plot import plain_ticks

LONGEST, NEWLINE = 28, "\n"  # letters of a label that stands in one line


def colour_of(record: Record, recipe: str) -> tuple[str, str]:
    """Colour and marker of a recipe."""
    names = [other.name for other in record.plan.recipes]
    number = names.index(recipe) % len(SERIES)
    return SERIES[number], MARKERS[number]


def unit(record: Record, metric: str) -> str:
    """Name of a metric with its unit."""
    column = record.columns[metric]
    return f"{column.label} ({column.unit})" if column.unit else column.label


def forest(record: Record, metric: str) -> Drawing:
    """Draw the mean difference to the reference with its interval, by condition and recipe."""
    names = [recipe.name for recipe in record.plan.challengers]
    conditions = record.findings.conditions
    rows = len(names) * len(conditions)
    figure, axis = new_figure(0.9 + 0.26 * rows + 0.12 * len(conditions))
    said = []
    with matplotlib.rc_context(STYLE):
        for number, name in enumerate(names):
            colour, marker = colour_of(record, name)
            for difference in record.findings.of(name, metric):
                condition, mean = difference.condition, difference.estimate.mean
                place = conditions.index(condition) * (len(names) + 0.5) + number
                _interval(axis, difference, place, colour, marker)
                said.append(f"{name} at {condition_text(condition)}: {mean:+.4f}")
            axis.plot([], [], marker=marker, color=colour, linestyle="none", label=name)
        axis.axvline(0, color=FAINT, linewidth=1, zorder=0)
        middles = [k * (len(names) + 0.5) + (len(names) - 1) / 2 for k in range(len(conditions))]
        axis.set_yticks(middles, [condition_text(condition, "σ {:g}") for condition in conditions])
        axis.set_ylim(middles[-1] + len(names) / 2 + 0.2, -0.7)
        axis.tick_params(axis="y", length=0)
        axis.locator_params(axis="x", nbins=5)
        way = "right" if record.columns[metric].higher_is_better else "left"
        label = f"{unit(record, metric)} minus that of {record.plan.reference.name}"
        axis.set_xlabel(f"{label}{', ' if len(label) < LONGEST else NEWLINE}{way} is better")
        if len(names) > 1:
            legend_above(figure, axis)
    alt = f"Mean differences in {record.columns[metric].label} with intervals. {'; '.join(said)}."
    return Drawing(safe_name("forest", metric), alt, figure)


def _interval(axis: Axes, difference: Difference, place: float, colour: str, marker: str) -> None:
    won = difference.verdict in (BETTER, WORSE)
    if difference.estimate.low is not None and difference.estimate.high is not None:
        axis.plot(
            [difference.estimate.low, difference.estimate.high],
            [place, place],
            color=colour,
            linewidth=1.8,
        )
    seeds = list(difference.by_seed.values())
    if len(seeds) > 1:
        axis.plot(seeds, [place] * len(seeds), marker="|", markersize=9, color=colour, linestyle="")
    axis.plot(
        difference.estimate.mean,
        place,
        marker=marker,
        markersize=6,
        color=colour,
        markerfacecolor=colour if won else "none",
        markeredgewidth=1.4,
        linestyle="none",
    )


def scatter(record: Record, recipe: str, metric: str, condition: Condition) -> Drawing:
    """Draw every image: the reference's value to the right, the recipe's upwards."""
    reference = record.plan.reference.name
    images = images_of(record.findings.rows, recipe, condition)
    others = images_of(record.findings.rows, reference, condition)
    pairs = [[others[key].values[metric], row.values[metric]] for key, row in images.items()]
    points = np.array(pairs, float)
    points = points[np.isfinite(points).all(1)]
    figure, axis = new_figure(3.2, 3.4)
    with matplotlib.rc_context(STYLE):
        colour, marker = colour_of(record, recipe)
        low, high = (points.min(), points.max()) if len(points) else (0.0, 1.0)
        room = 0.05 * (high - low) or 0.05
        ends = [low - room, high + room]
        axis.plot(ends, ends, color=FAINT, linewidth=1, zorder=0)
        axis.plot(*points.T, marker=marker, markersize=4.5, color=colour, alpha=0.8, linestyle="")
        axis.set(xlim=ends, ylim=ends, aspect="equal", xlabel=reference, ylabel=recipe)
        axis.locator_params(nbins=5)
        axis.set_title(f"{unit(record, metric)}, {condition_text(condition, 'σ {:g}')}")
    alt = (
        f"{record.columns[metric].label} of {len(points)} images at {condition_text(condition)}, "
        f"{reference} against {recipe}."
    )
    for difference in record.findings.of(recipe, metric):
        if difference.condition == condition:
            side = "Above" if difference.higher_is_better else "Below"
            alt += f" {side} the diagonal {recipe} is better: {difference.wins} images; "
            alt += f"{difference.ties} ties."
    return Drawing(safe_name("scatter", recipe, metric), alt, figure)


def curve(record: Record, term: str) -> Drawing:
    """Draw one loss term, unweighted, of every recipe that trains with it."""
    figure, axis = new_figure(2.8)
    said = []
    with matplotlib.rc_context(STYLE):
        for name, rows in record.curves.items():
            points = [(row["step"], row[term]) for row in rows if term in row]
            if not points:
                continue
            colour, marker = colour_of(record, name)
            every = max(1, len(points) // 8)
            axis.plot(
                *zip(*points, strict=True),
                color=colour,
                linewidth=1.6,
                marker=marker,
                markersize=4,
                markevery=every,
                label=name,
            )
            said.append(f"{name} ends at {points[-1][1]:.4g}")
        axis.set(xlabel="step", ylabel=term)
        axis.set_yscale("log")
        plain_ticks(axis)
        legend_above(figure, axis)
    alt = f"Training curve of {term}. {'; '.join(said)}."
    return Drawing(safe_name("curve", term), alt, figure)


def terms_of(record: Record) -> Sequence[str]:
    """Names of all loss terms that were trained with, the total first."""
    known = {name: None for rows in record.curves.values() for row in rows for name in row}
    terms = [name for name in known if name not in ("step", "lr", "grad_norm", "total")]
    return [*terms, *(["grad_norm"] if "grad_norm" in known else [])]
