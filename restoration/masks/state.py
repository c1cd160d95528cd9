"""Progress of the small trainings here: a file from which they continue."""

import pickle
from pathlib import Path

import torch
from torch import nn

from restoration.train.checkpoint import save_atomically


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
        ValueError: the file is no state, or that of another training.
    """
    if file is None or not file.is_file():
        return 0
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        return state["step"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        raise ValueError(f"{file}: not a state of this training: {error}") from error


def latest_state(folder: Path | None) -> Path | None:
    """The state of the highest step in a folder of `<step>.state` files, or None."""
    if folder is None:
        return None
    states = [path for path in folder.glob("*.state") if path.stem.isdigit()]
    return max(states, key=lambda path: int(path.stem), default=None)


def replace_state(
    folder: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write `<step>.state`, and then remove those of other steps."""
    if folder is None:
        return
    path = folder / f"{step}.state"
    save_progress(path, module, optimizer, step)
    for other in folder.glob("*.state"):
        if other != path and other.stem.isdigit():
            other.unlink()
