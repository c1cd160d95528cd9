"""The log of a run: messages of the logger `restoration`, kept in a file of the run's folder."""

import logging
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
    """
    if distributed.rank() != 0:
        yield
        return
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    with attached(handler):
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        yield
