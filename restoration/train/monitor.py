"""What a person sees of a run: a progress bar or log lines, TensorBoard, curves and val.csv."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from restoration.common import distributed, durable
from restoration.evaluate.rows import Mean
from restoration.evaluate.sets import EvaluationSet
from restoration.train.finite import BrokenSteps
from restoration.train.loop import StepResult
from restoration.train.step_files import StepFile, ValidationFile, open_curves
from restoration.train.tensorboard import VALIDATION, value_tag, value_tags

logger = logging.getLogger("restoration")
BAR_REFRESH = 10  # steps between new numbers in the bar; reading them waits for the device
DATA_HINT = 0.3  # share of the time spent waiting for data above which the log says so


class RunningMeans:
    """Means of named values since the last reading; they stay on the device until then."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.left_out: dict[str, Tensor] = {}  # how often a value did not count, by name

    def add(self, values: dict[str, Tensor], left_out: dict[str, Tensor] | None = None) -> None:
        """Add one step's values.

        Args:
            values: by name.
            left_out: True for those that do not count this time, by name.
        """
        for name, value in values.items():
            if left_out is not None and name in left_out:
                self.left_out[name] = self.left_out.get(name, 0) + left_out[name]
                value = torch.where(left_out[name], 0.0, value)
            self.sums[name] = self.sums.get(name, 0) + value
        self.count += 1

    def current(self) -> dict[str, float]:
        """Return the means so far; NaN where nothing counted."""
        counts = {name: self.count - self.num_left_out(name) for name in self.sums}
        return {n: float(v) / counts[n] if counts[n] else math.nan for n, v in self.sums.items()}

    def num_left_out(self, name: str) -> int:
        """How often a value did not count since the last reading."""
        return int(self.left_out.get(name, 0))

    def read(self) -> dict[str, float]:
        """Return the means and start again."""
        means = self.current()
        self.sums, self.count, self.left_out = {}, 0, {}
        return means

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a resumed run logs the same means."""
        return {"sums": self.sums, "count": self.count, "left_out": self.left_out}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.sums, self.count = dict(state["sums"]), state["count"]
        self.left_out = dict(state.get("left_out", {}))


class Monitor:
    """Reports the steps of a run on rank 0.

    Args:
        console: where the bar goes.
        folder: the experiment's folder, for curves.csv and val.csv; None on the other ranks.
        tb: TensorBoard writer, or None.
        start: first step.
        total: number of steps of the whole run.
        names: the loss terms.
        print_freq: steps between log lines.
        sets: validation sets by name; without one there is no val.csv.
        metrics: names of what validations measure.
        last_validation: step of the last one; None where the run does not know.
        skips: counts the steps whose gradient is not finite.
        on_skipped: called with such steps, when they are known.
    """

    def __init__(
        self,
        console: Console,
        folder: Path | None,
        tb: SummaryWriter | None,
        start: int,
        total: int,
        names: Sequence[str],
        print_freq: int,
        sets: Mapping[str, EvaluationSet] | None = None,
        metrics: Sequence[str] = (),
        last_validation: int | None = None,
        skips: BrokenSteps | None = None,
        on_skipped: Callable[[list[int]], None] | None = None,
    ):
        self.skips = BrokenSteps(total, start, total, fp16=True) if skips is None else skips
        self.on_skipped = on_skipped
        self.tb, self.start, self.total, self.print_freq = tb, start, total, print_freq
        self.curves = open_curves(folder, start, names) if folder else None
        places = [(name, one) for name, s in (sets or {}).items() for one in s.conditions]
        self.several = len(sets or {}) > 1
        self.tags = [value_tag(m, *place, self.several) for m in metrics for place in places]
        conditions = [condition for _, condition in places]
        validated = start if last_validation is None else last_validation
        self.validations = (
            ValidationFile(folder, validated, conditions, metrics) if folder and places else None
        )
        self.means, self.recent = RunningMeans(), RunningMeans()
        self.data_seconds, self.fetched = 0.0, 0  # since the last log line of this process
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=total, completed=start, rate="", terms="")

    def __enter__(self) -> "Monitor":
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()
        if self.tb is not None:
            self.tb.flush()

    def step(self, result: StepResult) -> None:
        """Report one step."""
        done = result.step + 1
        values = {**result.values, "grad_norm": result.grad_norm}
        left_out = None if result.skipped is None else dict.fromkeys(values, result.skipped)
        if self.skips.fp16 and result.skipped is not None:  # whose losses are as good as others
            left_out = {"grad_norm": result.skipped}
        self.means.add(values, left_out)
        self.recent.add(result.values)
        self.skips.add(result.skipped, result.values["total"])
        self.data_seconds += result.data_seconds
        self.fetched += 1
        self.bar.update(self.task, completed=done)
        if done % BAR_REFRESH == 0 or done == self.total:
            speed = self.bar.tasks[self.task].speed
            rate = f"{speed:.2f} it/s" if speed else ""
            self.bar.update(self.task, rate=rate, terms=describe(self.recent.read()))
        if done % self.print_freq == 0 or done == self.total:
            self._log(done, result)

    @property
    def broken(self) -> bool:
        """Whether the last step was skipped, or the training cannot go on."""
        return self.skips.last_is_bad()

    def check(self) -> None:
        """Raise FloatingPointError, on all ranks, if the training cannot go on."""
        skipped = self.skips.read()
        if skipped and not self.skips.fp16 and self.on_skipped is not None:
            self.on_skipped(skipped)
        reasons = [reason for reason in distributed.gather([self.skips.why]) if reason]
        if reasons:
            raise self.failure(reasons[0])

    def sync(self) -> None:
        """Bring the rows so far to the disk, before a state that continues from there."""
        if self.curves is not None:
            durable.sync(self.curves.path)
        if self.validations is not None:
            durable.sync(self.validations.file.path)

    def failure(self, reason: str | None = None) -> FloatingPointError:
        """The error that says what is not finite since when."""
        seen = describe(self.recent.current())
        values = f" ({seen})" if seen else ""
        return FloatingPointError(
            f"{reason or self.skips.reason()}{values}: lower the learning rate, or train without "
            "fp16"
        )

    def _log(self, done: int, result: StepResult) -> None:
        self.check()
        skipped = self.means.num_left_out("grad_norm")
        means = _over_ranks(self.means.read())
        shares = _over_ranks({name: float(share) for name, share in result.shares.items()})
        task = self.bar.tasks[self.task]
        elapsed = task.elapsed or 0.0
        rate = (done - self.start) / elapsed if elapsed else 0.0
        left = (self.total - done) / rate if rate else 0.0
        wait = self.data_seconds / self.fetched
        logger.info(
            "[%d/%d] lr %.3g  %s%s  %.2f it/s  eta %s  data %.3f s",
            done,
            self.total,
            result.learning_rate,
            describe({k: v for k, v in means.items() if k != "grad_norm"}),
            describe_shares(shares),
            rate,
            clock(left),
            wait,
        )
        if skipped and self.skips.fp16:
            logger.info("fp16 overflowed in %d steps, which changed no weights", skipped)
        if rate and wait * rate > DATA_HINT:
            logger.info(
                "the loader is the bottleneck: raise num_worker_per_gpu or cache_gb, or decode the "
                "images once (restoration data prepare --decoded)"
            )
        self.data_seconds, self.fetched = 0.0, 0
        record(self.curves, self.tb, done, {"lr": result.learning_rate, **means})
        record(None, self.tb, done, {f"share/{name}": share for name, share in shares.items()})

    def validated(self, done: int, means: Sequence[Mean], pictures: Mapping[str, Tensor]) -> None:
        """Report a validation: means by set and condition, and (3, H, W) images by name."""
        for name in dict.fromkeys(mean.set for mean in means):
            values = value_tags([mean for mean in means if mean.set == name], several=False)
            text = "  ".join(f"{tag} {value:.4f}" for tag, value in values.items())
            where = f" on {name}" if self.several else ""
            logger.info("[%d/%d] validation%s: %s", done, self.total, where, text)
        if self.validations is not None:
            self.validations.add(done, means)
        if self.tb is not None:
            for tag, value in value_tags(means, self.several).items():
                if math.isfinite(value):
                    self.tb.add_scalar(f"{VALIDATION}/{tag}", value, done)
        self.show(done, pictures)

    def show(self, done: int, pictures: Mapping[str, Tensor]) -> None:
        """Hand (3, H, W) images to TensorBoard, by name."""
        if self.tb is not None:
            for name, picture in pictures.items():
                self.tb.add_image(f"{VALIDATION}/{name}", picture, done)


def record(
    curves: StepFile | None, tb: SummaryWriter | None, step: int, values: dict[str, float]
) -> None:
    """Write the values of a step to curves.csv and to TensorBoard, where there are such."""
    if curves is not None:
        curves.add({"step": step, **values})
    if tb is not None:
        for name, value in values.items():
            tb.add_scalar(f"train/{name}", value, step)


def _over_ranks(values: dict[str, float]) -> dict[str, float]:
    """Mean over all ranks of values by name."""
    parts = distributed.gather([values])
    return {name: fmean(part[name] for part in parts) for name in values}


def describe_shares(shares: dict[str, float]) -> str:
    """Shares of the gradient at the prediction in a few words; nothing where there are none."""
    parts = " / ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f"  share of the gradient: {parts}" if parts else ""


def describe(values: dict[str, float]) -> str:
    """Values by name in one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
