"""Progress of the small trainings here: a bar, and a file from which they continue."""

from collections.abc import Iterator
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn


def track_steps(title: str, start: int, stop: int) -> Iterator[int]:
    """Yield the steps from `start` to `stop` while a bar shows how far they are."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(title, total=stop, completed=start)
        for step in range(start, stop):
            yield step
            progress.advance(task)


def save_progress(
    file: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write weights, optimiser and step, first beside the file and then in its place."""
    if file is None:
        return
    part = file.with_suffix(".part")
    state = {"step": step, "module": module.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, part)
    part.replace(file)


def load_progress(file: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_progress` wrote and return the step to continue with; 0 if nothing."""
    if file is None or not file.is_file():
        return 0
    state = torch.load(file, map_location="cpu", weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]
