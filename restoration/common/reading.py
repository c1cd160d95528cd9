"""JSON and CSV files that may hold anything: what is wrong is a ValueError with their path."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"expected a JSON file, got {path}, which is not one")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON in {path}, got something else: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object in {path}, got {type(content).__name__}")
    return content


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file that begins with its headings; missing cells are empty.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no CSV file in UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a CSV file, got {path}, which is not one")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restval="")
        try:
            for row in reader:
                row.pop(None, None)  # cells beyond the headings
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} line {reader.line_num}: no CSV in UTF-8: {error}") from error
