"""Where pictures come from: a folder, an LMDB in BasicSR's layout, or scikit-image's photographs.

A source is a numbered list of pictures: `len()`, `.names`, `.read(i)` (uint8), `.read_float(i)`.
"""

import difflib
import importlib.util
import logging
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from PIL import Image

from restoration.data.images import EXTENSIONS, NOT_READ, image_size, read_image, to_float, to_uint8

logger = logging.getLogger(__name__)

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "motorcycle_left": "motorcycle_left.png",
    "motorcycle_right": "motorcycle_right.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
SHOWN = 3  # names of files that are not read, in a warning
_META_LINE = re.compile(r"^(?P<name>.+) \((?P<h>\d+),(?P<w>\d+),\d+\) \d+$")


class Source(ABC):
    """A numbered list of pictures.

    Attributes:
        names: one name per picture, unique within the source.
    """

    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def decode(self, index: int) -> np.ndarray:
        """Picture `index` at its own depth, RGB (H, W, 3), uint8 or uint16."""

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Height and width of picture `index`, without decoding it where possible."""

    def read(self, index: int) -> np.ndarray:
        """Picture `index` for training, RGB (H, W, 3), uint8."""
        return to_uint8(self.decode(index))

    def read_float(self, index: int) -> np.ndarray:
        """Picture `index` for evaluation, RGB (H, W, 3), float32 in [0, 1], 16 bits kept."""
        return to_float(self.decode(index))


class _FileSource(Source):
    """Pictures that are files; `paths` runs beside `names`."""

    paths: list[Path]

    def decode(self, index: int) -> np.ndarray:
        """Picture `index` at its own depth, RGB (H, W, 3), uint8 or uint16."""
        return read_image(self.paths[index])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of picture `index`, from the header of the file."""
        return image_size(self.paths[index])


def find_pictures(root: Path) -> list[Path]:
    """Every file below a folder that is named like a picture, in natural order (2 before 10).

    Links to folders are followed, and a link that leads nowhere is found, to fail when it is read:
    pictures must not be left out in silence.
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


class FolderSource(_FileSource):
    """Every picture below a folder, in natural order (2 before 10).

    Names are the paths below the folder, with forward slashes.

    Args:
        root: the folder; searched with its subfolders.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no picture in it.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"expected a folder of images, got {root}, which is not one; `restoration data "
                "list` says where known sets come from"
            )
        found = find_pictures(self.root)
        if not found:
            raise ValueError(f"expected images ({', '.join(EXTENSIONS)}), got none in {root}")
        self.paths = found
        self.names = [path.relative_to(self.root).as_posix() for path in self.paths]


class SkimageSource(_FileSource):
    """Photographs inside the installed scikit-image package; nothing is ever downloaded.

    Args:
        names: keys of `PHOTOGRAPHS`; `NAME@SIDE` stands for all square crops of that side that
            fit side by side from the top left corner, named `NAME_y0_x0`, `NAME_y0_x128`, ...

    Raises:
        ValueError: a name is unknown, the installed scikit-image lacks the file, or a crop is
            larger than its photograph.
    """

    def __init__(self, names: Iterable[str]) -> None:
        spec = importlib.util.find_spec("skimage")
        assert spec is not None and spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0]) / "data"
        self.names, self.paths = [], []
        self._windows: list[tuple[int, int, int] | None] = []  # top, left, side
        for given in names:
            name, at, side = given.strip().partition("@")
            path = folder / _photograph(name)
            if not path.is_file():
                raise ValueError(f"expected {name} inside scikit-image, got no such file there")
            for window in _grid(path, name, side) if at else [None]:
                label = name if window is None else f"{name}_y{window[0]}_x{window[1]}"
                self.names.append(label)
                self.paths.append(path)
                self._windows.append(window)

    def decode(self, index: int) -> np.ndarray:
        """Picture `index`, or its crop, RGB (H, W, 3), uint8."""
        image, window = super().decode(index), self._windows[index]
        if window is None:
            return image
        top, left, side = window
        return np.ascontiguousarray(image[top : top + side, left : left + side])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of picture `index`, or of its crop."""
        window = self._windows[index]
        return super().size(index) if window is None else (window[2], window[2])


def _photograph(name: str) -> str:
    if name not in PHOTOGRAPHS:
        near = difflib.get_close_matches(name, PHOTOGRAPHS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"expected one of {', '.join(PHOTOGRAPHS)}, got {name!r}{hint}")
    return PHOTOGRAPHS[name]


def _grid(path: Path, name: str, side: str) -> list[tuple[int, int, int]]:
    """Top, left and side of every crop that fits, row by row."""
    with Image.open(path) as header:
        height, width = header.height, header.width
    if not side.isdecimal() or not 1 <= int(side) <= min(height, width):
        raise ValueError(f"expected {name}@SIDE of 1 to {min(height, width)} pixels, got {side!r}")
    step = int(side)
    rows, columns = range(0, height - step + 1, step), range(0, width - step + 1, step)
    return [(top, left, step) for top in rows for left in columns]


class LmdbSource(Source):
    """An LMDB folder in BasicSR's layout: `data.mdb` and `meta_info.txt`.

    A line of `meta_info.txt` reads `name.png (height,width,channels) compression`; the key is the
    name without its extension. The database is opened read-only at the first picture, once per
    process.

    Args:
        root: the folder, `*.lmdb`.

    Raises:
        FileNotFoundError: the folder or one of its two files is missing.
        ValueError: `meta_info.txt` is empty or has a line of another form.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        for name in ("data.mdb", "meta_info.txt"):
            if not (self.root / name).is_file():
                raise FileNotFoundError(f"expected {name} in an LMDB folder, got none in {root}")
        self.names, self._sizes = [], []
        text = (self.root / "meta_info.txt").read_text(encoding="utf-8")
        for line in filter(None, map(str.strip, text.splitlines())):
            found = _META_LINE.match(line)
            if found is None:
                raise ValueError(f"expected 'name.png (h,w,c) 1' in {root}, got {line!r}")
            self.names.append(found["name"])
            self._sizes.append((int(found["h"]), int(found["w"])))
        if not self.names:
            raise ValueError(f"expected images in {root}, got an empty meta_info.txt")

    def decode(self, index: int) -> np.ndarray:
        """Picture `index` at its own depth, RGB (H, W, 3), uint8 or uint16."""
        name = self.names[index]
        with _environment(str(self.root.resolve()), os.getpid()).begin() as transaction:
            data = transaction.get(os.path.splitext(name)[0].encode())
        if data is None:
            raise ValueError(f"expected {name} in {self.root}, got no such key")
        return read_image(data, name=f"{self.root}/{name}")

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of picture `index`, as `meta_info.txt` says."""
        return self._sizes[index]


class CachedSource(Source):
    """Keep decoded 8-bit pictures in memory while they fit.

    Nothing is thrown out again: every picture comes once per epoch, so a cache that replaces its
    oldest entry would never be hit. Each process (each worker of a loader) has its own cache, and
    a copy sent to another process starts empty. Pictures that come from the cache are read-only.

    Args:
        source: where pictures come from.
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
        """Picture `index` at its own depth, past the cache."""
        return self.source.decode(index)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of picture `index`."""
        return self.source.size(index)

    def read(self, index: int) -> np.ndarray:
        """Picture `index` for training, RGB (H, W, 3), uint8, from memory if it is there."""
        image = self._kept.get(index)
        if image is None:
            image = self.source.read(index)
            if self.used_bytes + image.nbytes <= self.budget_bytes:
                image.setflags(write=False)
                self._kept[index] = image
                self.used_bytes += image.nbytes
        return image


def open_source(dataroot: str | os.PathLike[str]) -> Source:
    """The source that a `dataroot` names.

    Args:
        dataroot: `skimage:astronaut,coffee` (`coffee@128` for its crops of 128 x 128 pixels), an
            LMDB folder `*.lmdb`, or a folder of pictures.

    Returns:
        A source of pictures.
    """
    text = os.fspath(dataroot)
    if text.startswith("skimage:"):
        return SkimageSource(text.removeprefix("skimage:").split(","))
    return LmdbSource(text) if text.rstrip("/\\").endswith(".lmdb") else FolderSource(text)


def make_lmdb(folder: str | os.PathLike[str], target: str | os.PathLike[str]) -> LmdbSource:
    """Pack a folder of pictures into an LMDB, with BasicSR's own tool.

    Args:
        folder: the pictures; searched with its subfolders.
        target: the folder to make, `*.lmdb`; must not exist.

    Returns:
        The new LMDB, opened.

    Raises:
        ValueError: `target` exists or is not named `*.lmdb`, or two pictures share a key.
    """
    from restoration.common.basicsr import import_basicsr

    target, source = Path(target), FolderSource(folder)
    if target.suffix != ".lmdb" or target.exists():
        raise ValueError(f"expected a new folder named *.lmdb, got {target}")
    keys = [os.path.splitext(name)[0] for name in source.names]
    twice = sorted(key for key, count in Counter(keys).items() if count > 1)
    if twice or not all(key.isascii() for key in keys):
        wrong = twice or [key for key in keys if not key.isascii()]
        raise ValueError(f"expected ASCII names that differ without extension, got {wrong[:3]}")
    pixels = sum(h * w for h, w in map(source.size, range(len(source))))
    tool = import_basicsr("utils.lmdb_util")
    target.parent.mkdir(parents=True, exist_ok=True)
    tool.make_lmdb_from_imgs(
        str(source.root), str(target), source.names, keys, map_size=2**26 + 16 * pixels
    )
    return LmdbSource(target)


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key that orders runs of digits by value."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p]


@cache
def _environment(root: str, pid: int) -> lmdb.Environment:
    """The open database; lmdb allows one opening per process, so all sources share it."""
    return lmdb.open(root, readonly=True, lock=False, readahead=False, meminit=False)
