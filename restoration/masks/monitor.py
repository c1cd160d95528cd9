"""What a person sees of a training of masks: log lines, curves.csv and TensorBoard."""

import logging
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from restoration.masks.batches import MaskSettings
from restoration.masks.trainer import learning_rate, names_of_terms, total_loss
from restoration.train.bar import RecentRate, clock, speed
from restoration.train.means import RunningMeans
from restoration.train.monitor import describe, record
from restoration.train.step_files import open_curves
from restoration.train.trackers import Trackers

logger = logging.getLogger("restoration")


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
        self.curves = open_curves(folder, start, names_of_terms(settings))
        tb = SummaryWriter(tb_folder, purge_step=start + 1) if tb_folder else None
        self.trackers = Trackers(tb)
        self.settings, self.print_freq = settings, print_freq
        self.rate = RecentRate()

    def __enter__(self) -> "MaskMonitor":
        return self

    def __exit__(self, *exception: object) -> None:
        self.trackers.close()

    def step(self, done: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Report one step.

        Args:
            done: steps that are done, this one included.
            terms: of the loss, by name.
            norm: of the gradient.
        """
        total = self.settings.num_steps
        self.rate.add()
        self.means.add({"total": total_loss(terms), **terms, "grad_norm": norm})
        if done % self.print_freq and done != total:
            return
        means = self.means.read()
        rate = self.rate.value
        shown = describe({name: value for name, value in means.items() if name != "grad_norm"})
        left = clock((total - done) / rate if rate else 0)
        logger.info("[%d/%d] %s  %s  eta %s", done, total, shown, speed(rate), left)
        row = {"lr": learning_rate(self.settings, done - 1), **means}
        record(self.curves, self.trackers, done, row)
