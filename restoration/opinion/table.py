"""One table for all ratings that masks are trained on: references, distorted versions, scores.

A flat list of pairs, whoever gave the scores: metrics (`teachers`) or people (`people`).
References keep their own sizes; the images of people's sets are read from their files when needed.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from restoration.common import durable
from restoration.data.images import read_rgb8
from restoration.opinion.people.table import listed

BROKEN = (  # what numpy raises for files of other kinds, and for halves
    *(ValueError, LookupError, TypeError, AttributeError, EOFError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, MemoryError),
)


class ImageFiles:
    """Images that are read from their files whenever they are asked for.

    Args:
        paths: the files.
        shapes: (H, W) that each must have.
    """

    def __init__(self, paths: Sequence[Path], shapes: Sequence[tuple[int, int]]):
        self.paths, self.shapes = tuple(paths), tuple(shapes)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> np.ndarray:
        """RGB (H, W, 3) uint8.

        Raises:
            ValueError: the image cannot be read, or has another size than it should.
        """
        image = read_rgb8(self.paths[number])
        height, width = self.shapes[number]
        if image.shape[:2] != (height, width):
            raise ValueError(
                f"{self.paths[number]}: expected {width}x{height} pixels like its reference, "
                f"got {image.shape[1]}x{image.shape[0]}"
            )
        return image

    def choose(self, numbers: Iterable[int]) -> "ImageFiles":
        """Some of the images, in this order."""
        chosen = list(numbers)
        return ImageFiles([self.paths[n] for n in chosen], [self.shapes[n] for n in chosen])


Images = np.ndarray | list[np.ndarray] | ImageFiles


def _choose(images: Images, numbers: np.ndarray) -> Images:
    if isinstance(images, np.ndarray):
        return images[numbers]
    if isinstance(images, ImageFiles):
        return images.choose(numbers)
    return [images[number] for number in numbers]


@dataclass
class OpinionTable:
    """Pairs of a reference and a distorted version of it, and their scores.

    Args:
        references: N images, (H_n, W_n, 3) uint8; one array where all have one size.
        versions: P images, each of the size of its reference.
        row: (P,) number of the reference of each version.
        kinds: (P,) name of the distortion.
        scores: (P,) in [0, 1], higher is better.
        photographs: (N,) name or number of the photograph that a reference was cut from; splits
            never part what has the same.
        visible: (P, h, w) how visible the difference is in each block of a pair, or None.

    Raises:
        ValueError: columns of different lengths, a reference that is none, a score outside [0, 1].
    """

    references: Images
    versions: Images
    row: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray
    photographs: np.ndarray
    visible: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {len(c) for c in (self.versions, self.row, self.kinds, self.scores)}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"expected pairs in columns of one length, got {sorted(lengths)}")
        if len(self.photographs) != len(self.references):
            raise ValueError(
                f"expected a photograph for each of {len(self.references)} references, "
                f"got {len(self.photographs)}"
            )
        if self.row.min() < 0 or self.row.max() >= len(self.references):
            raise ValueError(
                f"expected references 0..{len(self.references) - 1}, "
                f"got {self.row.min()}..{self.row.max()}"
            )
        wrong = self.scores[~((self.scores >= 0) & (self.scores <= 1))]  # NaN is outside
        if len(wrong):
            raise ValueError(
                f"expected scores in [0, 1], got {listed([f'{score:g}' for score in wrong])}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def pairs_of(self, reference: int) -> np.ndarray:
        """Numbers of the pairs of a reference, ascending."""
        return np.flatnonzero(self.row == reference)

    def subset(self, references: Sequence[int] | np.ndarray) -> "OpinionTable":
        """Choose references, each once, with all pairs that belong to them."""
        references = np.asarray(references, int)
        pairs = np.concatenate([self.pairs_of(reference) for reference in references])
        place = {reference: number for number, reference in enumerate(references.tolist())}
        return OpinionTable(
            _choose(self.references, references),
            _choose(self.versions, pairs),
            np.array([place[reference] for reference in self.row[pairs].tolist()]),
            self.kinds[pairs],
            self.scores[pairs],
            self.photographs[references],
            None if self.visible is None else self.visible[pairs],
        )

    def with_visible(self, visible: np.ndarray) -> "OpinionTable":
        """The same pairs, and how visible the difference is in the blocks of each."""
        return replace(self, visible=visible)

    def split(self, every: int) -> tuple["OpinionTable", "OpinionTable"]:
        """Split by photograph, so that none stands on both sides: every n-th on the second.

        Raises:
            ValueError: a side would be empty.
        """
        order = {name: n for n, name in enumerate(dict.fromkeys(self.photographs.tolist()))}
        second = np.array([order[name] % every == 0 for name in self.photographs.tolist()])
        if second.all():
            raise ValueError(
                f"expected references of 2 photographs or more, to hold out every {every}th, "
                f"got {len(order)}"
            )
        parts = self.subset(np.flatnonzero(~second)), self.subset(np.flatnonzero(second))
        check_apart(*parts)
        return parts

    def save(self, path: Path, about: dict[str, Any] | None = None) -> None:
        """Write a table whose images have one size as .npz, with what made it; not `visible`."""
        columns: dict[str, Any] = {
            name: np.asarray(value) for name, value in vars(self).items() if name != "visible"
        }
        with durable.replacing(path) as part, part.open("wb") as file:
            np.savez(file, about=json.dumps(about or {}), **columns)

    @classmethod
    def load(cls, path: Path, about: dict[str, Any] | None = None) -> "OpinionTable":
        """Read what `save` wrote.

        Args:
            path: the .npz file.
            about: what it must have been made with; None for anything.

        Raises:
            ValueError: not such a file, or made with something else.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                columns = dict(content)
            made_with = json.loads(str(columns.pop("about")))
            table = cls(**columns)
        except BROKEN as error:
            raise ValueError(f"{path}: expected a table of scored pairs: {error}") from error
        if about is not None and made_with != about:
            keys = sorted(k for k in {*made_with, *about} if made_with.get(k) != about.get(k))
            raise ValueError(
                f"{path} was drawn with another {', '.join(keys)}: delete it, or name another file"
            )
        return table


def check_apart(first: OpinionTable, second: OpinionTable) -> None:
    """Raise ValueError if a photograph, by its name or its pixels, is in both tables."""
    shared = sorted(map(str, {*first.photographs.tolist()} & {*second.photographs.tolist()}))
    pixels = {_digest(image): n for n, image in enumerate(first.references)}
    for number, image in enumerate(second.references):
        if _digest(image) in pixels:
            shared.append(str(second.photographs[number]))
    if shared:
        names = listed(list(dict.fromkeys(shared)))
        raise ValueError(f"expected every reference in one part, got in both {names}")


def _digest(image: np.ndarray) -> tuple[tuple[int, ...], str]:
    return image.shape, hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
