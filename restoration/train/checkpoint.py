"""Checkpoints in BasicSR's layout: models/net_g_<iter>.pth and training_states/<iter>.state.

A state carries the step, the optimiser, the gradient scaler, the best value so far and the means
since the last log line. The sample stream and the schedules are functions of the step, so nothing
else is needed to go on exactly.
"""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restoration.archs import load_network
from restoration.train.loop import Trainer

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
    """

    step: int = 0
    best: float | None = None
    best_of: str | None = None
    means: dict[str, Any] | None = None
    best_step: int | None = None
    validated: int | None = None


def save_atomically(content: Any, path: Path) -> None:
    """Write a file so that an interruption leaves the old one or the new one, never half.

    Raises:
        OSError: it cannot be written, as where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        torch.save(content, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
        part.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else "is the disk full?"
        raise OSError(f"{path} cannot be written: {reason}") from error


def save_weights(trainer: Trainer, folder: Path, label: str | int) -> Path:
    """Write models/net_g_<label>.pth with `params`, and `params_ema` where weights are averaged.

    `network_g` beside them is the type of the network and its arguments: the file stands alone.
    """
    content: dict[str, Any] = {"params": trainer.network.state_dict()}
    if trainer.ema is not None:
        content["params_ema"] = trainer.ema.module.state_dict()
    if trainer.network_g is not None:
        content["network_g"] = trainer.network_g
    path = folder / "models" / f"net_g_{label}.pth"
    save_atomically(content, path)
    return path


def save_state(trainer: Trainer, folder: Path, progress: Progress) -> None:
    """Write the weights and the training state."""
    save_weights(trainer, folder, progress.step)
    state = {
        "iter": progress.step,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best": progress.best,
        "best_of": progress.best_of,
        "best_step": progress.best_step,
        "validated": progress.validated,
        "means": progress.means,
        "ema_count": None if trainer.ema is None else trainer.ema.n_averaged,
    }
    save_atomically(state, folder / "training_states" / f"{progress.step}.state")


def latest_state(folder: Path) -> Path | None:
    """Find the state with the highest step whose weights stand beside it."""
    states = [p for p in (folder / "training_states").glob("*.state") if p.stem.isdigit()]
    states = [p for p in states if weights_of(p).is_file()]
    return max(states, key=lambda p: int(p.stem), default=None)


def weights_of(state: Path) -> Path:
    """Return the weights that belong to a state file."""
    return state.parents[1] / "models" / f"net_g_{state.stem}.pth"


def _read_state(path: Path) -> dict[str, Any]:
    for file in (path, weights_of(path)):
        if not file.is_file():
            raise FileNotFoundError(f"training state: {file} does not exist")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"expected a training state, got {path}, which is not readable") from error
    needed = {"iter", "optimizer", "scaler", "best", "means", "ema_count"}
    if not isinstance(state, dict) or not needed <= state.keys():
        found = ", ".join(state) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"expected a training state of this project, got {path} with {found}")
    return state


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
    state = _read_state(state_path)
    weights = weights_of(state_path)
    load_network(trainer.network, weights)
    optimizer = trainer.optimizer
    saved, own = state["optimizer"]["param_groups"], optimizer.param_groups
    if [set(group) for group in saved] != [set(group) for group in own]:
        raise ValueError(f"{state_path} is of another optimiser than {type(optimizer).__name__}")
    if trainer.scaler.is_enabled() != bool(state["scaler"]):
        raise ValueError(f"{state_path} is of another `train.amp`: fp16 has a scaler, others not")
    now = [{k: v for k, v in group.items() if k != "params"} for group in own]
    groups = [old | new for old, new in zip(saved, now, strict=True)]
    optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})
    trainer.scaler.load_state_dict(state["scaler"])
    if trainer.ema is not None:
        load_network(trainer.ema.module, weights, key="params_ema")
        trainer.ema.n_averaged.copy_(state["ema_count"])
    later = (state.get(key) for key in ("best_step", "validated"))  # states of old lack them
    return Progress(state["iter"], state["best"], state.get("best_of"), state["means"], *later)
