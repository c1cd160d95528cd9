"""Fronts in the report: quality against perceptual distance, one curve per loss.

The page calls `front_section`, and shows it by the template front.html; `write_figures` puts the
same figures beside it as files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restoration.compare.front_difference import FrontPoint
from restoration.compare.fronts import Panel
from restoration.compare.interpolation import interpolate
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
from restoration.compare.report.front_words import (
    Pair,
    method,
    pairs_of,
    sentences,
    table,
)
from restoration.compare.report.marks import CLASSES, GLYPHS, NOTHING
from restoration.compare.result import Record, slashes
from restoration.evaluate.rows import condition_text
from restoration.metrics import Column

BELOW, ABOVE = {"xytext": (6, -12)}, {"xytext": (-6, 5), "ha": "right"}  # of a point: its label
SMOOTH = 60  # places at which a curve is drawn
FILE_TYPES = ("png", "svg", "pdf")


def has_curves(record: Record) -> bool:
    """Whether a grid makes curves of several points."""
    return any(len(points) > 1 for panel in record.fronts for points in panel.curves.values())


def front_section(record: Record) -> dict[str, Any] | None:
    """Everything that the page shows of the fronts; None where nothing can be drawn.

    Returns:
        `title`, `pairs` (each with label, sentences, figures as inline SVG, and rows of a table),
        `method` and what the template needs to know of the comparison.
    """
    pairs = pairs_of(record)
    if not pairs:
        return None
    quality, distance = (record.columns[name] for name in (pairs[0].quality, pairs[0].distance))
    curves = has_curves(record)
    return {
        "title": "Fronts" if curves else f"{quality.label} and {distance.label}",
        "curves": curves,
        "pairs": [_shown(record, pair) for pair in pairs],
        "method": method(record),
        "confidence": f"{record.plan.settings.statistics.confidence:.0%}",
        "several": record.several,
        "seeds": slashes(record.plan.seeds),
    }


def _shown(record: Record, pair: Pair) -> dict[str, Any]:
    quality, distance = record.columns[pair.quality], record.columns[pair.distance]
    rows = [
        row | {"kind": CLASSES.get(row["word"], ""), "glyph": GLYPHS.get(row["word"], NOTHING)}
        for row in table(record, pair)
    ]
    return {
        "label": f"{quality.label} against {distance.label}",
        "quality": quality.label,
        "distance": distance.label,
        "sentences": sentences(record, pair),
        "figures": [_drawing(record, panel) for panel in pair.panels],
        "rows": rows,
    }


def _colours(record: Record, panel: Panel) -> dict[str, tuple[str, str]]:
    """Colour and marker of every curve; those of its recipe where a recipe is a curve."""
    names = [recipe.name for recipe in record.plan.recipes]
    found = {}
    for number, (curve, points) in enumerate(panel.curves.items()):
        alone = not has_curves(record) and points
        place = (names.index(points[0].recipe) if alone else number) % len(SERIES)
        found[curve] = SERIES[place], MARKERS[place]
    return found


def _drawing(record: Record, panel: Panel) -> Drawing:
    """Draw one panel for the page."""
    figure, axis = new_figure(3.7, 4.4)
    with matplotlib.rc_context(STYLE):
        draw(axis, panel, record.columns, _colours(record, panel))
        axis.set_title(condition_text(panel.condition, "σ = {:g}"))
        legend_above(figure, axis)
    name = safe_name("front", panel.quality, panel.distance, condition_text(panel.condition))
    return Drawing(name, _alt(record, panel), figure)


def draw(
    axis: Axes,
    panel: Panel,
    columns: Mapping[str, Column],
    colours: Mapping[str, tuple[str, str]],
) -> None:
    """Draw one panel: curves, points with their intervals, and the overlap.

    Args:
        axis: where to.
        panel: one quality, distance and condition.
        columns: what is said about metrics.
        colours: colour and marker by curve.
    """
    quality, distance = columns[panel.quality], columns[panel.distance]
    overlaps = [one.overlap for one in panel.differences if one.overlap is not None]
    if len(overlaps) == 1:
        axis.axvspan(*overlaps[0], color=FAINT, alpha=0.15, linewidth=0)
    for number, (name, points) in enumerate(panel.curves.items()):
        place = ABOVE if number % 2 else BELOW  # two curves may lie on each other
        _draw_curve(axis, name, points, *colours[name], place)
    better = ("higher" if quality.higher_is_better else "lower") + " is better"
    closer = ("right" if distance.higher_is_better else "left") + " is better"
    unit = f" ({quality.unit})" if quality.unit else ""
    axis.set(xlabel=f"{distance.label}; {closer}", ylabel=f"{quality.label}{unit}; {better}")
    axis.margins(0.08)
    axis.locator_params(axis="x", nbins=5)


def _draw_curve(
    axis: Axes,
    name: str,
    points: Sequence[FrontPoint],
    colour: str,
    marker: str,
    place: Mapping[str, Any],
) -> None:
    front = [point for point in points if not point.excelled]
    if len(front) > 1:
        x, y = (np.array([getattr(point, key) for point in front]) for key in "xy")
        at = np.linspace(x.min(), x.max(), SMOOTH)
        axis.plot(at, interpolate(x, y, at), color=colour, linewidth=1.6)
    for point in points:
        for key in "xy":
            _draw_interval(axis, point, key, colour)
        hollow = point.excelled and len(points) > 1
        axis.plot(
            point.x,
            point.y,
            marker=marker,
            markersize=6,
            color=colour,
            markerfacecolor="none" if hollow else colour,
            linestyle="none",
        )
        if point.label and len(points) > 1:
            text = point.label.rpartition("=")[2]
            axis.annotate(
                text,
                (point.x, point.y),
                textcoords="offset points",
                color=colour,
                fontsize=12,
                **place,
            )
    axis.plot([], [], marker=marker, color=colour, label=_label(name, points))


def _draw_interval(axis: Axes, point: FrontPoint, key: str, colour: str) -> None:
    ends = point.x_interval if key == "x" else point.y_interval
    if ends is not None:
        places = (ends, (point.y, point.y)) if key == "x" else ((point.x, point.x), ends)
        axis.plot(*places, color=colour, linewidth=1, alpha=0.5)


def _label(name: str, points: Sequence[FrontPoint]) -> str:
    """Name of a curve, and what it runs along."""
    keys = {point.label.rpartition("=")[0] for point in points if point.label}
    return f"{name} ({', '.join(sorted(keys))})" if len(points) > 1 and keys else name


def _alt(record: Record, panel: Panel) -> str:
    quality, distance = record.columns[panel.quality], record.columns[panel.distance]
    where = condition_text(panel.condition)
    said = [
        f"{point.recipe}: {quality.text(point.y)} at {distance.text(point.x)}"
        for points in panel.curves.values()
        for point in points
    ]
    return f"{quality.label} against {distance.label} at {where}. {'; '.join(said)}."


def write_figures(record: Record, folder: Path) -> list[Path]:
    """Write a figure of every quality and distance, a panel per condition, for print.

    Args:
        record: the comparison.
        folder: made if there is something to write.

    Returns:
        The files, PNG, SVG and PDF of each.
    """
    written = []
    for pair in pairs_of(record):
        folder.mkdir(parents=True, exist_ok=True)
        figure = _printed(record, pair)
        for kind in FILE_TYPES:
            file = folder / f"front_{pair.quality}_{pair.distance}.{kind}"
            dates = {"Date": None} if kind == "svg" else {"CreationDate": None}
            with matplotlib.rc_context(STYLE | {"svg.hashsalt": file.stem}):
                figure.savefig(file, dpi=200, metadata={} if kind == "png" else dates)
            figure.set_layout_engine("none")  # it is laid out; the next types need not do it again
            written.append(file)
    return written


def _printed(record: Record, pair: Pair) -> Figure:
    columns = min(2, len(pair.panels))
    rows = -(-len(pair.panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * columns, 3.6 * rows + 0.4), layout="constrained")
        for number, panel in enumerate(pair.panels, start=1):
            axis = figure.add_subplot(rows, columns, number)
            draw(axis, panel, record.columns, _colours(record, panel))
            axis.set_title(condition_text(panel.condition, "σ = {:g}"))
        legend_above(figure, axis)
    return figure
