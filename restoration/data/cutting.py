"""Cutting of training images into patches, as Restormer (arXiv:2111.09881) does.

Patches read faster than whole images of 2040 pixels. An image is cut where both of its sides are
long enough, and kept whole otherwise. The work goes on in `<target>.part`, which becomes the target
when all is there: an interrupted run continues, and a half-made folder cannot be trained on.
"""

import json
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from restoration.data.images import DECODED, encode_array, encode_png, read_rgb8
from restoration.data.patch_store import STORES, Patch, PatchStore
from restoration.data.sources import FolderSource

RECORD = "prepared.jsonl"  # settings, then one line per finished image

Encoded = tuple[int, int, bytes]  # height, width and file of a patch


@dataclass(frozen=True)
class Cutting:
    """How images are cut, and what is made of the parts.

    Args:
        size: side of the patches.
        overlap: pixels that neighbours share, at least; the last one ends where the image ends.
        whole: images with a side up to this are not cut.
        decoded: patches become pixels (`.npy`) instead of PNG: larger, but nothing to decode.
    """

    size: int = 512
    overlap: int = 96
    whole: int = 800
    decoded: bool = False

    @property
    def suffix(self) -> str:
        """Kind of file of a patch."""
        return DECODED if self.decoded else ".png"

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.overlap < self.size <= self.whole + 1:
            raise ValueError(
                "expected 0 <= overlap < size <= whole + 1, "
                f"got overlap {self.overlap}, size {self.size}, whole {self.whole}"
            )


@dataclass(frozen=True)
class CutPictures:
    """What was made.

    Args:
        pictures: number of images that were cut or kept whole.
        patches: number of patches of them.
        reused: number of images that an earlier run had finished.
        unreadable: names of the images that were left out.
    """

    pictures: int
    patches: int
    reused: int
    unreadable: list[str]


@dataclass(frozen=True)
class _Picture:
    key: str  # <folder>/<path below it without extension>
    path: Path

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def cut(image: np.ndarray, cutting: Cutting) -> list[np.ndarray]:
    """Cut one image.

    Args:
        image: (H, W, C).
        cutting: how.

    Returns:
        Patches (size, size, C) from left to right, then down; or the image itself.
    """
    height, width = image.shape[:2]
    if min(height, width) <= cutting.whole:
        return [image]
    return [
        image[top : top + cutting.size, left : left + cutting.size]
        for top in _starts(height, cutting)
        for left in _starts(width, cutting)
    ]


def cut_folders(
    folders: Sequence[Path],
    target: Path,
    cutting: Cutting,
    as_lmdb: bool = False,
    workers: int | None = None,
    skip_unreadable: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> CutPictures:
    """Cut all images of some folders into one folder of files, or into one LMDB.

    Args:
        folders: the images; searched with their subfolders. Patches are named after them:
            `<folder>/<image>-<number>.png`, or `.npy`.
        target: what to make; `*.lmdb` for an LMDB.
        cutting: how to cut.
        as_lmdb: write an LMDB in BasicSR's layout.
        workers: processes that decode and encode; 0 for none beside this one, None for one a core.
        skip_unreadable: leave out what cannot be decoded.
        on_progress: called with (images done, images in all, name of the last) after each.

    Returns:
        What was made.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: two images of one name, a target that was made otherwise, or images that
            cannot be decoded; those that can are kept for the next run.
    """
    if as_lmdb and cutting.decoded:
        raise ValueError("expected an LMDB or decoded images, got both")
    if as_lmdb != (target.suffix == ".lmdb"):
        raise ValueError(f"expected a name that ends in .lmdb for an LMDB alone, got {target}")
    if workers is not None and workers < 0:
        raise ValueError(f"expected workers >= 0, got {workers}")
    pictures = _find(folders)
    settings = {**asdict(cutting), "lmdb": as_lmdb}
    if not cutting.decoded:  # what was begun before there was a choice goes on
        del settings["decoded"]
    if target.exists():
        return _already_there(target, settings, pictures)
    part = target.with_name(f"{target.name}.part")
    done = _finished(part, settings, pictures)
    todo = [picture for picture in pictures if picture.key not in done]
    unreadable: list[_Picture] = []
    with STORES[as_lmdb](part) as store, _open_record(part / RECORD, settings) as record:
        for picture, images in _cut_all(todo, cutting, workers):
            if images is None:
                unreadable.append(picture)
            else:
                done[picture.key] = _keep(store, record, picture, images, cutting.suffix)
            if on_progress is not None:
                on_progress(len(done) + len(unreadable), len(pictures), picture.key)
        if unreadable and not skip_unreadable:
            raise ValueError(
                f"{len(unreadable)} images cannot be read: "
                f"{', '.join(str(one.path) for one in unreadable)}; the rest is kept in {part}: "
                "replace them and run again, or leave them out (--skip-unreadable)"
            )
        for one in unreadable:
            record.write(_line({"key": one.key, "bytes": one.bytes, "patches": None}))
        store.finish([Patch(*one) for picture in pictures for one in done.get(picture.key, [])])
    part.rename(target)
    reused = len(pictures) - len(todo)
    patches = sum(map(len, done.values()))
    return CutPictures(len(done), patches, reused, [str(one.path) for one in unreadable])


def _starts(length: int, cutting: Cutting) -> list[int]:
    last = length - cutting.size
    return [*range(0, last, cutting.size - cutting.overlap), last]


def _find(folders: Sequence[Path]) -> list[_Picture]:
    found: dict[str, _Picture] = {}
    for folder in folders:
        source = FolderSource(folder)
        for name, path in zip(source.names, source.paths, strict=True):
            key = f"{source.root.resolve().name}/{os.path.splitext(name)[0]}"
            if key in found:
                twice = f"{found[key].path} and {path}"
                raise ValueError(f"expected names that differ without extension, got {twice}")
            found[key] = _Picture(key, path)
    return list(found.values())


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content) + "\n"


def _read_record(path: Path) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """Settings and finished images of a record; a line that was cut off does not count."""
    if not path.is_file():
        return None, {}
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            lines.append(line)
    pictures = [line for line in lines[1:] if isinstance(line.get("key"), str)]
    whole = [line for line in pictures if {"patches", "bytes"} <= line.keys()]
    return (lines[0] if lines else None), {line["key"]: line for line in whole}


def _open_record(path: Path, settings: dict[str, Any]) -> TextIO:
    """Open a record to append to; it begins with the settings."""
    found, pictures = _read_record(path)
    file = path.open("w", encoding="utf-8")
    file.write(_line(found or settings))
    file.writelines(_line(line) for line in pictures.values() if line["patches"] is not None)
    file.flush()
    return file


def _finished(
    part: Path, settings: dict[str, Any], pictures: Sequence[_Picture]
) -> dict[str, list[list[Any]]]:
    """Patches of the images that an earlier run finished, by key."""
    found, lines = _read_record(part / RECORD)
    if found is not None and found != settings:
        raise ValueError(f"{part} was begun with {found}, now {settings}: delete it, or rename")
    done = {}
    for picture in pictures:
        line = lines.get(picture.key)
        if line is not None and line["patches"] is not None and line["bytes"] == picture.bytes:
            done[picture.key] = line["patches"]
    return done


def _already_there(
    target: Path, settings: dict[str, Any], pictures: Sequence[_Picture]
) -> CutPictures:
    found, lines = _read_record(target / RECORD)
    same = found == settings and lines.keys() == {picture.key for picture in pictures}
    if not same or any(lines[one.key]["bytes"] != one.bytes for one in pictures):
        raise ValueError(f"{target} exists and was made of other images or in another way")
    whole = [line["patches"] for line in lines.values() if line["patches"] is not None]
    missing = [str(one.path) for one in pictures if lines[one.key]["patches"] is None]
    return CutPictures(len(whole), sum(map(len, whole)), len(whole), missing)


def _keep(
    store: PatchStore, record: TextIO, picture: _Picture, images: list[Encoded], suffix: str
) -> list[list[Any]]:
    patches = [
        Patch(f"{picture.key}-{number:03d}{suffix}", height, width)
        for number, (height, width, _) in enumerate(images)
    ]
    store.put(patches, [data for _, _, data in images])
    kept = [[patch.name, patch.height, patch.width] for patch in patches]
    record.write(_line({"key": picture.key, "bytes": picture.bytes, "patches": kept}))
    record.flush()
    return kept


def _cut_file(path: Path, cutting: Cutting) -> list[Encoded] | None:
    """Height, width and file of every patch of an image; None if it cannot be decoded."""
    encode = encode_array if cutting.decoded else encode_png
    try:
        patches = cut(read_rgb8(path), cutting)
    except (ValueError, OSError):
        return None
    return [(*patch.shape[:2], encode(patch)) for patch in patches]


def _cut_all(
    pictures: Sequence[_Picture], cutting: Cutting, workers: int | None
) -> Iterator[tuple[_Picture, list[Encoded] | None]]:
    """Cut images in other processes; the results come in order."""
    count = min(os.cpu_count() or 1 if workers is None else workers, len(pictures))
    if count == 0:
        yield from ((picture, _cut_file(picture.path, cutting)) for picture in pictures)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield from _ordered(pool, pictures, cutting, 2 * count)
    except BrokenProcessPool as error:
        raise OSError(
            "a worker process was killed, probably because the memory was full"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ordered(
    pool: Executor, pictures: Sequence[_Picture], cutting: Cutting, limit: int
) -> Iterator[tuple[_Picture, list[Encoded] | None]]:
    """Hand out work so that few results wait in memory."""
    waiting: deque[tuple[_Picture, Future[list[Encoded] | None]]] = deque()
    for picture in pictures:
        waiting.append((picture, pool.submit(_cut_file, picture.path, cutting)))
        if len(waiting) > limit:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()
