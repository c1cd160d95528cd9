"""Checkpoints in BasicSR's layout: models/net_g_<iter>.pth and training_states/<iter>.state.

A state carries the step, the optimiser, the gradient scaler and the best value so far. The sample
stream and the schedules are functions of the step, so nothing else is needed to go on exactly.
"""

import os
from pathlib import Path
from typing import Any

import torch

from restoration.archs import load_network
from restoration.train.loop import Trainer

LATEST, BEST = "latest", "best"


def save_atomically(content: Any, path: Path) -> None:
    """Write a file so that an interruption leaves the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    torch.save(content, part)
    os.replace(part, path)


def save_weights(trainer: Trainer, folder: Path, label: str | int) -> Path:
    """Write models/net_g_<label>.pth with `params`, and `params_ema` where weights are averaged."""
    content = {"params": trainer.network.state_dict()}
    if trainer.ema is not None:
        content["params_ema"] = trainer.ema.module.state_dict()
    path = folder / "models" / f"net_g_{label}.pth"
    save_atomically(content, path)
    return path


def save_state(trainer: Trainer, folder: Path, step: int, best: float | None) -> None:
    """Write the weights and the training state after `step` steps."""
    save_weights(trainer, folder, step)
    state = {
        "iter": step,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best": best,
        "ema_count": None if trainer.ema is None else trainer.ema.n_averaged,
    }
    save_atomically(state, folder / "training_states" / f"{step}.state")


def latest_state(folder: Path) -> Path | None:
    """Find the state with the highest step whose weights stand beside it."""
    states = [p for p in (folder / "training_states").glob("*.state") if p.stem.isdigit()]
    states = [p for p in states if weights_of(p).is_file()]
    return max(states, key=lambda p: int(p.stem), default=None)


def weights_of(state: Path) -> Path:
    """Return the weights that belong to a state file."""
    return state.parents[1] / "models" / f"net_g_{state.stem}.pth"


def check_state(state: Path) -> None:
    """Raise FileNotFoundError unless a state and the weights beside it are there."""
    for path in (state, weights_of(state)):
        if not path.is_file():
            raise FileNotFoundError(f"training state: {path} does not exist")


def resume(trainer: Trainer, state_path: Path) -> tuple[int, float | None]:
    """Load weights and state into a trainer.

    Args:
        trainer: built for the same options.
        state_path: training_states/<iter>.state.

    Returns:
        Number of steps done, and the best validation value so far.

    Raises:
        FileNotFoundError: the state or its weights are missing.
        ValueError: they do not fit the network or the optimiser.
    """
    check_state(state_path)
    weights = weights_of(state_path)
    load_network(trainer.network, weights)
    state = torch.load(state_path, map_location="cpu", weights_only=True)
    try:
        trainer.optimizer.load_state_dict(state["optimizer"])
    except ValueError as error:
        raise ValueError(f"{state_path} does not fit the optimiser: {error}") from error
    trainer.scaler.load_state_dict(state["scaler"])
    if trainer.ema is not None:
        load_network(trainer.ema.module, weights, key="params_ema")
        trainer.ema.n_averaged.copy_(state["ema_count"])
    return state["iter"], state["best"]
