"""Distortion against perception: what every recipe gains or loses in both, two by two."""

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from restoration.compare.differences import Difference
from restoration.compare.report.drawing import FAINT, MUTED, STYLE, Drawing, new_figure, safe_name
from restoration.compare.report.figures import colour_of, unit
from restoration.compare.result import Record
from restoration.compare.verdicts import BETTER, WORSE
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import condition_text

DISTORTION = ("psnr", "ssim")  # the first that was measured
PERCEPTION = ("lpips", "dists", "milo", "e_mae")
ROOM = 0.25  # around the points, as a share of their range


def axes_of(record: Record) -> tuple[str, str] | None:
    """Return the metric to the right and the one upwards; None where one was not measured."""
    found = [
        next((metric for metric in wanted if metric in record.columns), None)
        for wanted in (DISTORTION, PERCEPTION)
    ]
    right, up = found
    return None if right is None or up is None else (right, up)


def planes(record: Record) -> list[Drawing]:
    """Draw a plane per condition; none without a metric of distortion and one of perception."""
    metrics = axes_of(record)
    if metrics is None:
        return []
    drawn = [plane(record, *metrics, condition) for condition in record.findings.conditions]
    return [drawing for drawing in drawn if drawing is not None]


def plane(record: Record, right: str, up: str, condition: Condition) -> Drawing | None:
    """Draw the differences of all recipes to the reference in two metrics, better to the top right.

    Args:
        record: the comparison.
        right: metric of the horizontal axis.
        up: metric of the vertical axis.
        condition: that the images were tested under.

    Returns:
        The drawing; None where no recipe has a finite difference in both.
    """
    pairs = [
        (x, y)
        for recipe in record.plan.challengers
        for x in record.findings.of(recipe.name, right)
        for y in record.findings.of(recipe.name, up)
        if x.condition == y.condition == condition
    ]
    if not pairs:
        return None
    figure, axis = new_figure(3.6, 3.6)
    with matplotlib.rc_context(STYLE):
        axis.axhline(0, color=FAINT, linewidth=1, zorder=0)
        axis.axvline(0, color=FAINT, linewidth=1, zorder=0)
        axis.plot(
            0, 0, marker="+", markersize=10, color=colour_of(record, pairs[0][0].reference)[0]
        )
        for x, y in pairs:
            _point(axis, x, y, *colour_of(record, x.recipe))
        _look(axis, record, right, up)
        axis.set_title(condition_text(condition, "σ = {:g}"))
    said = [
        f"{x.recipe}: {x.estimate.mean:+.4f} and {y.estimate.mean:+.4f}, "
        f"{x.verdict} and {y.verdict}"
        for x, y in pairs
    ]
    labels = " and ".join(record.columns[metric].label for metric in (right, up))
    alt = (
        f"Differences to {record.plan.reference.name} in {labels} at "
        f"{condition_text(condition)}; better lies to the top right. {'; '.join(said)}."
    )
    return Drawing(safe_name("plane", right, up, condition_text(condition)), alt, figure)


def _point(axis: Axes, x: Difference, y: Difference, colour: str, marker: str) -> None:
    """Draw one recipe with its intervals; filled where it is better or worse in either metric."""
    centre = x.estimate.mean, y.estimate.mean
    line: dict[str, Any] = {"color": colour, "linewidth": 1.4}
    if x.estimate.low is not None and x.estimate.high is not None:
        axis.hlines(centre[1], x.estimate.low, x.estimate.high, **line)
    if y.estimate.low is not None and y.estimate.high is not None:
        axis.vlines(centre[0], y.estimate.low, y.estimate.high, **line)
    won = {x.verdict, y.verdict} & {BETTER, WORSE}
    fill = colour if won else "none"
    axis.plot(*centre, marker=marker, markersize=7, color=colour, markerfacecolor=fill)


def _look(axis: Axes, record: Record, right: str, up: str) -> None:
    """Name the axes; better lies to the top right, and zero is always in sight."""
    for axes, metric, limits in (
        (axis.xaxis, right, axis.set_xlim),
        (axis.yaxis, up, axis.set_ylim),
    ):
        low, high = axes.get_view_interval()
        room = ROOM * (high - low)
        ends = (min(low, 0) - room, max(high, 0) + room)
        limits(*(ends if record.columns[metric].higher_is_better else ends[::-1]))
        axes.set_major_locator(MaxNLocator(4))
        axes.set_label_text(f"{unit(record, metric)}, difference")
    corner: dict[str, Any] = {"fontsize": 11, "color": MUTED, "transform": axis.transAxes}
    axis.text(0.98, 0.98, "better in both", ha="right", va="top", **corner)
    axis.text(0.02, 0.02, "worse in both", ha="left", va="bottom", **corner)
