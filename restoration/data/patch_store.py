"""Where patches go: a folder of files, or an LMDB in BasicSR's layout."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lmdb

FIRST_MAP = 2**28  # bytes; doubled whenever the patches no longer fit


class Patch(NamedTuple):
    """Name below the store, with extension, and size of a patch."""

    name: str
    height: int
    width: int


class PatchStore(ABC):
    """Receives encoded patches; a context manager.

    Args:
        root: the folder to make, or to go on in.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "PatchStore":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def put(self, patches: Sequence[Patch], data: Sequence[bytes]) -> None:
        """Keep the patches of one image; what was begun by an earlier run is overwritten."""

    @abstractmethod
    def finish(self, patches: Sequence[Patch]) -> None:
        """Complete the store, whose patches are these."""

    @abstractmethod
    def close(self) -> None:
        """Release files."""


class FolderStore(PatchStore):
    """One file per patch, PNG or decoded."""

    def put(self, patches: Sequence[Patch], data: Sequence[bytes]) -> None:
        """Write the files, each whole or not at all."""
        for patch, content in zip(patches, data, strict=True):
            path = self.root / patch.name
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_bytes(content)
            unfinished.replace(path)

    def finish(self, patches: Sequence[Patch]) -> None:
        """Nothing to complete."""

    def close(self) -> None:
        """Nothing to release."""


class LmdbStore(PatchStore):
    """`data.mdb` with one PNG per key, and `meta_info.txt`, which comes last."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.map_size = FIRST_MAP
        self.database = lmdb.open(str(root), map_size=self.map_size)
        self.map_size = self.database.info()["map_size"]  # larger where a run goes on

    def put(self, patches: Sequence[Patch], data: Sequence[bytes]) -> None:
        """Write the patches of one image in one transaction."""
        while True:
            try:
                with self.database.begin(write=True) as transaction:
                    for patch, content in zip(patches, data, strict=True):
                        transaction.put(os.path.splitext(patch.name)[0].encode(), content)
                return
            except lmdb.MapFullError:
                self.map_size *= 2
                self.database.set_mapsize(self.map_size)

    def finish(self, patches: Sequence[Patch]) -> None:
        """Write the list of patches, without which nothing opens the LMDB."""
        lines = [f"{patch.name} ({patch.height},{patch.width},3) 1\n" for patch in patches]
        (self.root / "meta_info.txt").write_text("".join(lines), encoding="utf-8")

    def close(self) -> None:
        """Close the database."""
        self.database.close()


STORES: dict[bool, type[PatchStore]] = {False: FolderStore, True: LmdbStore}
