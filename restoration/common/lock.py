"""One process at a time in a folder that is written to."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from restoration.common import distributed
from restoration.common.durable import make_folders

LOCK, HOLDER = ".lock", ".lock.holder"  # the system frees the first with a process that is killed


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder for as long as the block lasts; rank 0 alone asks.

    Args:
        folder: what is written to; it is made where it is missing.

    Raises:
        ValueError: another process has it, and which.
    """
    if distributed.rank() != 0:
        yield
        return
    make_folders(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"expected {folder} for this process alone, got one that {_holder(folder)} works in: "
            "wait for it, or choose another name"
        ) from error
    try:
        (folder / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}", "utf-8")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        return (folder / HOLDER).read_text("utf-8", errors="replace") or "another process"
    except OSError:
        return "another process"
