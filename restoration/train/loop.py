"""The training loop: step() is the maths, train() is the order, everything else is passed in."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from losses import Criterion, gradient_norms
from losses.shares import shares_of
from restoration.common import distributed
from restoration.common.signals import interrupts_deferred
from restoration.degradations import BatchDegradation
from restoration.train.finite import gradient_norm, step_unless
from restoration.train.stopping import Stopping

AMP_TYPES = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class StepResult:
    """What one optimiser step reports: values stay on the device until somebody reads them."""

    step: int
    values: dict[str, Tensor]
    learning_rate: float
    grad_norm: Tensor
    data_seconds: float
    shares: dict[str, Tensor] = field(default_factory=dict)  # see Trainer, `shares_every`
    skipped: Tensor | None = None  # whether the gradient was not finite, and nothing moved


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of what a network draws by itself (dropout, stochastic depth) in one step."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0])


class Trainer:
    """A network, its optimiser, and one step of training.

    Args:
        network: the bare network, on its device.
        criterion: the weighted loss terms.
        optimizer: over the network's parameters.
        learning_rate: rate as a function of the step (from 0).
        device: where the step runs.
        degrade: turns a batch into network input and target.
        clip: largest gradient norm, or None.
        amp: "none", "bf16" or "fp16" autocast of the network; losses compute in float32.
        ema_decay: decay of the averaged weights, or 0 for none.
        parallel: wrap the network in DistributedDataParallel.
        find_unused: let that look for parameters without a gradient in every step.
        seed: seed of the run, for what the network draws by itself.
        shares_every: steps between those that measure, on their last batch, what share of the
            gradient at the prediction each loss term has; None for never.
        network_g: type and arguments of the network, which checkpoints carry.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: Criterion,
        optimizer: torch.optim.Optimizer,
        learning_rate: Callable[[int], float],
        device: torch.device,
        degrade: BatchDegradation,
        clip: float | None = None,
        amp: str = "none",
        ema_decay: float = 0.0,
        parallel: bool = False,
        find_unused: bool = False,
        seed: int = 0,
        shares_every: int | None = None,
        network_g: dict[str, Any] | None = None,
    ):
        self.network, self.criterion, self.optimizer = network, criterion, optimizer
        self.learning_rate, self.device, self.clip = learning_rate, device, clip
        self.degrade = degrade
        self.seed, self.shares_every, self.network_g = seed, shares_every, network_g
        self.has_buffers = any(True for _ in network.buffers())
        self.whole_at: int | None = 0  # steps done, None while the weights are of no step
        self.dtype = AMP_TYPES[amp]
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")
        self.ema = None
        if ema_decay:
            self.ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
        self.module: nn.Module = network
        if parallel:
            ids = [device.index] if device.type == "cuda" else None
            self.module = DistributedDataParallel(
                network, device_ids=ids, find_unused_parameters=find_unused
            )

    @property
    def tested(self) -> nn.Module:
        """The network that validation and tests use: the averaged one where there is one."""
        return self.network if self.ema is None else self.ema.module

    def predict(self, degraded: Tensor) -> Tensor:
        """Restore a batch as training does, in its precision."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            return self.module(degraded)

    def step(self, step: int, batches: list[dict[str, Tensor]]) -> StepResult:
        """One optimiser step over one or more micro-batches.

        Args:
            step: number of the step, from 0; it alone decides the learning rate, and, with the
                seed and the rank, what the network draws by itself.
            batches: micro-batches of the data loader.

        Returns:
            The mean of every loss term, and the norm of the gradient before clipping.
        """
        torch.manual_seed(step_seed(self.seed, step, distributed.rank()))
        rate = self.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        if self.has_buffers:
            self.whole_at = None  # the forward pass may change them
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, start=1):
            degraded, clean = self.degrade(batch, self.device)
            last = number == len(batches)
            wait = contextlib.nullcontext() if last else self._no_sync()
            with wait:
                prediction = self.predict(degraded)
                total, values = self.criterion(prediction, clean)
                self.scaler.scale(total / len(batches)).backward()
            for name, value in {"total": total.detach(), **values}.items():
                sums[name] = sums.get(name, 0) + value / len(batches)
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm(self.network, self.clip)
        skipped = ~norm.isfinite()
        self._update(step, skipped)
        shares = self._shares(step, prediction, clean)
        return StepResult(step, sums, rate, norm, 0.0, shares, skipped)

    def _update(self, step: int, skip: Tensor) -> None:
        """Let the optimiser take its step, unless the gradient is not finite."""
        self.whole_at = None
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            step_unless(self.optimizer, skip)
        if self.ema is not None:
            self.ema.update_parameters(self.network)
        self.whole_at = step + 1

    def _shares(self, step: int, prediction: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Share that each of several loss terms has of the gradient at a prediction."""
        due = self.shares_every is not None and (step + 1) % self.shares_every == 0
        if not due or len(self.criterion.names) < 2:
            return {}
        return shares_of(gradient_norms(self.criterion, prediction, clean), self.criterion.weights)

    def _no_sync(self) -> contextlib.AbstractContextManager[None]:
        if isinstance(self.module, DistributedDataParallel):
            return self.module.no_sync()
        return contextlib.nullcontext()


def train(
    trainer: Trainer,
    loader: Iterable[dict[str, Tensor]],
    start: int,
    total: int,
    accumulate: int = 1,
    max_hours: float | None = None,
) -> Generator[StepResult, None, None]:
    """Run the steps from `start` to `total`, yielding after each, so that the caller keeps order.

    Ctrl-C, and the other signals of `common.signals`, take effect between two steps, after the
    caller is done with the first.

    Args:
        trainer: what a step is.
        loader: micro-batches in the order of the sample stream.
        start: first step.
        total: number of steps of the whole run.
        accumulate: micro-batches per step.
        max_hours: after so many hours it ends like a Ctrl-C; None for never.

    Yields:
        The result of every step.

    Raises:
        KeyboardInterrupt: a signal, or the end of the time.
        ChildProcessError: a process that reads images was killed.
    """
    batches = iter(loader)
    with interrupts_deferred() as held:  # a batch half received prints the worker's complaint
        stopping = Stopping(held, trainer.device, max_hours)
        for step in range(start, total):
            trainer.network.train()
            began = time.perf_counter()
            micro = _fetch(batches, accumulate)
            waited = time.perf_counter() - began
            result = trainer.step(step, micro)
            result.data_seconds = waited
            yield result
            reason = stopping.due(step + 1)
            if reason is not None:
                raise reason


def _fetch(batches: Iterator[dict[str, Tensor]], count: int) -> list[dict[str, Tensor]]:
    """The next micro-batches; the death of a loader's worker is one sentence."""
    try:
        return list(islice(batches, count))
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "Traceback" in str(error):
            raise
        raise ChildProcessError(
            "a process that reads images was killed, probably because the memory was full: lower "
            f"num_worker_per_gpu ({str(error).splitlines()[0]})"
        ) from error
