"""Tables that grow by a row from time to time, and go on where a run does: curves.csv."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

from restoration.common import durable

WORDS = ("set", "degradation", "level")  # columns of val.csv that are no numbers
logger = logging.getLogger("restoration")


def read_rows(path: Path, last: int) -> list[dict[str, str]]:
    """Read what a run of before wrote, as far as a step; damaged lines are left out, and said.

    Args:
        path: a file whose first column is `step`; it may be missing.
        last: the highest step that is kept.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    names, *lines = [_cells(line) for line in text.splitlines()] or [[]]
    if not names or names[0] != "step":
        logger.warning("%s is damaged: what it held is lost", path)
        return []
    good = [line for line in lines if len(line) == len(names) and _is_row(names, line)]
    if len(good) < len(lines):
        logger.warning("%s: %d damaged lines are left out", path, len(lines) - len(good))
    rows = [dict(zip(names, line, strict=True)) for line in good]
    return [row for row in rows if int(row["step"]) <= last]


def _cells(line: str) -> list[str]:
    """Cells of a line; none where it is no CSV."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _is_row(names: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether the first cell is a step, and all but those of words are numbers, or empty."""
    numbers = [cell for name, cell in zip(names, cells, strict=True) if name not in WORDS]
    try:
        return int(cells[0]) > 0 and all(float(cell or 0) is not None for cell in numbers)
    except ValueError:
        return False


def start_rows(path: Path, names: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    """Write a header and the rows of before; the old file stays until the new one is whole."""
    with (
        durable.replacing(path) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
