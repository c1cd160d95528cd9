"""How far long work is: a bar with the remaining time, or a line now and then in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from restoration.common import progress

LINE_SECONDS = 30.0  # between two lines where the console is no terminal


class Work:
    """Shows the progress of one piece of work; a context manager.

    Args:
        console: where to show it.
        verb: what is done, such as "evaluating".
        visible: False shows nothing, for the ranks beside the first.
        transient: whether the bar goes when the work is done.
    """

    def __init__(self, console: Console, verb: str, visible: bool = True, transient: bool = False):
        self.console, self.verb, self.visible = console, verb, visible
        self.first: tuple[float, float] | None = None  # when the first of it was done, and how much
        self.shown = 0.0
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),  # names of files are no markup
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            transient=transient,
            disable=not (visible and console.is_terminal),
        )
        self.task = self.bar.add_task(verb, start=False, total=None, count="")

    def __enter__(self) -> "Work":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def update(self, done: float, total: float, name: str = "", count: str = "") -> None:
        """Say how far the work is.

        Args:
            done: work that is done, in any unit.
            total: all of the work.
            name: what was done last, if it has a name.
            count: done and total for people; from the numbers if empty.
        """
        now = time.monotonic()
        if self.first is None:
            self.first, self.shown = (now, done), now
            self.bar.start()  # not before the work: a console shows one bar at a time
            self.bar.start_task(self.task)
        count = count or f"{done:g}/{total:g}"
        title = f"{self.verb} {name}".rstrip()
        self.bar.update(self.task, completed=done, total=total, description=title, count=count)
        if self.visible and not self.console.is_terminal and now - self.shown > LINE_SECONDS:
            self.shown = now
            began, before = self.first
            rate = (done - before) / (now - began)
            left = f", {timedelta(seconds=round((total - done) / rate))} left" if rate else ""
            self.console.print(f"{title}: {count}{left}")


@contextmanager
def progress_bar(
    console: Console, title: str, total: int, done: int = 0
) -> Iterator[Callable[[], None]]:
    """Show work until the block ends, and yield what advances it by one step."""
    with Work(console, title, transient=True) as work:

        def advance() -> None:
            nonlocal done
            done += 1
            work.update(done, total)

        work.update(done, total)
        yield advance


def progress_on(console: Console) -> progress.Progress:
    """What shows the progress of work on a console, for functions that take a `progress`."""
    return partial(progress_bar, console)
