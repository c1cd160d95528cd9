"""The bar of a training: as much as the terminal has room for, and rates over the last seconds."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

WINDOW = 20.0  # seconds that a rate is taken over
NARROWEST_BAR = 8
GAP = "  "


class RecentRate:
    """Steps per second over the last seconds; what lies in `paused` blocks does not count.

    Neither does the first step, which waits for the loader to start, once there are others.

    Args:
        window: seconds; at least one step counts however long it takes.
        now: the clock.
    """

    def __init__(self, window: float = WINDOW, now: Callable[[], float] = time.monotonic) -> None:
        self.window, self.now = window, now
        self.idle, self.count = 0.0, 0
        self.moments = deque([(now(), 0)])

    def add(self) -> None:
        """Count a step that has just ended."""
        self.count += 1
        moment = self.now() - self.idle
        self.moments.append((moment, self.count))
        if self.count == 2:
            self.moments.popleft()
        while len(self.moments) > 2 and moment - self.moments[1][0] > self.window:
            self.moments.popleft()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of the block, such as that of a validation."""
        began = self.now()
        try:
            yield
        finally:
            self.idle += self.now() - began

    @property
    def value(self) -> float:
        """Steps per second, or 0 where none was counted."""
        (begin, before), (end, after) = self.moments[0], self.moments[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def speed(rate: float) -> str:
    """Steps per second, or seconds per step where they are slow."""
    if not rate:
        return ""
    return f"{rate:.2f} it/s" if rate >= 0.1 else f"{1 / rate:.1f} s/it"


def fit(kept: Sequence[str], optional: Sequence[str], width: int) -> str:
    """Join texts, as many as fit: all that are kept, and the first of the others.

    Args:
        kept: never dropped; empty ones are left out.
        optional: dropped from the last on.
        width: characters that there are.
    """
    parts = [text for text in kept if text]
    line = GAP.join(parts)
    for text in optional:
        if len(line) + len(GAP) + len(text) > width:
            break
        line += GAP + text
    return line


class _Facts(ProgressColumn):
    """What stands beside the bar: counts, rate and times, then loss terms where there is room."""

    def __init__(self, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self.console = console

    def render(self, task: Task) -> Text:
        """Compose the text for the width that the terminal has now."""
        room = self.console.width - len(task.description) - NARROWEST_BAR - 2
        fields = task.fields
        times = [clock(task.elapsed or 0), f"left {fields['left']}" if fields["left"] else ""]
        kept = [fields["count"], fields["rate"], *times, *fields["kept"]]
        return Text(fit(kept, fields["optional"], room), no_wrap=True, overflow="ellipsis")


class StepBar:
    """Shows the steps of a training, and below them a validation while there is one.

    Args:
        console: where it is shown; nothing, where that is no terminal.
        start: steps that are done.
        total: steps in all.
    """

    def __init__(self, console: Console, start: int, total: int) -> None:
        self.total, self.digits = total, len(str(total))
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            _Facts(console),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self.task = self.progress.add_task(
            "training", total=total, completed=start, **_fields(f"{start}/{total}")
        )

    def update(
        self, done: int, rate: float, left: float | None, terms: Mapping[str, float] | None
    ) -> None:
        """Show how far the training is.

        Args:
            done: steps.
            rate: steps per second, or 0.
            left: seconds, or None where nobody knows.
            terms: values of the loss by name, `total` first; None leaves those that are shown.
        """
        fields = _fields(f"{done:>{self.digits}}/{self.total}", speed(rate), left)
        if terms is None:
            del fields["kept"], fields["optional"]
        else:
            texts = [f"{name} {value:.4g}" for name, value in terms.items()]
            fields |= {"kept": texts[:1], "optional": texts[1:]}
        self.progress.update(self.task, completed=done, **fields)

    @contextmanager
    def validating(self) -> Iterator[Callable[[float, float, str, str, float | None], None]]:
        """Show a second bar for as long as the block lasts.

        Yields:
            A function of (work done, work in all, name of the image, count for people, seconds
            that are left or None).
        """
        task = self.progress.add_task("validating", total=None, **_fields(""))

        def update(done: float, total: float, name: str, count: str, left: float | None) -> None:
            fields = _fields(count, left=left) | {"optional": [name]}
            self.progress.update(task, completed=done, total=total, **fields)

        try:
            yield update
        finally:
            self.progress.remove_task(task)


def _fields(count: str, rate: str = "", left: float | None = None) -> dict[str, Any]:
    return {
        "count": count,
        "rate": rate,
        "left": "" if left is None else clock(left),
        "kept": [],
        "optional": [],
    }
