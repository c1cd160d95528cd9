"""Training states on the disk: which there are, whether they are whole, which to continue from.

A state and its weights are a pair, models/net_g_<iter>.pth and training_states/<iter>.state. A pair
is whole if the checksums inside both files hold, the state is of the step that it is named after,
and the weights are those whose SHA-256 the state keeps.
"""

import pickle
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration.common import durable
from restoration.common.digests import digest_tensors

KINDS: dict[str, type | tuple[type, ...]] = {
    "iter": int,
    "optimizer": dict,
    "scaler": dict,
    "best": (float, int, type(None)),
    "means": (dict, type(None)),
    "ema_count": (Tensor, type(None)),
}
LATER_KINDS: dict[str, type | tuple[type, ...]] = {  # not in states of before
    "best_of": (str, type(None)),
    "means_of_ranks": (list, type(None)),
    "best_step": (int, type(None)),
    "validated": (int, type(None)),
    "processes": int,
    "weights": str,
}
WEIGHTS = ("params", "params_ema")
UNREADABLE = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError),
    *(AttributeError, ArithmeticError, OSError, MemoryError, AssertionError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def state_file(folder: Path, step: int) -> Path:
    """Where a run's folder has the state of a step."""
    return folder / "training_states" / f"{step}.state"


def weights_of(state: Path) -> Path:
    """Return the weights that belong to a state file."""
    return state.parents[1] / "models" / f"net_g_{state.stem}.pth"


def states_of(folder: Path) -> list[Path]:
    """States that have their weights beside them, the highest step first, whole or not."""
    states = [p for p in (folder / "training_states").glob("*.state") if _is_step(p.stem)]
    return sorted((p for p in states if weights_of(p).is_file()), key=_step_of, reverse=True)


def _is_step(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _step_of(state: Path) -> int:
    return int(state.stem)


def newest_whole(folder: Path) -> tuple[Path | None, list[str]]:
    """Find the newest state to continue from.

    Args:
        folder: of a run.

    Returns:
        The state, or None where there is none, and why newer ones are passed over, a line each.

    Raises:
        ValueError: there are states, and none is whole.
    """
    passed_over: list[str] = []
    for state in states_of(folder):
        try:
            read_state(state)
        except (ValueError, OSError) as error:
            passed_over.append(f"passed over: {error}")
        else:
            return state, passed_over
    if passed_over:
        first = passed_over[0].partition(": ")[2]
        raise ValueError(f"no training state in {folder} is whole: {first}")
    return None, []


def read_state(path: Path) -> dict[str, Any]:
    """Read a training state, and check it and the weights beside it.

    Raises:
        FileNotFoundError: the state or its weights are missing.
        ValueError: one is damaged, or they do not belong together.
    """
    weights = weights_of(path)
    for file in (path, weights):
        if not file.is_file():
            raise FileNotFoundError(f"training state: {file} does not exist")
    state = read_archive(path, "a training state")
    _check_kinds(state, path)
    if path.stem != str(state["iter"]):
        raise ValueError(f"expected the state of step {path.stem}, got {state['iter']} in {path}")
    content = read_archive(weights, "the weights of a training state")
    try:
        found = weights_digest(content)
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from error
    if state.get("weights", found) != found:
        raise ValueError(f"expected the weights that {path} was saved with, got others: {weights}")
    return state


def is_whole(path: Path) -> bool:
    """Whether a file of torch.save's is there, and its checksums hold."""
    try:
        read_archive(path, "weights")
    except (ValueError, OSError):
        return False
    return True


def read_archive(path: Path, what: str) -> Any:
    """Read a file of torch.save's whose checksums hold; no code in it is run.

    Args:
        path: the file.
        what: it should be, for the error.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or something else.
    """
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"{what}: {path} is no file")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch does not look at the checksums
        if broken is None:
            return torch.load(path, map_location="cpu", weights_only=True)
        reason = f"whose part {broken} is damaged"
    except UNREADABLE:
        empty = path.is_file() and not path.stat().st_size
        reason = "which is empty" if empty else "which is not readable"
    raise ValueError(f"expected {what}, got {path}, {reason}")


def weights_digest(content: Any) -> str:
    """SHA-256 of what a file of weights holds: `params`, and `params_ema`.

    Raises:
        ValueError: it holds something else.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"expected weights by key, got {type(content).__name__}")
    named: dict[str, Tensor] = {}
    for key in (key for key in WEIGHTS if key in content):
        part = content[key]
        if not isinstance(part, Mapping) or not all(isinstance(t, Tensor) for t in part.values()):
            raise ValueError(f"expected weights under {key!r}, got something else")
        named |= {f"{key}/{name}": tensor for name, tensor in part.items()}
    return digest_tensors(named)


def _check_kinds(state: Any, path: Path) -> None:
    if not isinstance(state, dict) or not state.keys() >= KINDS.keys():
        found = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"expected a training state of this project, got {path} with {found}")
    for name, kind in (KINDS | LATER_KINDS).items():
        value = state.get(name)
        if name in state and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"expected a training state, got {path}, whose {name!r} is {value!r}")
    for means in (state["means"], *(state.get("means_of_ranks") or [])):
        if means is not None and not _are_means(means):
            raise ValueError(f"expected a training state, got {path}, whose 'means' are none")


def _are_means(means: Any) -> bool:
    if not isinstance(means, dict) or not isinstance(means.get("count"), int):
        return False
    parts = [means.get("sums"), means.get("left_out", {})]
    numbers: list[Any] = []
    for part in parts:
        if not isinstance(part, dict):
            return False
        numbers += part.values()
    return all(isinstance(one, Tensor) and one.numel() == 1 for one in numbers)


def set_aside_later(folder: Path, step: int) -> Path | None:
    """Move the states of later steps, whole or not, out of the way of the run that goes on.

    Args:
        folder: of the run.
        step: that it continues from.

    Returns:
        The folder that has them now, or None where there was none.
    """
    found = [p for p in (folder / "training_states").glob("*.state") if _is_step(p.stem)]
    later = [state for state in found if _step_of(state) > step]
    if not later:
        return None
    aside = folder / time.strftime("set_aside_%Y%m%d_%H%M%S")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}_2")
    for state in later:
        for file in (state, weights_of(state)):
            if file.is_file():
                durable.move(file, aside / file.relative_to(folder))
    return aside


def remove_old(folder: Path, keep_last: int | None, keep_every: int | None) -> None:
    """Remove states, and their weights, that are neither among the last nor at every so many steps.

    Args:
        folder: of a run.
        keep_last: how many of the newest stay; None for all.
        keep_every: those of every so many steps stay too; None for no others.
    """
    if keep_last is None:
        return
    for state in states_of(folder)[keep_last:]:
        if keep_every is None or _step_of(state) % keep_every:
            state.unlink()
            weights_of(state).unlink()
