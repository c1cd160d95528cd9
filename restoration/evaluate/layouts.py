"""Tables as publications print them: a row per run, a group of columns per noise level.

The best value of a column is bold; values that print alike are equally good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restoration.evaluate.measure import Row
from restoration.evaluate.tables import AVERAGE, format_value, headings, markdown

LATEX_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}"}
LATEX_SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX_ARROWS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "σ": r"$\sigma$"}


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        title: what it shows.
        sigmas: the groups of columns.
        heads: the columns of every group.
        rows: name of a run and its cells, group by group.
        best: for every row, whether each cell is the best of its column.
    """

    title: str
    sigmas: list[float]
    heads: list[str]
    rows: list[tuple[str, list[str]]]
    best: list[list[bool]]


def build_tables(
    summary: Sequence[Row], labels: Mapping[str, str], directions: Mapping[str, bool]
) -> list[Table]:
    """Make the table of the average over sets, where there are several, and one of every set.

    Args:
        summary: means per run, set and sigma, as `summarize` returns them.
        labels: heading of every metric.
        directions: whether higher is better, by metric.
    """
    sets = list(dict.fromkeys(row["set"] for row in summary if row["set"] != AVERAGE))
    counts = {name: max(row["n"] for row in summary if row["set"] == name) for name in sets}
    listed = ", ".join(f"{name} ({_images(counts[name])})" for name in sets)
    titles = {AVERAGE: f"Average over {len(sets)} sets: {listed}"} if len(sets) > 1 else {}
    titles |= {name: f"{name}, {_images(counts[name])}" for name in sets}
    return [_table(summary, name, title, labels, directions) for name, title in titles.items()]


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def _table(
    summary: Sequence[Row],
    name: str,
    title: str,
    labels: Mapping[str, str],
    directions: Mapping[str, bool],
) -> Table:
    own = {(row["run"], row["sigma"]): row for row in summary if row["set"] == name}
    runs = list(dict.fromkeys(run for run, _ in own))
    sigmas = sorted({sigma for _, sigma in own})
    columns = [(sigma, metric) for sigma in sigmas for metric in labels]
    cells = {
        (run, sigma, metric): format_value(metric, own.get((run, sigma), {}).get(metric))
        for run in runs
        for sigma, metric in columns
    }
    best = {
        (sigma, metric): _best([cells[run, sigma, metric] for run in runs], directions[metric])
        for sigma, metric in columns
    }
    return Table(
        title,
        sigmas,
        headings(labels, directions),
        [(run, [cells[(run, *column)] for column in columns]) for run in runs],
        [[cells[(run, *column)] == best[column] for column in columns] for run in runs],
    )


def _best(cells: Sequence[str], higher_is_better: bool) -> str | None:
    """The best of some printed values; None where there is nothing to compare."""
    known = [cell for cell in cells if cell != "-"]
    if len(known) < 2:
        return None
    return max(known, key=float) if higher_is_better else min(known, key=float)


def wide_markdown(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Lay out tables in Markdown, with footnotes below the last."""
    parts = []
    for table in tables:
        heads = [f"σ{sigma:g} {head}" for sigma in table.sigmas for head in table.heads]
        rows = [
            [run, *[f"**{c}**" if b else c for c, b in zip(cells, best, strict=True)]]
            for (run, cells), best in zip(table.rows, table.best, strict=True)
        ]
        parts.append(f"## {table.title}\n\n{markdown(['run', *heads], rows, [])}")
    return "".join(parts) + "".join(f"- {note}\n" for note in notes)


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as a command."""
    return "".join(LATEX_SPECIAL.get(c) or LATEX_ARROWS.get(c, c) for c in text)


def latex(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Lay out tables in LaTeX with `booktabs`; footnotes are comments at the top."""
    lines = ["% needs \\usepackage{booktabs}", *[f"% {' '.join(note.split())}" for note in notes]]
    for table in tables:
        width = len(table.heads)
        lines += ["", "\\begin{table*}", "\\centering", f"\\caption{{{latex_text(table.title)}.}}"]
        lines.append(f"\\begin{{tabular}}{{l*{{{width * len(table.sigmas)}}}{{r}}}}")
        groups = [f"\\multicolumn{{{width}}}{{c}}{{$\\sigma={s:g}$}}" for s in table.sigmas]
        starts = [2 + width * number for number in range(len(table.sigmas))]
        rules = "".join(f"\\cmidrule(lr){{{first}-{first + width - 1}}}" for first in starts)
        heads = [latex_text(head) for head in table.heads] * len(table.sigmas)
        lines += ["\\toprule", _latex_row(["", *groups]), rules, _latex_row(["run", *heads])]
        lines.append("\\midrule")
        for (run, cells), best in zip(table.rows, table.best, strict=True):
            shown = [
                f"\\textbf{{{cell}}}" if one else "--" if cell == "-" else cell
                for cell, one in zip(cells, best, strict=True)
            ]
            lines.append(_latex_row([latex_text(run), *shown]))
        lines += ["\\bottomrule", "\\end{tabular}", "\\end{table*}"]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\"
