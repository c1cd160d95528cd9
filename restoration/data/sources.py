"""Where images come from: what every source offers, folders of files, and a cache.

A source is a numbered list of images: `len()`, `.names`, `.read(i)` (uint8), `.read_float(i)`.
"""

import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from restoration.common.messages import printable
from restoration.data.decode import MAX_PIXELS
from restoration.data.images import (
    EXTENSIONS,
    NOT_READ,
    image_size,
    read_image,
    to_float,
    to_uint8,
)

logger = logging.getLogger(__name__)

SHOWN = 3  # names of files that are not read, in a warning
WHERE = "`restoration data list` says where known sets come from"


class Source(ABC):
    """A numbered list of images.

    Attributes:
        names: one name per image, unique within the source.
    """

    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def decode(self, index: int) -> np.ndarray:
        """Image `index` at its own depth, RGB (H, W, 3), uint8 or uint16."""

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`, without decoding it where possible."""

    def read(self, index: int) -> np.ndarray:
        """Image `index` for training, RGB (H, W, 3), uint8."""
        return to_uint8(self.decode(index))

    def read_float(self, index: int) -> np.ndarray:
        """Image `index` for evaluation, RGB (H, W, 3), float32 in [0, 1], 16 bits kept."""
        return to_float(self.decode(index))


class FileSource(Source):
    """Images that are files; `paths` runs beside `names`."""

    paths: list[Path]
    max_pixels: int = MAX_PIXELS

    def decode(self, index: int) -> np.ndarray:
        """Image `index` at its own depth, RGB (H, W, 3), uint8 or uint16."""
        return read_image(self.paths[index], max_pixels=self.max_pixels)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`, from the header of the file."""
        return image_size(self.paths[index], self.max_pixels)


def find_pictures(root: Path) -> list[Path]:
    """Every file below a folder that is named like an image, in natural order (2 before 10).

    Links to folders are followed, and a link that leads nowhere is found, to fail when it is read:
    images must not be left out in silence.
    """
    files = list(_files_below(root))
    not_read = sorted(p.name for p in files if p.suffix.lower() in NOT_READ)
    if not_read:
        shown = ", ".join(not_read[:SHOWN]) + (", ..." if len(not_read) > SHOWN else "")
        logger.warning("%s: %d files of formats not read here: %s", root, len(not_read), shown)
    pictures = [p for p in files if p.suffix.lower() in EXTENSIONS]
    return sorted(pictures, key=lambda p: _natural(p.relative_to(root).as_posix()))


def _files_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Files of a folder and its subfolders, but for links back to where they lie in."""
    here = folder.resolve()
    if here in above:
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files_below(path, above | {here})
        else:
            yield path


class FolderSource(FileSource):
    """Every image below a folder, in natural order (2 before 10).

    Names are the paths below the folder, with forward slashes.

    Args:
        root: the folder; searched with its subfolders.
        max_pixels: an image of more is refused.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no image in it.
    """

    def __init__(self, root: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> None:
        self.root, self.max_pixels = Path(root), max_pixels
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"expected a folder of images, got {root}, which is not one; {WHERE}"
            )
        found = find_pictures(self.root)
        if not found:
            raise ValueError(f"expected images ({', '.join(EXTENSIONS)}), got none in {root}")
        self.paths = found
        self.names = [printable(path.relative_to(self.root).as_posix()) for path in self.paths]


class CachedSource(Source):
    """Keep decoded 8-bit images in memory while they fit.

    Nothing is thrown out again: every image comes once per epoch, so a cache that replaces its
    oldest entry would never be hit. Each process (each worker of a loader) has its own cache, and
    a copy sent to another process starts empty. Images that come from the cache are read-only.

    Args:
        source: where images come from.
        budget_bytes: most bytes of pixels to keep, per process.
    """

    def __init__(self, source: Source, budget_bytes: int) -> None:
        if budget_bytes < 0:
            raise ValueError(f"expected budget_bytes >= 0, got {budget_bytes}")
        self.source, self.budget_bytes = source, budget_bytes
        self.names, self.used_bytes = source.names, 0
        self._kept: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}, "used_bytes": 0}

    def decode(self, index: int) -> np.ndarray:
        """Image `index` at its own depth, past the cache."""
        return self.source.decode(index)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`."""
        return self.source.size(index)

    def read(self, index: int) -> np.ndarray:
        """Image `index` for training, RGB (H, W, 3), uint8, from memory if it is there."""
        image = self._kept.get(index)
        if image is None:
            image = self.source.read(index)
            if self.used_bytes + image.nbytes <= self.budget_bytes:
                image.setflags(write=False)
                self._kept[index] = image
                self.used_bytes += image.nbytes
        return image


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key that orders runs of digits by value."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p]
