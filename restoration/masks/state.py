"""Progress of the small trainings here: a file from which they continue."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restoration.common.signals import interrupts_deferred
from restoration.train.checkpoint import save_atomically
from restoration.train.optimizer import check_moments
from restoration.train.states import UNREADABLE, read_archive

logger = logging.getLogger("restoration")
KEPT = 1  # states beside the newest, for when that is damaged


def save_progress(
    file: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write weights, optimiser and step, whole or not at all; OSError where that fails."""
    if file is None:
        return
    state = {"step": step, "module": module.state_dict(), "optimizer": optimizer.state_dict()}
    save_atomically(state, file)


def load_progress(file: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_progress` wrote and return the step to continue with; 0 if nothing.

    Raises:
        ValueError: the file is damaged, no state, or that of another training.
    """
    if file is None or not file.is_file():
        return 0
    state = _read(file)
    try:
        check_moments(optimizer, state["optimizer"], file)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
    except UNREADABLE as error:
        raise ValueError(f"{file}: not a state of this training: {error}") from error
    return state["step"]


def _read(file: Path) -> dict[str, Any]:
    """Read a state that is whole, and of the step that it is named after."""
    try:
        state = read_archive(file, "a training state")
    except ValueError as error:
        raise ValueError(f"{file}: not a state of this training: {error}") from error
    kinds = {"step": int, "module": dict, "optimizer": dict}
    if not isinstance(state, dict) or not all(
        isinstance(state.get(k), v) for k, v in kinds.items()
    ):
        raise ValueError(f"{file}: not a state of this training")
    if file.stem.isdigit() and int(file.stem) != state["step"]:
        raise ValueError(f"{file}: not a state of this training: it is of step {state['step']}")
    return state


def _states(folder: Path) -> list[Path]:
    """`<step>.state` files, the highest step first."""
    states = [path for path in folder.glob("*.state") if path.stem.isdigit()]
    return sorted(states, key=lambda path: int(path.stem), reverse=True)


def latest_state(folder: Path | None) -> Path | None:
    """The newest state in a folder that is whole, else the newest, or None where there is none."""
    if folder is None:
        return None
    states = _states(folder)
    for path in states:
        try:
            _read(path)
        except ValueError as error:
            logger.warning("passed over: %s", error)
        else:
            return path
    return next(iter(states), None)


def replace_state(
    folder: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write `<step>.state`, and then remove all but that and the one before it."""
    if folder is None:
        return
    with interrupts_deferred(patient=True):
        save_progress(folder / f"{step}.state", module, optimizer, step)
        older = [path for path in _states(folder) if int(path.stem) < step]
        for path in folder.glob("*.state"):
            if path.stem.isdigit() and int(path.stem) != step and path not in older[:KEPT]:
                path.unlink()
