"""The logger `restoration`, and handlers that it has for as long as a block lasts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("restoration")


@contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
    """Add a handler to the logger; in the end it is closed, and the logger as it was before.

    Args:
        handler: what is added.
    """
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)  # an assignment would leave the levels that loggers remember
        logger.propagate = propagate
