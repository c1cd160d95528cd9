"""What a person sees of a training of masks: log lines, curves.csv and TensorBoard."""

import logging
import time
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from restoration.masks.batches import MaskSettings
from restoration.masks.trainer import learning_rate, total_loss
from restoration.train.monitor import RunningMeans, clock, describe, record
from restoration.train.step_files import open_curves

logger = logging.getLogger("restoration")
TERMS = ("regression", "ranking", "place")


class MaskMonitor:
    """Reports the steps of one training; a context manager that closes its files.

    Args:
        folder: of the run.
        tb_folder: of its TensorBoard events, or None.
        start: steps that are done.
        settings: of the training.
        print_freq: steps between two lines.
    """

    def __init__(
        self,
        folder: Path,
        tb_folder: Path | None,
        start: int,
        settings: MaskSettings,
        print_freq: int,
    ):
        self.means = RunningMeans()
        self.curves = open_curves(folder, start, TERMS)
        self.tb = SummaryWriter(tb_folder, purge_step=start + 1) if tb_folder else None
        self.start, self.settings, self.print_freq = start, settings, print_freq
        self.began = time.monotonic()

    def __enter__(self) -> "MaskMonitor":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.tb is not None:
            self.tb.close()

    def step(self, done: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Report one step.

        Args:
            done: steps that are done, this one included.
            terms: of the loss, by name.
            norm: of the gradient.
        """
        total = self.settings.num_steps
        self.means.add({"total": total_loss(terms), **terms, "grad_norm": norm})
        if done % self.print_freq and done != total:
            return
        means = self.means.read()
        rate = (done - self.start) / (time.monotonic() - self.began)
        shown = describe({name: value for name, value in means.items() if name != "grad_norm"})
        left = clock((total - done) / rate)
        logger.info("[%d/%d] %s  %.2f it/s  eta %s", done, total, shown, rate, left)
        row = {"lr": learning_rate(self.settings, done - 1), **means}
        record(self.curves, self.tb, done, row)
