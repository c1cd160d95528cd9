"""Tables of means: one model, in two layouts; `layouts` prints it, and the report shows it.

A long table has a line per set, condition and run. A wide one is what publications print: a line
per run, a group of columns per condition, and the best value of every column in bold. "Best" is
what a reader sees: the best printed value, and every value that prints the same; none where all
print alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from restoration.degradations.conditions import Condition
from restoration.evaluate.measure import NOISY
from restoration.evaluate.rows import (
    AVERAGE,
    Mean,
    condition_text,
    conditions_of,
    only_gaussian,
)
from restoration.metrics import Column


@dataclass(frozen=True)
class Cell:
    """One value.

    Args:
        value: the mean; None where nothing was measured.
        text: as it is printed.
        spread: of the means of several trainings, as it is printed, or empty.
        best: to be set in bold.
    """

    value: float | None
    text: str
    spread: str = ""
    best: bool = False

    def __str__(self) -> str:
        return f"{self.text} {self.spread}".rstrip()


@dataclass(frozen=True)
class Line:
    """One line of a table: its leading cells, and its values, group by group."""

    head: tuple[str, ...]
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        title: what it shows.
        heads: headings of the leading cells.
        columns: the metrics of every group.
        groups: the conditions of a wide table; empty for a long one, which has one group.
        lines: the content.
    """

    title: str
    heads: tuple[str, ...]
    columns: list[Column]
    groups: list[Condition]
    lines: list[Line]


def long_table(
    means: Sequence[Mean], columns: Mapping[str, Column], only_average: bool = False
) -> Table:
    """Lay out a line per set, condition and run, the noisy input first, the average last.

    Args:
        means: as `summarize` returns them.
        columns: what is printed, by metric.
        only_average: of several sets, leave out all but their average.
    """
    sets = list(dict.fromkeys(mean.set for mean in means))
    if len(sets) == 2:
        sets.remove(AVERAGE)  # the mean over one set says nothing new
    elif only_average and AVERAGE in sets:
        sets = [AVERAGE]
    conditions = conditions_of(means)
    ordered = sorted(
        (mean for mean in means if mean.set in sets),
        key=lambda m: (sets.index(m.set), conditions.index(m.condition), m.run != NOISY),
    )
    gaussian = only_gaussian(conditions)
    lines = [
        Line(
            (
                mean.set,
                condition_text(mean.condition, "{:g}" if gaussian else "sigma {:g}"),
                mean.run,
                str(mean.n),
            ),
            [_cell(mean, name, column) for name, column in columns.items()],
        )
        for mean in ordered
    ]
    heads = ("set", "sigma" if gaussian else "condition", "run", "n")
    return Table("", heads, list(columns.values()), [], lines)


def wide_tables(means: Sequence[Mean], columns: Mapping[str, Column]) -> list[Table]:
    """Lay out the average over sets, where there are several, and every set, a line per run.

    Args:
        means: as `summarize` returns them.
        columns: what is printed, by metric.
    """
    sets = list(dict.fromkeys(mean.set for mean in means if mean.set != AVERAGE))
    counts = {name: max(mean.n for mean in means if mean.set == name) for name in sets}
    listed = ", ".join(f"{name} ({_images(counts[name])})" for name in sets)
    titles = {AVERAGE: f"Average over {len(sets)} sets: {listed}"} if len(sets) > 1 else {}
    titles |= {name: f"{name}, {_images(counts[name])}" for name in sets}
    return [
        _wide_table([mean for mean in means if mean.set == name], title, columns)
        for name, title in titles.items()
    ]


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def _wide_table(means: Sequence[Mean], title: str, columns: Mapping[str, Column]) -> Table:
    by_place = {(mean.run, mean.condition): mean for mean in means}
    runs = list(dict.fromkeys(mean.run for mean in means))
    groups = conditions_of(means)
    by_column = [
        mark_best(
            [_cell(by_place.get((run, group)), name, column) for run in runs],
            column.higher_is_better,
        )
        for group in groups
        for name, column in columns.items()
    ]
    lines = [Line((run,), [cells[k] for cells in by_column]) for k, run in enumerate(runs)]
    return Table(title, ("run",), list(columns.values()), groups, lines)


def _cell(mean: Mean | None, name: str, column: Column) -> Cell:
    value = None if mean is None else mean.values.get(name)
    sd = None if mean is None else mean.sd.get(name)
    spread = "" if sd is None else f"\N{PLUS-MINUS SIGN} {column.text(sd)}"
    return Cell(value, column.text(value), spread)


def mark_best(cells: Sequence[Cell], higher_is_better: bool) -> list[Cell]:
    """Mark the best cells of a column, by the rule that stands at the top of this file."""
    known = {cell.value: cell.text for cell in cells if cell.value is not None}
    values = [value for value in known if not math.isnan(value)]
    if len({known[value] for value in values}) < 2:
        return list(cells)
    best = known[max(values) if higher_is_better else min(values)]
    return [replace(cell, best=cell.text == best) for cell in cells]
