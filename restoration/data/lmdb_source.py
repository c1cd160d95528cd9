"""Images in an LMDB of BasicSR's layout, and the packing of folders into one."""

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import lmdb
import numpy as np

from restoration.data.decode import MAX_PIXELS
from restoration.data.images import read_image
from restoration.data.sources import WHERE, FolderSource, Source

_META_LINE = re.compile(r"^(?P<name>.+) \((?P<h>\d{1,9}),(?P<w>\d{1,9}),\d{1,9}\) \d{1,9}$")


class LmdbSource(Source):
    """An LMDB folder in BasicSR's layout: `data.mdb` and `meta_info.txt`.

    A line of `meta_info.txt` reads `name.png (height,width,channels) compression`; the key is the
    name without its extension. The database is opened read-only at the first image, once per
    process.

    Args:
        root: the folder, `*.lmdb`.
        max_pixels: an image of more is refused.

    Raises:
        FileNotFoundError: the folder or one of its two files is missing.
        ValueError: `meta_info.txt` is empty or has a line of another form.
    """

    def __init__(self, root: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> None:
        self.root, self.max_pixels = Path(root), max_pixels
        for name in ("data.mdb", "meta_info.txt"):
            if not (self.root / name).is_file():
                raise FileNotFoundError(
                    f"expected {name} in an LMDB folder, got none in {root}; {WHERE}, and "
                    "`restoration data prepare --lmdb` makes an LMDB of a folder"
                )
        self.names, self._sizes = [], []
        text = (self.root / "meta_info.txt").read_text(encoding="utf-8", errors="replace")
        for line in filter(None, map(str.strip, text.splitlines())):
            found = _META_LINE.match(line)
            if found is None:
                raise ValueError(f"expected 'name.png (h,w,c) 1' in {root}, got {line!r}")
            self.names.append(found["name"])
            self._sizes.append((int(found["h"]), int(found["w"])))
        if not self.names:
            raise ValueError(f"expected images in {root}, got an empty meta_info.txt")

    def decode(self, index: int) -> np.ndarray:
        """Image `index` at its own depth, RGB (H, W, 3), uint8 or uint16."""
        name = self.names[index]
        try:
            with _environment(str(self.root.resolve()), os.getpid()).begin() as transaction:
                data = transaction.get(os.path.splitext(name)[0].encode())
        except lmdb.Error as error:
            raise ValueError(
                f"expected {name} in {self.root}, got a damaged LMDB: {error}"
            ) from error
        if data is None:
            raise ValueError(f"expected {name} in {self.root}, got no such key")
        return read_image(data, name=f"{self.root}/{name}", max_pixels=self.max_pixels)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`, as `meta_info.txt` says."""
        return self._sizes[index]


def make_lmdb(folder: str | os.PathLike[str], target: str | os.PathLike[str]) -> LmdbSource:
    """Pack a folder of images into an LMDB, with BasicSR's own tool.

    Args:
        folder: the images; searched with its subfolders.
        target: the folder to make, `*.lmdb`; must not exist.

    Returns:
        The new LMDB, opened.

    Raises:
        ValueError: `target` exists or is not named `*.lmdb`, or two images share a key.
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


@cache
def _environment(root: str, pid: int) -> lmdb.Environment:
    """The open database; lmdb allows one opening per process, so all sources share it.

    It is mapped into memory: reading beyond the end of a file that was cut off ends the process.
    """
    database = lmdb.open(root, readonly=True, lock=False, readahead=False, meminit=False)
    there = (Path(root) / "data.mdb").stat().st_size
    needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    if there < needed:
        database.close()
        raise ValueError(f"expected {needed} bytes of {root}/data.mdb, got {there}: it was cut off")
    return database
