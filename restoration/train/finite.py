"""What is not finite: steps that are skipped, runs of them that end a training, weights not kept.

Whether the gradient of a step is finite stays on the device until the log is written, so that no
step waits for it.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

FP16_IN_A_ROW = 60  # a scaler that starts at 2^16 has halved its scale to nothing by then


def check_finite(content: Mapping[str, Mapping[str, Any]], step: int) -> None:
    """Refuse weights that are not finite.

    Args:
        content: state dicts by key; what is no tensor in them is passed over.
        step: that they are of.

    Raises:
        FloatingPointError: one is not finite, with its name.
    """
    named = {
        f"{key} {name}": tensor
        for key, weights in content.items()
        for name, tensor in weights.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel()
    }
    if not named:
        return
    whole = torch.stack([tensor.isfinite().all() for tensor in named.values()]).tolist()
    broken = [name for name, good in zip(named, whole, strict=True) if not good]
    if broken:
        raise FloatingPointError(
            f"{len(broken)} weights are not finite after step {step} ({broken[0]}): they are not "
            "saved; lower the learning rate"
        )


def skips_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimiser's own kernel can leave out a step, told by a tensor on the device.

    That of SGD with momentum cannot: if it leaves out its first step, its momentum is whatever the
    memory held (seen in torch 2.14).
    """
    fused = bool(optimizer.defaults.get("fused"))
    return fused and not optimizer.defaults.get("momentum")


def step_unless(optimizer: torch.optim.Optimizer, broken: Tensor) -> None:
    """Take an optimiser's step, or leave it out.

    Args:
        optimizer: with gradients.
        broken: () bool; whether to leave it out. On a GPU it is read only if the optimiser's own
            kernel does not.
    """
    if broken.device.type != "cpu" and skips_on_device(optimizer):
        optimizer.found_inf = broken.float()  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
    elif not broken:
        optimizer.step()


def gradient_norm(network: nn.Module, limit: float | None) -> Tensor:
    """Norm of all gradients, which are clipped to `limit` where that is given."""
    return nn.utils.clip_grad_norm_(
        network.parameters(), math.inf if limit is None else limit
    ).detach()


class BrokenSteps:
    """Steps whose gradient was not finite, and which changed nothing.

    Args:
        limit: so many in a row end the training.
        start: steps that are done.
        total: of the training; all of a short one end it too.
        fp16: a scaler overflows from time to time, until its scale fits.
    """

    def __init__(self, limit: int, start: int, total: int, fp16: bool = False):
        self.limit = max(limit, FP16_IN_A_ROW) if fp16 else min(limit, max(total - start, 1))
        self.fp16, self.seen = fp16, start
        self.pending: list[Tensor] = []  # (2,) bool of every step since the last reading
        self.in_a_row: list[int] = []
        self.losses: list[int] = []  # steps whose loss was not finite
        self.why: str | None = None  # the training cannot go on

    def add(self, skipped: Tensor | None, loss: Tensor) -> None:
        """Note whether the next step was skipped, and its loss; nothing waits for them."""
        bad = ~loss.detach().isfinite()
        skipped = torch.zeros_like(bad) if skipped is None else skipped
        self.pending.append(torch.stack([skipped.to(bad.device), bad]))

    def read(self) -> list[int]:
        """Wait for the device, and return the steps, from 1, that were skipped since last time."""
        flags = torch.stack(self.pending).tolist() if self.pending else []
        self.pending = []
        found = []
        for skipped, bad_loss in flags:
            self.seen += 1
            self.in_a_row = [*self.in_a_row, self.seen] if skipped else []
            if skipped:
                found.append(self.seen)
            if bad_loss:
                self.losses.append(self.seen)
            moved = bad_loss and not skipped  # and weights have learned from it
            if self.why is None and (moved or len(self.in_a_row) >= self.limit):
                self.why = self.reason()
        return found

    def last_is_bad(self) -> bool:
        """Whether the last step was skipped, or the training cannot go on."""
        self.read()
        return bool(self.in_a_row) or self.why is not None

    def reason(self) -> str:
        """What is not finite since which step."""
        first = self.in_a_row[0] if self.in_a_row else self.seen
        bad_loss = [step for step in self.losses if step >= first]
        what = (
            f"loss is not finite at step {bad_loss[0]}"
            if bad_loss
            else (f"gradient is not finite at step {first}")
        )
        return f"the {what}" + (f" (nor up to step {self.seen})" if self.seen > first else "")
