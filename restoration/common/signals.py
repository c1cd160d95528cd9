"""What asks a training to end: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, and the end of its time.

All take effect between two steps, so that what is saved is of a whole step. The process ends with
128 and the signal's number, as a shell has it, or with `OUT_OF_TIME`.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows has the first two
SIGNALS = tuple(int(getattr(signal, name)) for name in NAMES if hasattr(signal, name))
INTERRUPTED = 128 + int(signal.SIGINT)
OUT_OF_TIME = 75  # EX_TEMPFAIL of sysexits.h: to be tried again


class Interrupted(KeyboardInterrupt):
    """Something beside Ctrl-C ended the work.

    Args:
        reason: what, in a word or two.
        code: with which the process ends.
    """

    def __init__(self, reason: str, code: int):
        super().__init__(reason)
        self.reason, self.code = reason, code


def interruption(number: int) -> KeyboardInterrupt:
    """The exception that a signal raises."""
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    return Interrupted(signal.Signals(number).name, 128 + number)


def exit_code(error: KeyboardInterrupt) -> int:
    """With what a process ends that was interrupted."""
    return error.code if isinstance(error, Interrupted) else INTERRUPTED


def _raise(number: int, frame: FrameType | None) -> None:
    raise interruption(number)


def _ours(numbers: tuple[int, ...]) -> dict[int, Any]:
    """Those of the signals that nobody else handles or ignores, with their handlers."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    usual = (signal.SIG_DFL, signal.default_int_handler, _raise)
    found = {number: signal.getsignal(number) for number in numbers}
    return {n: h for n, h in found.items() if h in usual or isinstance(h, _Hold)}


class _Hold:
    """A handler that keeps the first signal for later; the next one interrupts at once."""

    def __init__(self, patient: bool):
        self.patient = patient
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and not self.patient:
            raise interruption(number)
        self.number = number

    def held(self) -> KeyboardInterrupt | None:
        """The interruption that waits, or None."""
        return None if self.number is None else interruption(self.number)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM, SIGHUP and SIGUSR1 interrupt as Ctrl-C does, for as long as the block lasts."""
    before = {n: h for n, h in _ours(SIGNALS).items() if h is signal.SIG_DFL}
    try:
        for number in before:
            signal.signal(number, _raise)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_deferred(
    patient: bool = False,
) -> Iterator[Callable[[], KeyboardInterrupt | None]]:
    """Hold signals back until the block is done; a second one stops at once.

    A step that is cut in the middle leaves weights that belong to no step number, from which
    nobody can go on exactly. Signals that somebody else handles, or ignores, stay with them.

    Args:
        patient: hold back a second one too, as while a file is written.

    Yields:
        A function that returns the interruption that is held back, or None.
    """
    before, hold = _ours(SIGNALS), _Hold(patient)
    try:
        for number in before:
            signal.signal(number, hold)
        yield hold.held
    except Exception as error:
        waiting = hold.held()
        if waiting is None:
            raise
        raise waiting from error  # the signal may well be what the error came from
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if hold.number is not None:
        outer = before[hold.number]
        if not isinstance(outer, _Hold):
            raise interruption(hold.number)
        outer(hold.number, None)
