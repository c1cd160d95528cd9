"""Which samples a rank takes at which step, and the loader that fetches them.

Sample numbers are a closed form of (step, rank), so nothing here has a state to save: a run that
starts at step s sees what an uninterrupted run sees from step s on, with any number of workers.
Two ranks of b samples see together what one rank of 2b sees.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.context import BaseContext

import cv2
import torch
from torch.utils.data import DataLoader

from restoration.data.dataset import CropDataset, Sample
from restoration.data.patch_schedule import PatchSchedule


class BatchPlan:
    """The batches of one rank, as lists of (sample number, side of the crop).

    Args:
        schedule: crop and batch of each step.
        start_step: the first step, from 0; the number of steps done when resuming.
        total_steps: the step to stop before.
        rank: this process.
        world_size: all processes.
        accumulate: batches per step and rank; batch i of a plan belongs to step
            `start_step + i // accumulate`.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        schedule: PatchSchedule,
        start_step: int,
        total_steps: int,
        rank: int = 0,
        world_size: int = 1,
        accumulate: int = 1,
    ) -> None:
        if not 0 <= start_step <= total_steps:
            raise ValueError(f"expected 0 <= start_step <= {total_steps}, got {start_step}")
        if not 0 <= rank < world_size:
            raise ValueError(f"expected a rank in 0..{world_size - 1}, got {rank}")
        if accumulate < 1:
            raise ValueError(f"expected accumulate >= 1, got {accumulate}")
        self.schedule, self.start_step, self.total_steps = schedule, start_step, total_steps
        self.rank, self.world_size, self.accumulate = rank, world_size, accumulate

    def __len__(self) -> int:
        return (self.total_steps - self.start_step) * self.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start_step, self.total_steps):
            patch, batch = self.schedule.at(step)
            first = self.schedule.first_sample(step, self.world_size, self.accumulate)
            for micro in range(self.accumulate):
                start = first + (micro * self.world_size + self.rank) * batch
                yield [(index, patch) for index in range(start, start + batch)]


def make_loader(
    dataset: CropDataset, plan: BatchPlan, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Sample]:
    """A loader that goes through a plan once, in order.

    Workers are forked from a small server that never touched a GPU or started a thread (spawned
    where that is missing), so a script that calls this with `num_workers > 0` needs the usual
    `if __name__ == "__main__":`. An error of a worker is raised here with its own type; the last
    line of its message is the original one.

    Args:
        dataset: the samples.
        plan: the batches of this rank.
        num_workers: processes that read images; 0 reads in this one.
        pin_memory: page-locked batches, for faster copies to a GPU.

    Returns:
        A loader of batches for `degrade.corrupt`.
    """
    if num_workers < 0:
        raise ValueError(f"expected num_workers >= 0, got {num_workers}")
    return DataLoader(
        dataset,
        batch_sampler=plan,
        num_workers=num_workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=_start_worker if num_workers else None,
        multiprocessing_context=_context() if num_workers else None,
        generator=torch.Generator(),  # the loader draws a seed; not from the global generator
    )


def _context() -> BaseContext:
    """A way to start workers that is safe beside threads and GPUs."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["restoration.data"])
    return context


def _start_worker(number: int) -> None:
    """One thread per worker; decoding is parallel over workers. It ends with its trainer.

    A terminal sends Ctrl-C to workers too; the trainer, which finishes its step, needs them.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_trainer, daemon=True).start()


def _end_with_trainer() -> None:
    """End this worker when the process that made the loader is gone, even one that was killed.

    torch's own watch looks at the server that workers are forked from, which lives as long as
    they do.
    """
    trainer = multiprocessing.parent_process()
    assert trainer is not None  # this is a worker
    trainer.join()
    os._exit(1)
