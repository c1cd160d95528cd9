"""Checkpoints in BasicSR's layout: models/net_g_<iter>.pth and training_states/<iter>.state.

A state carries the step, the optimiser, the gradient scaler, the best value so far, the means since
the last log line, and the checksum of the weights that belong to it. The sample stream and the
schedules are functions of the step, so nothing else is needed to go on exactly.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restoration.archs import load_network
from restoration.common import distributed, durable
from restoration.train.finite import check_finite
from restoration.train.loop import Trainer
from restoration.train.optimizer import check_moments
from restoration.train.states import (
    read_state,
    state_file,
    states_of,
    weights_digest,
    weights_of,
)

logger = logging.getLogger("restoration")

LATEST, BEST = "latest", "best"


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        best: score of the best validation.
        best_of: what the score is of.
        means: of the loss terms since the last log line.
        best_step: of the best validation.
        validated: step of the last validation.
        of_ranks: the means of every rank, of several.
    """

    step: int = 0
    best: float | None = None
    best_of: str | None = None
    means: dict[str, Any] | None = None
    best_step: int | None = None
    validated: int | None = None
    of_ranks: list[dict[str, Any]] | None = None


def save_atomically(content: Any, path: Path) -> None:
    """Write a file so that an interruption leaves the old one or the new one, never half.

    Raises:
        OSError: it cannot be written, as where the disk is full.
    """
    try:
        with durable.replacing(path) as part:
            torch.save(content, part)
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
        reason = error.strerror if isinstance(error, OSError) else "is the disk full?"
        raise OSError(f"{path} cannot be written: {reason}") from error


def weights_content(trainer: Trainer) -> dict[str, dict[str, Any]]:
    """What a file of weights holds: `params`, and `params_ema` where weights are averaged.

    `network_g` beside them is the type of the network and its arguments: the file stands alone.
    """
    content: dict[str, dict[str, Any]] = {"params": trainer.network.state_dict()}
    if trainer.ema is not None:
        content["params_ema"] = trainer.ema.module.state_dict()
    if trainer.network_g is not None:
        content["network_g"] = trainer.network_g
    return content


def save_weights(trainer: Trainer, folder: Path, label: str | int) -> Path:
    """Write models/net_g_<label>.pth, see `weights_content`."""
    path = folder / "models" / f"net_g_{label}.pth"
    save_atomically(weights_content(trainer), path)
    return path


def save_state(trainer: Trainer, folder: Path, progress: Progress) -> None:
    """Write the weights, and then the training state, which knows their checksum.

    Raises:
        FloatingPointError: a weight is not finite; nothing is written.
        OSError: a file cannot be written.
    """
    content = weights_content(trainer)
    check_finite(content, progress.step)
    save_atomically(content, folder / "models" / f"net_g_{progress.step}.pth")
    save_progress(trainer, folder, progress)


def save_progress(trainer: Trainer, folder: Path, progress: Progress) -> None:
    """Write the training state alone, beside weights of the same step."""
    state = {
        "iter": progress.step,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best": progress.best,
        "best_of": progress.best_of,
        "best_step": progress.best_step,
        "validated": progress.validated,
        "means": progress.means,
        "means_of_ranks": progress.of_ranks,
        "processes": distributed.world_size(),
        "ema_count": None if trainer.ema is None else trainer.ema.n_averaged,
        "weights": weights_digest(weights_content(trainer)),
    }
    save_atomically(state, state_file(folder, progress.step))


def latest_state(folder: Path) -> Path | None:
    """Find the state with the highest step whose weights stand beside it, whole or not."""
    return next(iter(states_of(folder)), None)


def resume(trainer: Trainer, state_path: Path) -> Progress:
    """Load weights and state into a trainer.

    Args:
        trainer: built for the same options.
        state_path: training_states/<iter>.state.

    Returns:
        How far the run was. The optimiser keeps its own settings, such as another weight decay.

    Raises:
        FileNotFoundError: the state or its weights are missing.
        ValueError: they do not fit the network, the optimiser or the precision.
    """
    state = read_state(state_path)
    weights = weights_of(state_path)
    load_network(trainer.network, weights)
    optimizer = trainer.optimizer
    saved, own = state["optimizer"]["param_groups"], optimizer.param_groups
    if [set(group) for group in saved] != [set(group) for group in own]:
        raise ValueError(f"{state_path} is of another optimiser than {type(optimizer).__name__}")
    check_moments(optimizer, state["optimizer"], state_path)
    if trainer.scaler.is_enabled() != bool(state["scaler"]):
        raise ValueError(f"{state_path} is of another `train.amp`: fp16 has a scaler, others not")
    now = [{k: v for k, v in group.items() if k != "params"} for group in own]
    groups = [old | new for old, new in zip(saved, now, strict=True)]
    optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})
    trainer.scaler.load_state_dict(state["scaler"])
    if trainer.ema is not None:
        load_network(trainer.ema.module, weights, key="params_ema")
        trainer.ema.n_averaged.copy_(state["ema_count"])
    if state.get("processes", distributed.world_size()) != distributed.world_size():
        logger.warning(
            "%s is of a training in %d processes, this one has %d: the batch of a step is of all "
            "processes, and the samples go on otherwise",
            state_path,
            state["processes"],
            distributed.world_size(),
        )
    trainer.whole_at = state["iter"]
    of_ranks = state.get("means_of_ranks") or []
    together = len(of_ranks) == distributed.world_size()
    means = of_ranks[distributed.rank()] if together else state["means"]
    later = (state.get(key) for key in ("best_step", "validated"))  # states of old lack them
    return Progress(state["iter"], state["best"], state.get("best_of"), means, *later)
