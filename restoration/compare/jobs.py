"""The trainings of a comparison at once, each in a process of its own on this machine.

A process is told to stop by SIGTERM, upon which a training saves its state. Ctrl-C goes to every
process of a terminal; here only the first one heeds it, and tells the others.
"""

import logging
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from restoration.common import distributed
from restoration.common.signals import OUT_OF_TIME, Interrupted, exit_code, signals_interrupt
from restoration.compare import fairness, resume
from restoration.compare.absent import divergence
from restoration.compare.candidates import RECIPES
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.compare.result_files import read_curves
from restoration.compare.run import open_measurement
from restoration.compare.single import train_only
from restoration.evaluate.measure import OnProgress
from restoration.options.run_folder import own_folder

logger = logging.getLogger("restoration")
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class How:
    """What every process works on, and how.

    Attributes:
        plan: of the comparison.
        folder: of the comparison.
        threads: of torch, for each process.
        allow_different: see `train_only`.
    """

    plan: Plan
    folder: Path
    threads: int
    allow_different: bool

    def place(self, run: ResolvedRecipe) -> Path:
        """Folder of a training."""
        return self.folder / RECIPES / run.place


@dataclass(frozen=True)
class Job:
    """A training that runs.

    Attributes:
        run: what is trained.
        process: that trains it.
        told: what it says at its end: a mistake of the user's, or nothing.
        slot: its place among those that run at once.
        began: when, by `time.monotonic`.
    """

    run: ResolvedRecipe
    process: BaseProcess
    told: Connection
    slot: int
    began: float


def train_at_once(
    plan: Plan,
    folder: Path,
    device: torch.device,
    jobs: int,
    auto_resume: bool = False,
    allow_different: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Train everything of a comparison that is not finished, several at once.

    The first seeds of all recipes come first, so that a mistake in a recipe is found early. One
    that fails stops the others, which save their state. CPU threads are divided among them; where
    the device is a GPU, all GPUs of the machine are dealt out to them.

    Args:
        plan: see `load_comparison`.
        folder: of the comparison; an earlier one is archived, unless that goes on.
        device: where to compute.
        jobs: how many at once.
        auto_resume: continue with what is in the folder.
        allow_different: train even if the recipes differ in more than the loss.
        on_progress: told the steps that are done, all steps, what is trained, and how many
            trainings are done.

    Raises:
        ValueError: a recipe cannot be trained, or processes of torchrun share this one.
        ChildProcessError: a process ended in another way, as one does that is out of memory.
        KeyboardInterrupt: a signal, or the end of a training's `train.max_hours`.
    """
    if jobs < 1:
        raise ValueError(f"expected one job or more, got {jobs}")
    if distributed.world_size() > 1:
        raise ValueError(
            "jobs are processes of their own, which torchrun's cannot start: leave out one of both"
        )
    if not allow_different:
        fairness.refuse(plan, fairness.find_marks(plan))
    open_measurement(plan, device)  # whose mistakes would be found after hours
    how = How(plan, folder, max(1, torch.get_num_threads() // jobs), allow_different)
    with own_folder(folder, keep=auto_resume, signs=resume.SIGNS), signals_interrupt():
        resume.going_on(plan.runs, folder, folder / RECIPES)  # refuses other options
        trained = [run for run in _seeds_in_turn(plan) if run.trained]
        waiting = [run for run in trained if not _done(run, how)]
        progress = _Progress(trained, how, on_progress)
        running: list[Job] = []
        try:
            while waiting or running:
                free = sorted(set(range(jobs)) - {job.slot for job in running})
                for slot in free[: len(waiting)]:
                    running.append(_start(waiting.pop(0), how, slot, device))
                wait([job.process.sentinel for job in running], POLL_SECONDS)
                for job in [job for job in running if not job.process.is_alive()]:
                    running.remove(job)
                    _end(job, how)
                    progress.done.append(job.run)
                progress.show(running)
        finally:
            for job in running:
                job.process.terminate()
            for job in running:
                job.process.join()


def _seeds_in_turn(plan: Plan) -> Iterator[ResolvedRecipe]:
    """The runs of a comparison, those with the first seed before those with the second."""
    of_recipes = [plan.runs_of(recipe) for recipe in plan.recipes]
    for turn in range(max(map(len, of_recipes))):
        yield from (runs[turn] for runs in of_recipes if turn < len(runs))


def _done(run: ResolvedRecipe, how: How) -> bool:
    return bool(divergence(how.place(run))) or resume.is_finished(run, how.place(run))


def _start(run: ResolvedRecipe, how: How, slot: int, device: torch.device) -> Job:
    """Let a new process train."""
    used = str(device)
    if device.type == "cuda":
        used = f"cuda:{slot % torch.cuda.device_count()}"
    context = multiprocessing.get_context("spawn")  # a fork would take torch's threads for its own
    told, tell = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(how, run.name, run.seed, used, tell))
    process.start()
    tell.close()
    logger.info("begun: %s", run.title)
    return Job(run, process, told, slot, time.monotonic())


def begin_process(how: How) -> None:
    """What every process does first: it leaves Ctrl-C to the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    distributed.end_with_parent()
    torch.set_num_threads(how.threads)


def _train(how: How, recipe: str, seed: int | None, device: str, tell: Connection) -> None:
    """Train, in a process of its own."""
    begin_process(how)
    try:
        with distributed.process_group(device) as used:
            train_only(how.plan, how.folder, used, recipe, seed, True, how.allow_different)
    except KeyboardInterrupt as error:
        sys.exit(exit_code(error))
    except (ValueError, OSError) as error:
        tell.send(str(error))
        sys.exit(2)


def _end(job: Job, how: How) -> None:
    """See how a training ended; raise unless it is finished or has diverged."""
    job.process.join()
    code = job.process.exitcode
    if job.told.poll():
        try:
            raise ValueError(job.told.recv())
        except EOFError:
            pass  # nothing was said
    title = job.run.title
    if code and (code > 128 or code == OUT_OF_TIME):
        raise Interrupted(f"the training of {title} was interrupted", code)
    if code:
        raise ChildProcessError(f"the process that trained {title} ended with {code}")
    reason = divergence(how.place(job.run))
    took = timedelta(seconds=round(time.monotonic() - job.began))
    if reason:
        logger.warning("%s: %s", title, reason)
    else:
        logger.info("trained: %s, in %s", title, took)


class _Progress:
    """Tells how many steps of all trainings are done."""

    def __init__(self, runs: Sequence[ResolvedRecipe], how: How, on_progress: OnProgress | None):
        self.how, self.on_progress = how, on_progress
        self.total = sum(_steps(run) for run in runs)
        self.done = [run for run in runs if _done(run, how)]
        self.count = len(runs)

    def show(self, running: Sequence[Job]) -> None:
        """Tell it."""
        if self.on_progress is None or not running:
            return
        steps = sum(_steps(run) for run in self.done)
        for job in running:
            curves = read_curves(self.how.place(job.run) / "curves.csv")
            steps += int(curves[-1]["step"]) if curves else 0
        names = "; ".join(job.run.title for job in running)
        self.on_progress(steps, self.total, names, f"{len(self.done)}/{self.count}")


def _steps(run: ResolvedRecipe) -> int:
    assert run.options.train is not None
    return run.options.train.total_iter
