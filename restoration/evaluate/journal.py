"""The journal of a benchmark: finished images, kept so that an interrupted one goes on.

One line of JSON per run and image. A line counts only where everything that its values depend on
is still the same: the run's weights, the protocol, the metrics, the image and its noise levels.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TextIO

from restoration.common import distributed
from restoration.evaluate.rows import Row

FORMAT = 2  # of the lines; part of every key, so that lines of another format do not count
Unit = tuple[str, str, int]  # run, set, number of the image
KeyOf = Callable[[str, str, int], str]


class FileJournal:
    """Appends to `journal.jsonl` (rank 0) or `journal.<rank>.jsonl`; a context manager.

    Args:
        folder: where the files lie; it exists.
        key_of: (run, set, number of the image) -> checksum of what the values depend on.
        resume: use the lines of an earlier run; else they are deleted.
        images: restored images are written too; lines of a run without them do not count.
    """

    def __init__(self, folder: Path, key_of: KeyOf, resume: bool = False, images: bool = False):
        self.key_of, self.images = key_of, images
        known = _read_all(folder, resume) if distributed.rank() == 0 else {}
        self.entries = distributed.from_main(known)
        rank = distributed.rank()
        self.path = folder / ("journal.jsonl" if rank == 0 else f"journal.{rank}.jsonl")
        self.file: TextIO | None = None

    def __enter__(self) -> "FileJournal":
        torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        self.file = self.path.open("a", encoding="utf-8")
        if torn:  # the last line of a run that was killed
            self.file.write("\n")
        return self

    def __exit__(self, *exception: object) -> None:
        assert self.file is not None
        self.file.close()

    def find(self, run: str, name: str, index: int) -> list[Row] | None:
        """Rows of image `index` of a set, one per condition, or None."""
        entry = self.entries.get((run, name, index))
        if entry is None or entry["key"] != self.key_of(run, name, index):
            return None
        if self.images and not entry["images"]:
            return None
        return [Row(**row) for row in entry["rows"]]

    def add(self, run: str, name: str, index: int, rows: list[Row]) -> None:
        """Keep rows."""
        assert self.file is not None
        entry = {
            "run": run,
            "set": name,
            "index": index,
            "key": self.key_of(run, name, index),
            "images": self.images,
            "rows": [asdict(row) for row in rows],
        }
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()


def _read_all(folder: Path, resume: bool) -> dict[Unit, dict[str, Any]]:
    """Read the lines of all ranks; one that was cut off does not count."""
    entries: dict[Unit, dict[str, Any]] = {}
    for path in sorted(folder.glob("journal*.jsonl")):
        if not resume:
            path.unlink()
            continue
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if _is_entry(entry):
                entries[entry["run"], entry["set"], entry["index"]] = entry
    return entries


def _is_entry(entry: Any) -> bool:
    """Whether a line has the shape of those that are written here."""
    kinds = {"run": str, "set": str, "index": int, "key": str, "images": bool, "rows": list}
    if not isinstance(entry, dict) or set(entry) != set(kinds):
        return False
    names = {field.name for field in fields(Row)}
    return all(isinstance(entry[name], kind) for name, kind in kinds.items()) and all(
        isinstance(row, dict) and set(row) == names and isinstance(row["values"], dict)
        for row in entry["rows"]
    )
