"""What a person sees of a run: a progress bar or log lines, TensorBoard, and curves.csv."""

import csv
import logging
import math
from collections.abc import Sequence
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

from restoration.common import distributed
from restoration.train.loop import StepResult

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
                self.left_out[name] = self.left_out.get(name, 0) + left_out[name].long()
                value = torch.where(left_out[name], torch.zeros_like(value), value)
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


class Curves:
    """curves.csv: the mean of every loss term between two log lines.

    Args:
        path: the file; rows behind `start` (of a run that was interrupted later than its last
            checkpoint) are dropped.
        start: step that the run continues from.
        names: the loss terms.
    """

    def __init__(self, path: Path, start: int, names: Sequence[str]):
        self.path = path
        self.names = ["step", "lr", "grad_norm", "total", *names]
        kept = []
        if start and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= start]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)

    def add(self, row: dict[str, float]) -> None:
        """Append one row."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.names, extrasaction="ignore").writerow(row)


class Monitor:
    """Reports the steps of a run on rank 0.

    Args:
        console: where the bar goes.
        folder: the experiment's folder, for curves.csv; None on the other ranks.
        tb: TensorBoard writer, or None.
        start: first step.
        total: number of steps of the whole run.
        names: the loss terms.
        print_freq: steps between log lines.
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
    ):
        self.tb, self.start, self.total, self.print_freq = tb, start, total, print_freq
        self.curves = Curves(folder / "curves.csv", start, names) if folder else None
        self.means, self.recent = RunningMeans(), RunningMeans()
        self.data_seconds, self.fetched = 0.0, 0  # since the last log line of this process
        self.first_bad: Tensor | None = None  # first step whose loss is not finite, else inf
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
        left_out = None if result.skipped is None else {"grad_norm": result.skipped}
        self.means.add({**result.values, "grad_norm": result.grad_norm}, left_out)
        self.recent.add(result.values)
        bad = torch.where(result.values["total"].isfinite(), math.inf, float(done))
        self.first_bad = bad if self.first_bad is None else torch.minimum(self.first_bad, bad)
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
        """Whether the loss of a step on this rank was not finite."""
        return self.first_bad is not None and math.isfinite(float(self.first_bad))

    def check(self) -> None:
        """Raise FloatingPointError, on all ranks, if the loss of any step was not finite."""
        if self.first_bad is None:
            return
        first = min(distributed.gather([float(self.first_bad)]))
        if math.isfinite(first):
            raise FloatingPointError(
                f"the loss is not finite at step {first:.0f} ({describe(self.means.current())}): "
                "lower the learning rate, or train without fp16"
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
        if skipped:
            logger.info("fp16 overflowed in %d steps, which changed no weights", skipped)
        if rate and wait * rate > DATA_HINT:
            logger.info(
                "the loader is the bottleneck: raise num_worker_per_gpu or cache_gb, or decode the "
                "images once (restoration data prepare --decoded)"
            )
        self.data_seconds, self.fetched = 0.0, 0
        record(self.curves, self.tb, done, {"lr": result.learning_rate, **means})
        record(None, self.tb, done, {f"share/{name}": share for name, share in shares.items()})

    def validated(self, done: int, values: dict[str, float], images: dict[str, Tensor]) -> None:
        """Report a validation: metric values by name, and (3, H, W) pictures by name."""
        text = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        logger.info("[%d/%d] validation: %s", done, self.total, text)
        if self.tb is not None:
            for name, value in values.items():
                self.tb.add_scalar(f"val/{name}", value, done)
            for name, image in images.items():
                self.tb.add_image(f"val/{name}", image, done)


def record(
    curves: Curves | None, tb: SummaryWriter | None, step: int, values: dict[str, float]
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
