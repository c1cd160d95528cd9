"""The log of a run: messages of the logger `restoration`, kept in a file of the run's folder."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restoration.common import distributed
from restoration.common.handlers import attached, logger


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Append all messages to a file for as long as the block lasts, on rank 0.

    Args:
        path: the file; its folder exists.

    Raises:
        ValueError: there is something else of that name, such as a pipe.
    """
    if distributed.rank() != 0:
        yield
        return
    if path.exists() and not path.is_file():
        raise ValueError(f"expected a file for the log, or none, got {path}, which is no file")
    end_last_line(path)
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    with attached(handler):
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        yield


class _LogFile(logging.FileHandler):
    """A log that may have gaps where the disk was full, which the files of the run will say."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Print no trace for a line that could not be written."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file; what could not be written until now is lost."""
        try:
            super().close()
        except OSError:
            super().close()  # the file is gone, and the rest can be closed


def end_last_line(path: Path) -> None:
    """End a last line that was cut off, so that the next one begins where lines begin."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
