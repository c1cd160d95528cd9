"""Files that outlive a power cut: written beside, brought to the disk, then put in their place.

A rename alone is not enough: the disk may know of the new name before it has the content, and then
the file is empty after a power cut. So the content is synchronised first, and the folder last.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and keeps their lists by itself
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, on the disk too, where they are missing."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write; when the block ends without an error, that becomes the file.

    Whatever happens, even a power cut, the file is the old one or the new one, never half of it.

    Args:
        path: the file; its folder is made where it is missing.
    """
    make_folders(path.parent)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        sync(part)
        os.replace(part, path)
    except BaseException:  # Ctrl-C too
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, see `replacing`; bytes of names that are none are escaped."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def move(source: Path, target: Path) -> None:
    """Rename a file or a folder, its new parent being made where it is missing."""
    make_folders(target.parent)
    os.replace(source, target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)
