"""How long work tells whoever called it how far it is: the caller decides what to show."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Begins a piece of work; a context manager that ends it, and yields what counts one step."""

    def __call__(
        self, title: str, total: int, done: int = 0
    ) -> AbstractContextManager[Callable[[], None]]:
        """Begin.

        Args:
            title: what is done, such as "measuring".
            total: number of steps.
            done: steps that are done already.
        """


@contextmanager
def no_progress(title: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show nothing."""
    yield lambda: None
