"""curves.png: losses and validations of one run or several, from curves.csv and val.csv."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from restoration.common.reading import read_object, read_table
from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.evaluate.rows import condition_text
from restoration.train.step_files import CURVES, VALIDATIONS
from restoration.train.validation import BEST_FILE

PLACE = ("step", "set", "sigma", "degradation", "level")  # columns of val.csv beside the metrics
UNDRAWN = ("step", "lr")
COLUMNS, PANEL = 3, (4.4, 3.0)  # panels in a row; inches of a panel
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # "$" is a letter of a name
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
}
LAST = "grad_norm"  # behind the losses
DASHES = ("-", "--", ":", "-.")
FEWEST_TICKS = 3


@dataclass(frozen=True)
class Line:
    """One curve: run, set and condition ("" for losses), and its points."""

    run: str
    place: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class RunCurves:
    """What the files of a run say.

    Attributes:
        name: of its folder.
        losses: by term.
        validations: by metric, a line per set and condition.
        best_step: of the best validation, where there is one.
    """

    name: str
    losses: dict[str, Line]
    validations: dict[str, list[Line]]
    best_step: int | None


def read_run(folder: Path, name: str) -> RunCurves:
    """Read the curves of a run.

    Args:
        folder: of the run.
        name: of its lines.

    Raises:
        FileNotFoundError: the folder has no curves.csv.
    """
    if not (folder / CURVES).is_file():
        raise FileNotFoundError(f"expected the folder of a training, got {folder} without {CURVES}")
    losses: dict[str, Line] = {}
    for row in _rows(folder / CURVES):
        for term, point in _points(row, UNDRAWN):
            losses.setdefault(term, Line(name, "", [])).points.append(point)
    lines: dict[tuple[str, str], Line] = {}
    for row in _rows(folder / VALIDATIONS):
        for metric, point in _points(row, PLACE):
            place = _place(row)
            lines.setdefault((metric, place), Line(name, place, [])).points.append(point)
    validations: dict[str, list[Line]] = {}
    for (metric, _), line in lines.items():
        validations.setdefault(metric, []).append(line)
    best = folder / BEST_FILE
    step = read_object(best).get("step") if best.is_file() else None
    return RunCurves(name, losses, validations, step)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        yield from read_table(path)


def _points(
    row: Mapping[str, str], left_out: Sequence[str]
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the finite values of a row by column, each with its step."""
    for name, text in row.items():
        if name not in left_out and text and math.isfinite(float(text)):
            yield name, (float(row["step"]), float(text))


def _place(row: Mapping[str, str]) -> str:
    """Set and condition of a row of val.csv, in words."""
    level = row.get("sigma") or row.get("level")
    condition = Condition(row.get("degradation") or GAUSSIAN, float(level) if level else None)
    return f"{row['set']}, {condition_text(condition, 'σ {:g}')}"


def plot_runs(folders: Sequence[Path], path: Path) -> Path:
    """Draw a panel per loss term and per metric, with all runs in each.

    Args:
        folders: of trainings.
        path: PNG to write.

    Returns:
        The path.

    Raises:
        FileNotFoundError: a folder has no curves.csv.
        ValueError: no folder, or nothing to draw in any of them.
    """
    if not folders:
        raise ValueError("expected at least one run, got none")
    runs = [read_run(one, name) for one, name in zip(folders, _names(folders), strict=True)]
    terms = dict.fromkeys(term for run in runs for term in run.losses)
    losses = sorted(terms, key=lambda term: term == LAST)
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.validations))
    count = len(losses) + len(metrics)
    if not count:
        raise ValueError(f"expected a run that was logged, got {folders[0]} with nothing to draw")
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    with matplotlib.rc_context(STYLE):
        size = (PANEL[0] * columns, PANEL[1] * rows + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis, term in zip(axes, losses, strict=False):
            _draw_losses(axis, term, runs)
        for axis, metric in zip(axes[len(losses) :], metrics, strict=False):
            _draw_validations(axis, metric, runs)
        if metrics:  # all metrics have the same sets and levels
            axes[count - 1].legend(loc="upper left", bbox_to_anchor=(1, 1))
        for axis in axes[count:]:
            axis.set_axis_off()
        if len(runs) > 1:
            handles = [axes[0].plot([], [], color=_colour(k))[0] for k in range(len(runs))]
            names = [run.name for run in runs]
            figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)))
        figure.savefig(path, dpi=120)
    return path


def _names(folders: Sequence[Path]) -> list[str]:
    """Shortest endings of the paths that tell the runs apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(some[-length:]) for some in parts]
        if len(set(names)) == len(names):
            break
    return names


def _colour(number: int) -> tuple[float, float, float, float]:
    return colormaps["tab10"](number % 10)


def _draw_losses(axis: Axes, term: str, runs: Sequence[RunCurves]) -> None:
    """Draw one loss term of every run that has it, on a logarithmic axis where it is positive."""
    lines = {
        number: run.losses[term].points for number, run in enumerate(runs) if term in run.losses
    }
    for number, points in lines.items():
        axis.plot(*zip(*points, strict=True), color=_colour(number))
    axis.set(title=term, xlabel="step")
    if all(y > 0 for points in lines.values() for _, y in points):
        axis.set_yscale("log")
        plain_ticks(axis)


def plain_ticks(axis: Axes) -> None:
    """Ticks of a logarithmic axis as plain numbers, several also within less than a decade."""
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    low, high = axis.get_ylim()
    if sum(low <= tick <= high for tick in axis.get_yticks()) < FEWEST_TICKS:
        axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _draw_validations(axis: Axes, metric: str, runs: Sequence[RunCurves]) -> None:
    """Draw one metric: of one run a colour per set and level, of several a colour per run."""
    known = dict.fromkeys(line.place for run in runs for line in run.validations.get(metric, []))
    places = list(known)
    for number, run in enumerate(runs):
        for line in run.validations.get(metric, []):
            which = places.index(line.place)
            colour = _colour(number if len(runs) > 1 else which)
            dashes = DASHES[which % len(DASHES)] if len(runs) > 1 else "-"
            label = line.place if number == 0 else None
            axis.plot(
                *zip(*line.points, strict=True),
                marker=".", color=colour, linestyle=dashes, label=label,
            )  # fmt: skip
        if run.best_step is not None:
            colour = _colour(number) if len(runs) > 1 else (0.5, 0.5, 0.5, 1.0)
            axis.axvline(run.best_step, color=colour, linewidth=0.8, linestyle=":")
    axis.set(title=f"validation: {metric}", xlabel="step")
