"""The order of a training: steps, log, states, validation; and what is kept however it ends."""

import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from restoration.common import distributed
from restoration.common.signals import Interrupted, interrupts_deferred
from restoration.options.schema import Options
from restoration.train import checkpoint, states
from restoration.train.checkpoint import Progress
from restoration.train.loop import Trainer, train
from restoration.train.monitor import Monitor

logger = logging.getLogger("restoration")


def means_of_ranks(means: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What every rank has of the means since the last log line; None where there is but one."""
    if distributed.world_size() == 1:
        return None
    on_cpu = {
        name: {key: one.cpu() for key, one in value.items()} if isinstance(value, dict) else value
        for name, value in means.items()
    }
    return distributed.gather([on_cpu])


class Keeper:
    """Writes the states of a training, on rank 0, and knows what was written.

    Args:
        trainer: whose states they are.
        folder: of the run.
        options: how many are kept.
        monitor: knows the means since the last log line, and which steps were skipped.
        start: where the training stands.
        sound: whether the network still answers; asked where a step was skipped.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        options: Options,
        monitor: Monitor,
        start: Progress,
        sound: Callable[[], bool],
    ):
        self.sound = sound
        self.trainer, self.folder, self.options, self.monitor = trainer, folder, options, monitor
        self.now = replace(start)
        self.saved = start.step

    def save(self, together: bool = True) -> None:
        """Write weights and state, and remove those that the options do not keep.

        Args:
            together: all ranks are here, and each one's means are kept.
        """
        self.saved = self.now.step
        with interrupts_deferred(patient=True):
            self.now.means = self.monitor.means.state()
            self.now.of_ranks = means_of_ranks(self.now.means) if together else None
            if distributed.rank() != 0:
                return
            self.monitor.sync()
            checkpoint.save_state(self.trainer, self.folder, self.now)
            logged = self.options.logger
            states.remove_old(self.folder, logged.keep_last, logged.keep_every)

    def save_measured(self) -> None:
        """Write the state of the step that was saved once more, now that it is measured."""
        if distributed.rank() == 0 and self.saved == self.now.step:
            with interrupts_deferred(patient=True):
                checkpoint.save_progress(self.trainer, self.folder, self.now)

    def rescue(self, together: bool) -> None:
        """Save the last step, if it is whole; what cannot be saved is said. See `save`."""
        try:
            whole = self.trainer.whole_at == self.now.step > self.saved
            if whole and self.worth_keeping():
                self.save(together)
        except (OSError, RuntimeError, FloatingPointError) as error:
            logger.error("step %d could not be saved: %s", self.now.step, error)

    def worth_keeping(self) -> bool:
        """Whether the network still answers, if its last steps were skipped."""
        return self.monitor.skips.why is None and (not self.monitor.broken or self.sound())

    def last_good(self) -> str:
        """Say from where the training can go on."""
        newest = checkpoint.latest_state(self.folder)
        if newest is None:
            return "there is no state yet to continue from"
        return f"continue from step {newest.stem} with --auto_resume"


def take_steps(
    trainer: Trainer,
    loader: Iterable[dict[str, Tensor]],
    options: Options,
    keeper: Keeper,
    due: Callable[[int], bool],
    look: Callable[[Progress], Progress],
) -> None:
    """Take every step; log, validate and save at the steps where the options say so.

    Args:
        trainer: what a step is.
        loader: micro-batches, from the step on that the keeper stands at.
        options: of the training.
        keeper: of its states.
        due: whether there is a validation after so many steps.
        look: validates, and returns the progress with that in it.

    Raises:
        FloatingPointError: too many steps in a row were skipped, or a weight is not finite.
    """
    recipe, monitor, start = options.train, keeper.monitor, keeper.now.step
    assert recipe is not None  # `prepare` has seen to it
    total = recipe.total_iter
    steps = train(trainer, loader, start, total, recipe.accumulate, recipe.max_hours)

    def validate() -> None:
        keeper.now = look(keeper.now)
        keeper.save_measured()

    try:
        if start and due(start) and keeper.now.validated != start:
            validate()  # the run ended while it was measured
        with closing(steps):  # a Ctrl-C that waits for the end of the step is let go here
            for result in steps:
                with interrupts_deferred(patient=True):
                    monitor.step(result)
                    keeper.now.step = done = result.step + 1
                last = done == total
                saving = last or done % options.logger.save_checkpoint_freq == 0
                if saving or due(done):
                    monitor.check()  # what is broken is neither measured nor kept
                if saving and keeper.worth_keeping():
                    keeper.save()
                elif last:
                    raise monitor.failure()
                elif saving:
                    logger.warning("step %d is not saved: the network does not answer", done)
                if due(done):
                    validate()
    except BaseException as error:
        _end(error, keeper)
        raise


def _end(error: BaseException, keeper: Keeper) -> None:
    """Save what is whole, and say how the training ended and from where it can go on."""
    with interrupts_deferred(patient=True):
        keeper.rescue(together=getattr(error, "agreed", False))
        ending = "interrupted" if isinstance(error, KeyboardInterrupt) else "stopped"
        if isinstance(error, Interrupted):
            ending += f" by {error.reason}"
        logger.info("%s: %s", ending, keeper.last_good())
    if isinstance(error, FloatingPointError):
        raise FloatingPointError(f"{error}; {keeper.last_good()}") from error
