"""Tables of means in the report, each value with its difference to the reference."""

from typing import Any

from restoration.compare.report.marks import CLASSES, GLYPHS, sigma_text
from restoration.compare.result import Record, loss_words
from restoration.compare.signs import difference_of_means
from restoration.compare.verdicts import BETTER, WORSE
from restoration.evaluate.tables import Cell, Table, wide_tables
from restoration.metrics import Column
from restoration.metrics.table import NOT_MEASURED


def _cell(
    cell: Cell, reference: Cell | None, column: Column, verdict: str | None
) -> dict[str, Any]:
    """One cell of the table: value, whether it is the best, difference to the reference."""
    shown = {"value": cell.text, "spread": cell.spread, "best": cell.best}
    shown |= {"gap": "", "kind": "", "word": "", "glyph": ""}
    gap = None if reference is None else difference_of_means(cell.value, reference.value)
    if gap is None:
        return shown
    side = BETTER if (gap > 0) == column.higher_is_better else WORSE
    word = side if side == verdict else ""  # a mean over sets may lie on the other side
    return shown | {
        "gap": column.signed(gap),
        "kind": CLASSES.get(word, ""),
        "word": word,
        "glyph": GLYPHS.get(word, ""),
    }


def _table(record: Record, table: Table, judged: bool) -> dict[str, Any]:
    """One table for the template: a line per recipe, groups of columns per condition.

    Args:
        record: the comparison.
        table: of one test set, or of all.
        judged: whether differences are marked with the verdict, which is over all images.
    """
    losses = {recipe.name: loss_words(recipe) for recipe in record.plan.recipes}
    by_name = {line.head[0]: line.cells for line in table.lines}
    reference = record.plan.reference.name
    places = [(metric, group) for group in table.groups for metric in record.columns]
    verdicts = {d.key: d.verdict for d in record.findings.differences if judged}
    rows = []
    for name, cells in by_name.items():
        others = [None] * len(cells) if name == reference else by_name[reference]
        row = [
            _cell(cell, other, record.columns[metric], verdicts.get((name, metric, condition)))
            for cell, other, (metric, condition) in zip(cells, others, places, strict=True)
        ]
        rows.append({"name": name, "loss": losses[name], "cells": row})
    empty = _cell(Cell(None, NOT_MEASURED), None, next(iter(record.columns.values())), None)
    for name, reason in _absent(record).items():
        rows.append({"name": name, "loss": reason, "cells": [empty] * len(places)})
    heads = [
        column.heading.replace("x100", "\N{MULTIPLICATION SIGN}100") for column in table.columns
    ]
    groups = [sigma_text(group) for group in table.groups]
    return {"title": table.title, "groups": groups, "heads": heads, "rows": rows}


def _absent(record: Record) -> dict[str, str]:
    """Why recipes have no values, by name: that of the first training that has none."""
    reasons: dict[str, str] = {}
    for one in record.absent:
        seed = "" if one.seed is None else f" (seed {one.seed})"
        reasons.setdefault(one.recipe, one.reason.partition(" (")[0] + seed)
    return reasons


def tables_of_means(record: Record) -> list[dict[str, Any]]:
    """Tables of means for the template: over all sets, where there are several, then of each."""
    names = [recipe.name for recipe in record.plan.recipes]
    means = [mean for mean in record.findings.means if mean.run in names]
    tables = wide_tables(means, record.columns)  # the first is over all sets
    return [_table(record, table, table is tables[0]) for table in tables]
