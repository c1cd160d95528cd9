"""Tables of means in the report: values beside their differences to the reference, and all sets."""

import math
from collections.abc import Mapping
from typing import Any

from restoration.compare.report.marks import CLASSES, GLYPHS, sigma_text
from restoration.compare.result import Record, loss_words
from restoration.compare.signs import difference_of_means
from restoration.compare.verdicts import BETTER, WORSE
from restoration.evaluate.layouts import headings
from restoration.evaluate.tables import Cell, long_table, wide_tables
from restoration.metrics import Column
from restoration.metrics.table import NOT_MEASURED


def measured_columns(record: Record) -> dict[str, Column]:
    """Metrics with a value for at least one recipe."""
    recipes = [recipe.name for recipe in record.plan.recipes]
    values = [mean.values for mean in record.findings.means if mean.run in recipes]
    return {
        name: column
        for name, column in record.columns.items()
        if any(not math.isnan(one.get(name, math.nan)) for one in values)
    }


def _cell(
    cell: Cell, reference: Cell | None, column: Column, verdict: str | None
) -> dict[str, Any]:
    """One cell: value, difference to the reference, and the verdict where one side won."""
    shown = {"value": cell.text, "spread": cell.spread}
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


def _heading(column: Column) -> str:
    return column.heading.replace("x100", "\N{MULTIPLICATION SIGN}100")


def table_of_means(record: Record) -> dict[str, Any]:
    """Lay out the means over all sets for the template: a group of lines per condition.

    Conditions stand below each other, so that the table is as wide as its metrics, however many
    conditions there are.
    """
    names = [recipe.name for recipe in record.plan.recipes]
    columns = measured_columns(record)
    means = [mean for mean in record.findings.means if mean.run in names]
    table = wide_tables(means, columns)[0]  # the first is over all sets
    losses = {recipe.name: loss_words(recipe) for recipe in record.plan.recipes}
    verdicts = {difference.key: difference.verdict for difference in record.findings.differences}
    by_name = {line.head[0]: line.cells for line in table.lines}
    reference = record.plan.reference.name
    groups = []
    for number, condition in enumerate(table.groups):
        first = number * len(columns)
        rows = []
        for name, cells in by_name.items():
            row = [
                _cell(
                    cells[first + k],
                    None if name == reference else by_name[reference][first + k],
                    column,
                    verdicts.get((name, metric, condition)),
                )
                for k, (metric, column) in enumerate(columns.items())
            ]
            rows.append({"name": name, "loss": losses[name], "cells": row})
        groups.append({"title": sigma_text(condition), "rows": rows})
    left_out = _left_out(record, len(columns))
    groups += [{"title": "left out", "rows": left_out}] if left_out else []
    heads = [_heading(column) for column in columns.values()]
    return {"title": table.title, "heads": heads, "groups": groups}


def _left_out(record: Record, num_columns: int) -> list[dict[str, Any]]:
    """Rows of recipes without values, with the reason of their first training that left none."""
    reasons: dict[str, str] = {}
    for one in record.absent:
        seed = "" if one.seed is None else f" (seed {one.seed})"
        reasons.setdefault(one.recipe, one.reason.partition(" (")[0] + seed)
    cell = {"value": NOT_MEASURED, "spread": "", "gap": "", "kind": "", "word": "", "glyph": ""}
    return [
        {"name": name, "loss": reason, "cells": [cell] * num_columns}
        for name, reason in reasons.items()
    ]


def long_form(record: Record, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Lay out every set, condition and run for the template, the noisy input among them."""
    table = long_table(record.findings.means, columns)
    heads = [head.replace("x100", "\N{MULTIPLICATION SIGN}100") for head in headings(table)]
    rows = [{"head": line.head, "cells": list(map(str, line.cells))} for line in table.lines]
    return {"heads": heads, "rows": rows}
