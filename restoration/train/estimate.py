"""What a training will take, measured before its first step: memory of a step, and time of all."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from restoration.common.tensor_memory import LiveTensors, free_bytes
from restoration.data import PatchSchedule
from restoration.train.bar import clock, speed
from restoration.train.loop import Trainer

MOMENTS = 2  # of an optimiser such as AdamW, each as large as the weights
SLACK = 1.25  # workspaces of kernels, and holes between tensors


@dataclass(frozen=True)
class Estimate:
    """What a training takes on one device.

    Args:
        bytes: of its largest step, with weights and moments.
        seconds: of the steps that are left, without validations and waiting for images.
        steps: that are left.
        largest: batch size and patch side of the largest step.
    """

    bytes: float
    seconds: float
    steps: int
    largest: tuple[int, int]

    def lines(self, device: torch.device) -> list[str]:
        """Say it in words, and whether the memory that is free suffices."""
        batch, side = self.largest
        step = f"{batch} x {side}x{side} pixels"
        rate = speed(self.steps / self.seconds) if self.seconds else ""
        said = [
            f"estimate: {_size(self.bytes)} for a step of {step}, {clock(self.seconds)} "
            f"for {self.steps:,} steps ({rate} on average), without validations and reading"
        ]
        free = free_bytes(device)
        if self.bytes > free:
            said.append(
                f"that is more than the {_size(free)} that are free: lower the batch "
                "size of the largest patches and raise train.accumulate, or give "
                "train.checkpointing level1 or all"
            )
        return said


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def estimate(
    trainer: Trainer,
    patches: PatchSchedule,
    channels: tuple[int, int],
    start: int,
    total: int,
    accumulate: int = 1,
) -> Estimate:
    """Measure a forward and backward pass on the smallest patch, and scale it by pixels.

    The network is left as it was, its buffers and the random streams too. On a GPU, which one
    patch does not fill, the pass is of a whole batch.

    Args:
        trainer: whose network and criterion run.
        patches: of every step.
        channels: of the network's input, and of its target.
        start: steps that are done.
        total: steps of the whole training.
        accumulate: batches per step.
    """
    stages = sorted({patches.at(step) for step in _stage_starts(patches, total)})
    side, batch = stages[0]
    count = batch if trainer.device.type == "cuda" else 1
    weights = sum(p.numel() * p.element_size() for p in trainer.network.parameters())
    peak, seconds = _measure(trainer, count, side, channels)
    pixels = count * side**2
    kept = max(peak - weights, 0) / pixels  # without the gradients of the weights
    largest = max(stages, key=lambda stage: stage[0] ** 2 * stage[1])
    copies = 2 + MOMENTS + (trainer.ema is not None)  # weights, gradients, moments, average
    steps = range(start, total)
    all_pixels = sum(number * s**2 * b for number, (s, b) in _stages_of(patches, steps))
    return Estimate(
        SLACK * kept * largest[0] ** 2 * largest[1] + copies * weights,
        seconds / pixels * all_pixels * accumulate,
        len(steps),
        (largest[1], largest[0]),
    )


def _stage_starts(patches: PatchSchedule, total: int) -> list[int]:
    """First steps of the stages that a training reaches."""
    starts = [sum(patches.iters[:stage]) for stage in range(len(patches.iters))]
    return [step for step in starts if step < total]


def _stages_of(patches: PatchSchedule, steps: range) -> Iterator[tuple[int, tuple[int, int]]]:
    """How many of the steps each stage has, with its patch side and batch size."""
    starts = _stage_starts(patches, steps.stop)
    for first, following in zip(starts, [*starts[1:], steps.stop], strict=True):
        yield max(0, following - max(first, steps.start)), patches.at(first)


def _measure(
    trainer: Trainer, count: int, side: int, channels: tuple[int, int]
) -> tuple[int, float]:
    """Most bytes of tensors that live at a time in a pass, and its seconds once it is warm."""
    network, device = trainer.network, trainer.device
    ramp = torch.linspace(0, 1, side, device=device)  # not flat, and no random numbers
    degraded, clean = (ramp.expand(count, number, side, side).clone() for number in channels)
    clean = clean.flip(-1)

    def once() -> None:
        with torch.autocast(device.type, trainer.dtype, enabled=trainer.dtype is not None):
            prediction = network(degraded)
        trainer.criterion(prediction, clean)[0].backward()
        network.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with _left_as_it_was(network, device):
        network.train()
        with LiveTensors() as live:
            once()
        began = time.perf_counter()
        once()
        return live.peak, time.perf_counter() - began


@contextmanager
def _left_as_it_was(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, mode and random streams back when the block ends."""
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    mode = network.training
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
    network.train(mode)
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
