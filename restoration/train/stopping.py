"""When a training ends early: after a whole step, and after the same one on all ranks.

Ranks wait for each other in every step, so one that stops before the others leaves them waiting.
A rank that is asked to stop says so in the store of the process group, and goes on; once all have
seen it, which takes them two steps at most, all stop after the step that the last one can reach.
"""

import time
from collections.abc import Callable

import torch

from restoration.common import distributed
from restoration.common.signals import OUT_OF_TIME, Interrupted

LOOK_SECONDS = 1.0  # between two looks at whether another rank was asked to stop
AHEAD = 2  # steps after which all ranks know that all have seen it
HOUR = 3600.0

Held = Callable[[], KeyboardInterrupt | None]


class Stopping:
    """Says after which step a training ends early, and why.

    Args:
        held: the signal that waits, if there is one, see `interrupts_deferred`.
        device: of the training.
        max_hours: after so many hours it ends, or None.
    """

    trainings = 0  # of this process group so far; the same number on all ranks

    def __init__(self, held: Held, device: torch.device, max_hours: float | None = None):
        self.held, self.device = held, device
        self.deadline = None if max_hours is None else time.monotonic() + max_hours * HOUR
        Stopping.trainings += 1
        self.ranks = distributed.Notes(f"stop {Stopping.trainings}")
        self.looked, self.last = time.monotonic(), 0
        self.reason: KeyboardInterrupt | None = None

    def due(self, done: int) -> KeyboardInterrupt | None:
        """Return why the training ends after this step, or None if it goes on.

        Args:
            done: steps that are done.
        """
        self.reason = self.reason or self._asked()
        if self.reason is None or distributed.world_size() == 1:
            return self.reason
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # now no rank is more than one step ahead
        if not self.last:
            self.ranks.write(done)
            found = self.ranks.read()
            self.last = max(found) + AHEAD if found else 0
        if not self.last or done < self.last:
            return None
        self.reason.agreed = True  # type: ignore[attr-defined]  # all ranks are here
        return self.reason

    def _asked(self) -> KeyboardInterrupt | None:
        waiting = self.held()
        if waiting is not None:
            return waiting
        now = time.monotonic()
        if self.deadline is not None and now > self.deadline:
            return Interrupted("train.max_hours", OUT_OF_TIME)
        if distributed.world_size() > 1 and now - self.looked > LOOK_SECONDS:
            self.looked = now
            if self.ranks.any():
                return Interrupted("another process", OUT_OF_TIME)
        return None
