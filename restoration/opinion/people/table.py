"""One table for people's ratings, whatever the set: pairs of images, categories, scores.

Scores are mean opinion scores turned once, when they are read, so that higher is better.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from restoration.data.images import read_float

DIRECTIONS = ("MOS", "DMOS")
LISTED = 5  # names that an error spells out before it counts the rest


class Pairs(Protocol):
    """Reference and distorted images in a fixed order, and the kind of each distortion."""

    @property
    def references(self) -> tuple[str, ...]:
        """Name of the reference of each pair."""

    @property
    def distorted(self) -> tuple[str, ...]:
        """Name of the distorted image of each pair; none occurs twice."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Kind of distortion of each pair."""

    def read_reference(self, index: int) -> np.ndarray:
        """Reference of pair `index`, RGB (H, W, 3) float32 in [0, 1]."""

    def read_distorted(self, index: int) -> np.ndarray:
        """Distorted image of pair `index`, RGB (H, W, 3) float32 in [0, 1]."""

    def fingerprint(self, index: int) -> str:
        """Text that changes when an image of pair `index` may have changed."""


def listed(names: Sequence[str], limit: int = LISTED) -> str:
    """Join names for an error: the first few, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def turn(scores: np.ndarray, score_range: tuple[float, float], direction: str) -> np.ndarray:
    """Turn scores so that higher is better; the range stays.

    Args:
        scores: (N,) as the set states them.
        score_range: lowest and highest score of the scale.
        direction: "MOS" (higher is better already) or "DMOS" (higher is worse).

    Returns:
        (N,), the scores or their mirror images in the range.

    Raises:
        ValueError: an unknown direction.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"expected direction 'MOS' or 'DMOS', got {direction!r}")
    return scores if direction == "MOS" else sum(score_range) - scores


@dataclass(frozen=True)
class OpinionData:
    """Pairs of image files and what people said of them, one entry per distorted image.

    Args:
        name: of the set.
        root: folder that file names are relative to.
        references: file of the reference of each pair.
        distorted: file of the distorted image of each pair; none occurs twice.
        categories: kind of distortion of each pair.
        scores: (N,) float64, higher is better, inside `score_range`.
        score_range: lowest and highest score of the scale.
        direction: how the set itself states its scores, "MOS" or "DMOS"; `scores` are turned.

    Raises:
        ValueError: no pair, columns of different lengths, a score outside the range, a file twice.
    """

    name: str
    root: Path
    references: tuple[str, ...]
    distorted: tuple[str, ...]
    categories: tuple[str, ...]
    scores: np.ndarray
    score_range: tuple[float, float]
    direction: str = "MOS"

    def __post_init__(self) -> None:
        lengths = {len(c) for c in (self.references, self.distorted, self.categories, self.scores)}
        if len(lengths) != 1 or not self.references:
            raise ValueError(f"{self.name}: expected columns of one length, got {sorted(lengths)}")
        turn(self.scores, self.score_range, self.direction)
        low, high = self.score_range
        outside = ~((self.scores >= low) & (self.scores <= high))  # NaN is outside
        if outside.any():
            as_stated = turn(self.scores, self.score_range, self.direction)
            wrong = [f"{self.distorted[i]} ({as_stated[i]:g})" for i in np.flatnonzero(outside)]
            raise ValueError(
                f"{self.name}: expected scores from {low:g} to {high:g}, got {listed(wrong)}"
            )
        if len(set(self.distorted)) != len(self.distorted):
            twice = [name for name, count in Counter(self.distorted).items() if count > 1]
            raise ValueError(f"{self.name}: expected every image once, got twice {listed(twice)}")

    def __len__(self) -> int:
        return len(self.references)

    def read_reference(self, index: int) -> np.ndarray:
        """Reference of pair `index`, RGB (H, W, 3) float32 in [0, 1]."""
        return read_float(self.root / self.references[index])

    def read_distorted(self, index: int) -> np.ndarray:
        """Distorted image of pair `index`, RGB (H, W, 3) float32 in [0, 1]."""
        return read_float(self.root / self.distorted[index])

    def fingerprint(self, index: int) -> str:
        """Digest of sizes and times of the two files."""
        states = [(self.root / c[index]).stat() for c in (self.references, self.distorted)]
        text = " ".join(f"{state.st_size} {state.st_mtime_ns}" for state in states)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def subset(self, rows: Sequence[int]) -> "OpinionData":
        """The table with only these rows, in this order."""

        def chosen(column: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(column[row] for row in rows)

        return replace(
            self,
            references=chosen(self.references),
            distorted=chosen(self.distorted),
            categories=chosen(self.categories),
            scores=self.scores[list(rows)],
        )


def image_problems(
    data: OpinionData, on_progress: Callable[[], None] | None = None
) -> Iterator[str]:
    """Decode every image once and yield what is wrong, one text per file.

    Args:
        data: the table.
        on_progress: called after each distorted image.

    Yields:
        The file that cannot be read, or that has another size than its reference, and why.
    """
    shapes: dict[str, tuple[int, ...] | None] = {}
    for reference, distorted in zip(data.references, data.distorted, strict=True):
        for name in (reference, distorted):
            if name in shapes:
                continue
            shapes[name] = None
            try:
                shapes[name] = read_float(data.root / name).shape
            except (OSError, ValueError):
                yield f"{name} (unreadable)"
        expected, shape = shapes[reference], shapes[distorted]
        if expected is not None and shape is not None and expected != shape:
            sizes = f"{shape[1]}x{shape[0]}, its reference {expected[1]}x{expected[0]}"
            yield f"{distorted} ({sizes})"
        if on_progress is not None:
            on_progress()
