"""Finding the files of a data set as people really unpack it: case and folders vary."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restoration.opinion.people.table import OpinionData, listed, turn


def find_entry(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that is in a folder, whatever the case of its letters.

    Args:
        root: the folder of the data set.
        names: acceptable names, the best first.
        what: name of the data set, for the error.

    Raises:
        FileNotFoundError: no such folder, or none of the names in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"expected the folder of {what}, got {root}, which is not one")
    present = {
        path.name.lower(): path
        for path in sorted(root.iterdir(), reverse=True)
        if path.is_file() or path.is_dir()  # a pipe would never end
    }
    for name in names:
        if name.lower() in present:
            return present[name.lower()]
    lower = {name.lower() for name in names}
    inner = sorted(p.parent for p in root.glob("*/*") if p.name.lower() in lower)
    hint = f"; did you mean {inner[0]}?" if inner else ""
    raise FileNotFoundError(f"{what}: expected {' or '.join(names)} in {root}, got none{hint}")


class Files:
    """Files below some folders by name alone, whatever the case; the first folder wins.

    Args:
        folders: searched with their subfolders.
    """

    def __init__(self, folders: Iterable[Path]):
        self._paths: dict[str, Path] = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    self._paths.setdefault(path.name.lower(), path)

    def find(self, name: str) -> Path | None:
        """The path of the file of this name, or None."""
        return self._paths.get(name.lower())


@dataclass
class Rows:
    """Rows of a table while it is read; missing files are collected, and raised all at once.

    Args:
        name: of the data set.
        root: its folder.
    """

    name: str
    root: Path
    references: list[str] = field(default_factory=list)
    distorted: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    missing: dict[str, None] = field(default_factory=dict)  # as an ordered set

    def add(
        self,
        reference: tuple[str, Path | None],
        distorted: tuple[str, Path | None],
        category: str,
        score: float,
    ) -> None:
        """Add a pair, each image as (name, path or None where it was not found)."""
        for name, path in (reference, distorted):
            if path is None:
                self.missing[name] = None
        self.references.append(self._relative(reference[1]))
        self.distorted.append(self._relative(distorted[1]))
        self.categories.append(category)
        self.scores.append(score)

    def _relative(self, path: Path | None) -> str:
        if path is None:
            return ""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path.absolute()).as_posix()

    def table(self, score_range: tuple[float, float], direction: str) -> OpinionData:
        """The finished table, scores turned.

        Raises:
            FileNotFoundError: files are missing; some are named and the rest counted.
            ValueError: see `OpinionData`.
        """
        if self.missing:
            raise FileNotFoundError(
                f"{self.name}: {len(self.missing)} images are missing below {self.root}: "
                f"{listed(list(self.missing))}"
            )
        if not self.scores:
            raise ValueError(f"{self.name}: expected scores in {self.root}, got none")
        return OpinionData(
            self.name,
            self.root,
            tuple(self.references),
            tuple(self.distorted),
            tuple(self.categories),
            turn(np.array(self.scores, np.float64), score_range, direction),
            score_range,
            direction,
        )


def number(text: object, where: str) -> float:
    """Read a number, or say where none stands.

    Raises:
        ValueError: the text is not a number.
    """
    try:
        return float(str(text))
    except ValueError as error:
        raise ValueError(f"{where}: expected a number, got {text!r}") from error
