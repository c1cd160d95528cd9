"""Tables for a terminal, in Markdown and in LaTeX."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.evaluate.rows import condition_text
from restoration.evaluate.tables import Cell, Table
from restoration.metrics.table import NOT_MEASURED

if TYPE_CHECKING:
    from rich.table import Table as RichTable

LATEX_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}"}
LATEX_SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX_ARROWS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "σ": r"$\sigma$"}
WORDS = ("set", "run")  # leading columns of text; the others hold numbers


def headings(table: Table) -> list[str]:
    """Headings of all columns: the leading ones, then the metrics of every group."""
    metrics = [column.heading for column in table.columns]
    names = [condition_text(group, "σ{:g}") for group in table.groups]
    grouped = [f"{name} {metric}" for name in names for metric in metrics]
    return [*table.heads, *(grouped if table.groups else metrics)]


def terminal(table: Table) -> "RichTable":
    """Lay out a table for rich; a rule between what differs in the first column."""
    from rich.table import Table as RichTable

    laid_out = RichTable(show_edge=False)
    for head in headings(table):
        laid_out.add_column(head, justify="left" if head in WORDS else "right", no_wrap=True)
    for number, line in enumerate(table.lines):
        if number and line.head[0] != table.lines[number - 1].head[0]:
            laid_out.add_section()
        laid_out.add_row(*line.head, *map(str, line.cells))
    return laid_out


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Lay out texts as a Markdown table with footnotes below."""
    cells = [[markdown_text(cell) for cell in row] for row in (heads, *rows)]
    first, *others = ["| " + " | ".join(row) + " |" for row in cells]
    lines = [first, "|" + "---|" * len(heads), *others]
    return "\n".join([*lines, "", *[f"- {note}" for note in notes]]) + "\n"


def markdown_text(text: str) -> str:
    """Escape what would end a cell of a Markdown table, or be read as HTML."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", " ".join(text.splitlines()))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text).replace("|", "\\|")


def markdown_tables(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Lay out tables in Markdown, each under its title, with footnotes below the last."""
    parts = []
    for table in tables:
        rows = [[*line.head, *map(_markdown_cell, line.cells)] for line in table.lines]
        title = f"## {markdown_text(table.title)}\n\n" if table.title else ""
        parts.append(title + markdown(headings(table), rows, []))
    return "".join(parts) + "".join(f"- {note}\n" for note in notes)


def _markdown_cell(cell: Cell) -> str:
    return f"**{cell}**" if cell.best else str(cell)


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as a command."""
    return "".join(LATEX_SPECIAL.get(c) or LATEX_ARROWS.get(c, c) for c in text)


def latex(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Lay out wide tables in LaTeX with `booktabs`; footnotes are comments at the top."""
    lines = ["% needs \\usepackage{booktabs}", *[f"% {' '.join(note.split())}" for note in notes]]
    for table in tables:
        lines += ["", *_latex_table(table)]
    return "\n".join(lines) + "\n"


def _latex_table(table: Table) -> list[str]:
    width = len(table.columns)
    groups = [f"\\multicolumn{{{width}}}{{c}}{{{_latex_group(g)}}}" for g in table.groups]
    starts = [2 + width * number for number in range(len(groups))]
    rules = "".join(f"\\cmidrule(lr){{{first}-{first + width - 1}}}" for first in starts)
    heads = [latex_text(column.heading) for column in table.columns] * len(groups)
    lines = ["\\begin{table*}", "\\centering", f"\\caption{{{latex_text(table.title)}.}}"]
    lines.append(f"\\begin{{tabular}}{{l*{{{width * len(groups)}}}{{r}}}}")
    lines += ["\\toprule", _latex_row(["", *groups]), rules, _latex_row([*table.heads, *heads])]
    lines.append("\\midrule")
    for line in table.lines:
        lines.append(_latex_row([*map(latex_text, line.head), *map(_latex_cell, line.cells)]))
    return [*lines, "\\bottomrule", "\\end{tabular}", "\\end{table*}"]


def _latex_group(condition: Condition) -> str:
    if condition.degradation == GAUSSIAN:
        return f"$\\sigma={condition.level:g}$"
    return latex_text(condition_text(condition))


def _latex_cell(cell: Cell) -> str:
    if cell.text == NOT_MEASURED:
        return "--"
    text = str(cell).replace("\N{PLUS-MINUS SIGN}", r"$\pm$")
    return f"\\textbf{{{text}}}" if cell.best else text


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\"
