"""Figures of agreement: metric against ratings with the fitted curve, and bars per category."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from restoration.agreement.metrics import NamedMetric
from restoration.agreement.report import ALL, HEADINGS, AgreementReport, partners

COLUMNS = (3, 4)
TITLE_LETTERS, LEGEND_LETTERS = 44, 66  # that fit above a panel
LOG_SPAN = 30.0  # a metric whose values span more than this factor gets a logarithmic axis
PLAIN_COLOR, ENHANCED_COLORS = "#9aa5b1", ("#d1495b", "#edae49", "#66a182")
MARKERS = "osD^vP*X"
AS_WRITTEN: dict[Any, Any] = {"text.parse_math": False}  # "$" is a letter of a name


@rc_context(AS_WRITTEN)
def scatter_figure(
    path: Path,
    metrics: Sequence[NamedMetric],
    values: Mapping[str, np.ndarray],
    scores: np.ndarray,
    categories: Sequence[str],
    report: AgreementReport,
    axis_label: str,
) -> None:
    """Draw every metric against the ratings, coloured by category, with the curve over all pairs.

    Args:
        path: PNG to write.
        metrics: what was measured.
        values: (N,) by label.
        scores: (N,) ratings, higher is better.
        categories: kind of each pair.
        report: holds the curves and the correlations.
        axis_label: what the vertical axis shows.
    """
    fewest_gaps = min(COLUMNS, key=lambda columns: -len(metrics) % columns)
    columns = min(fewest_gaps, len(metrics))
    rows = ceil(len(metrics) / columns)
    figure, axes = _subplots(rows, columns, (4.2 * columns, 3.4 * rows + 0.6))
    kinds = list(dict.fromkeys(categories))
    colormap = colormaps["tab10" if len(kinds) <= 10 else "tab20"]
    palette = [colormap(number) for number in range(colormap.N)]
    for axis, metric in zip(axes.flat, metrics, strict=False):
        x = values[metric.label]
        for number, kind in enumerate(kinds):
            chosen = np.array(categories) == kind
            axis.scatter(
                x[chosen],
                scores[chosen],
                s=13,
                color=palette[number % len(palette)],
                marker=MARKERS[number // len(palette) % len(MARKERS)],
                alpha=0.75,
                linewidths=0,
                label=kind.replace("_", " "),
            )
        _draw_curve(axis, metric, x, scores, report)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel(axis_label)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    if len(kinds) > 1:
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=min(len(kinds), 6), frameon=False
        )
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([40])
    _save(figure, path)


def _draw_curve(
    axis: Axes,
    metric: NamedMetric,
    x: np.ndarray,
    scores: np.ndarray,
    report: AgreementReport,
) -> None:
    """The fitted curve over the range of the values, axes and title."""
    low, high = x.min(), x.max()
    logarithmic = low > 0 and high / low > LOG_SPAN
    grid = (np.geomspace if logarithmic else np.linspace)(low, high, 300)
    axis.plot(grid, report.curves[metric.label](metric.quality(grid)), color="black", lw=1.8)
    if logarithmic:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
    margin = 0.05 * (np.ptp(scores) or 1)
    axis.set_ylim(scores.min() - margin, scores.max() + margin)
    row = report.row(metric.label, ALL)
    shown = [f"{HEADINGS[k]} {row[k]:.3f}" for k in ("plcc", "srocc") if row[k] is not None]
    axis.set_title(f"{fill(metric.label, TITLE_LETTERS)}\n{'  '.join(shown)}", fontsize=10)
    better = "higher is better →" if metric.higher_is_better else "← lower is better"
    axis.set_xlabel(better, fontsize=8)
    axis.grid(alpha=0.25)


@rc_context(AS_WRITTEN)
def bar_figure(
    path: Path, metrics: Sequence[NamedMetric], report: AgreementReport, statistic: str = "srocc"
) -> None:
    """Draw plain beside enhanced per category with intervals, one panel per plain metric.

    Args:
        path: PNG to write.
        metrics: what was measured; those without a partner get a panel of their own.
        report: holds the numbers.
        statistic: a column of the report.
    """
    of_plain: dict[str, list[str]] = {}
    paired = dict(partners(metrics))
    for metric in metrics:
        of_plain.setdefault(paired.get(metric.label, metric.label), []).append(metric.label)
    panels = [sorted(group, key=lambda label: label in paired) for group in of_plain.values()]
    columns = 2 if len(panels) > 1 and len(report.categories) <= 10 else 1
    rows = ceil(len(panels) / columns)
    width = max(6.0, 0.75 * len(report.categories) + 1.5) * columns
    lines = max(len(labels) for labels in panels)  # of a legend at most, that each need room
    figure, axes = _subplots(rows, columns, (width, (2.8 + 0.2 * lines) * rows + 0.9))
    for axis, labels in zip(axes.flat, panels, strict=False):
        _draw_bars(axis, labels, paired, report, statistic)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    lowest = min(axis.get_ylim()[0] for axis in axes.flat[: len(panels)])
    for axis in axes.flat[: len(panels)]:
        axis.set_ylim(min(0.0, lowest), 1.04)
    for axis in axes[:, 0]:
        axis.set_ylabel(HEADINGS[statistic])
    _save(figure, path)


def _draw_bars(
    axis: Axes,
    labels: Sequence[str],
    enhanced: Mapping[str, str],
    report: AgreementReport,
    statistic: str,
) -> None:
    """Groups of bars, one group per category; undefined values leave a gap."""
    places = np.arange(len(report.categories), dtype=float)
    places[-1] += 0.4 if len(places) > 1 else 0  # "all" stands apart
    width = 0.8 / len(labels)
    num_enhanced = 0
    for number, label in enumerate(labels):
        rows = [report.row(label, category) for category in report.categories]
        heights = np.array([np.nan if r[statistic] is None else r[statistic] for r in rows])
        ends = [(r[f"{statistic}_low"], r[f"{statistic}_high"]) for r in rows]
        errors = np.array(
            [
                (np.nan, np.nan) if low is None else (max(h - low, 0), max(high - h, 0))
                for h, (low, high) in zip(heights, ends, strict=True)
            ]
        ).T  # (2, C)
        color = PLAIN_COLOR
        if label in enhanced:
            color = ENHANCED_COLORS[num_enhanced % len(ENHANCED_COLORS)]
            num_enhanced += 1
        offset = (number - (len(labels) - 1) / 2) * width
        name = fill(label, LEGEND_LETTERS)
        axis.bar(places + offset, heights, width * 0.94, color=color, label=name)
        axis.errorbar(
            places + offset, heights, errors, fmt="none", ecolor="#333333", elinewidth=1, capsize=2
        )
    names = [category.replace("_", "\n") for category in report.categories]
    crowded = len(names) > 14
    axis.set_xticks(places, names, fontsize=7 if crowded else 8, rotation=90 if crowded else 0)
    axis.axhline(0, color="black", lw=0.8)
    axis.grid(axis="y", alpha=0.25)
    axis.set_axisbelow(True)
    columns = min(4, max(1, LEGEND_LETTERS // (max(map(len, labels)) + 6)))
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False, fontsize=9
    )


def _subplots(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    figure = Figure(size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
