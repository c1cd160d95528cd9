"""What a person sees of a run: a progress bar or log lines, TensorBoard, curves and val.csv."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from rich.console import Console
from torch import Tensor

from restoration.common import distributed, durable
from restoration.evaluate.measure import OnProgress
from restoration.evaluate.rows import Mean
from restoration.evaluate.sets import EvaluationSet
from restoration.train.bar import RecentRate, StepBar, clock, speed
from restoration.train.finite import BrokenSteps
from restoration.train.loop import StepResult
from restoration.train.means import RunningMeans
from restoration.train.step_files import StepFile, ValidationFile, open_curves
from restoration.train.tensorboard import VALIDATION, value_tag, value_tags
from restoration.train.trackers import Trackers

logger = logging.getLogger("restoration")
BAR_REFRESH = 10  # steps between new numbers in the bar; reading them waits for the device
BAR_SECONDS = 2.0  # after which a slow step shows new numbers too
LINE_SECONDS = 30.0  # between two lines of a validation where the console is no terminal
DATA_HINT = 0.3  # share of the time spent waiting for data above which the log says so


class Monitor:
    """Reports the steps of a run on rank 0.

    Args:
        console: where the bar goes.
        folder: the experiment's folder, for curves.csv and val.csv; None on the other ranks.
        trackers: where values go beside the files; None for nowhere.
        start: first step.
        total: number of steps of the whole run.
        names: the loss terms.
        print_freq: steps between log lines.
        sets: validation sets by name; without one there is no val.csv.
        metrics: names of what validations measure.
        last_validation: step of the last one; None where the run does not know.
        skips: counts the steps whose gradient is not finite.
        on_skipped: called with such steps, when they are known.
        val_freq: steps between validations, whose time the remaining time includes.
    """

    def __init__(
        self,
        console: Console,
        folder: Path | None,
        trackers: Trackers | None,
        start: int,
        total: int,
        names: Sequence[str],
        print_freq: int,
        sets: Mapping[str, EvaluationSet] | None = None,
        metrics: Sequence[str] = (),
        last_validation: int | None = None,
        skips: BrokenSteps | None = None,
        on_skipped: Callable[[list[int]], None] | None = None,
        val_freq: int | None = None,
    ):
        self.skips = BrokenSteps(total, start, total, fp16=True) if skips is None else skips
        self.on_skipped = on_skipped
        self.trackers = trackers or Trackers()
        self.total, self.print_freq, self.val_freq = total, print_freq, val_freq
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
        self.bar = StepBar(console, start, total)
        self.is_shown = console.is_terminal
        self.rate, self.shown = RecentRate(), time.monotonic()
        self.validation_seconds = 0.0  # of the last one

    def __enter__(self) -> "Monitor":
        self.rate = RecentRate()
        self.bar.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.bar.progress.stop()
        self.trackers.flush()
        if kind is not None:
            self.trackers.close(failed=not issubclass(kind, KeyboardInterrupt))

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
        self.rate.add()
        now = time.monotonic()
        due = done % BAR_REFRESH == 0 or done == self.total or now - self.shown > BAR_SECONDS
        if self.is_shown:
            self.shown = now if due else self.shown
            terms = self.recent.read() if due else None
            self.bar.update(done, self.rate.value, self._seconds_left(done), terms)
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
        rate = self.rate.value
        wait = self.data_seconds / self.fetched
        logger.info(
            "[%d/%d] lr %.3g  %s%s  %s  eta %s  data %.3f s",
            done,
            self.total,
            result.learning_rate,
            describe({k: v for k, v in means.items() if k != "grad_norm"}),
            describe_shares(shares),
            speed(rate),
            clock(self._seconds_left(done) or 0),
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
        values = {"lr": result.learning_rate, **means}
        record(self.curves, self.trackers, done, values)
        of_terms = {f"share/{name}": share for name, share in shares.items()}
        record(None, self.trackers, done, of_terms)

    def _seconds_left(self, done: int) -> float | None:
        """How long the rest takes at the rate of now, validations included."""
        if not self.rate.value:
            return None
        validations = 0
        if self.val_freq is not None:
            validations = self.total // self.val_freq - done // self.val_freq
        return (self.total - done) / self.rate.value + validations * self.validation_seconds

    @contextmanager
    def validating(self, done: int) -> Iterator[OnProgress]:
        """Show how far a validation is; yields what `evaluate_runs` tells."""
        began = said = time.monotonic()

        def update(part: float, whole: float, name: str, count: str) -> None:
            nonlocal said
            now = time.monotonic()
            left = (now - began) * (whole - part) / part if part else None
            show(part, whole, name, count, left)
            if not self.is_shown and now - said > LINE_SECONDS and left is not None:
                said = now
                text = "[%d/%d] validating: %s, %s left"
                logger.info(text, done, self.total, count, clock(left))

        with self.rate.paused(), self.bar.validating() as show:
            yield update
        self.validation_seconds = time.monotonic() - began

    def validated(self, done: int, means: Sequence[Mean], pictures: Mapping[str, Tensor]) -> None:
        """Report a validation: means by set and condition, and (3, H, W) images by name."""
        for name in dict.fromkeys(mean.set for mean in means):
            values = value_tags([mean for mean in means if mean.set == name], several=False)
            text = "  ".join(f"{tag} {value:.4f}" for tag, value in values.items())
            where = f" on {name}" if self.several else ""
            logger.info("[%d/%d] validation%s: %s", done, self.total, where, text)
        if self.validations is not None:
            self.validations.add(done, means)
        values = value_tags(means, self.several)
        finite = {tag: value for tag, value in values.items() if math.isfinite(value)}
        self.trackers.scalars(done, {f"{VALIDATION}/{tag}": v for tag, v in finite.items()})
        self.show(done, pictures)

    def show(self, done: int, pictures: Mapping[str, Tensor]) -> None:
        """Hand (3, H, W) images to the trackers, by name."""
        self.trackers.pictures(done, {f"{VALIDATION}/{n}": one for n, one in pictures.items()})


def record(
    curves: StepFile | None, trackers: Trackers, step: int, values: dict[str, float]
) -> None:
    """Write the values of a step to curves.csv, where there is one, and to the trackers."""
    if curves is not None:
        curves.add({"step": step, **values})
    trackers.scalars(step, {f"train/{name}": value for name, value in values.items()})


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
