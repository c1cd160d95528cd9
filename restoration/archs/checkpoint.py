"""Loading of network weights, strictly: BasicSR's `{"params": ...}` files, bare ones, safetensors.

A file that does not fit is an error that says how; nothing falls back to something else in silence.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from losses.weights.local import check_plain
from restoration.archs import recognise
from restoration.archs.denoisers import find_file

logger = logging.getLogger("restoration")
SHOWN = 3  # names in an error message
AVERAGED = "params_ema"


def load_network(
    network: nn.Module,
    path: str | PathLike[str],
    key: str = "params",
    strict: bool = True,
) -> str | None:
    """Load weights from a file into a network, in place.

    Args:
        network: what receives the weights, on any device.
        path: a `.safetensors` file, or a file of `torch.save` that holds a state dict, bare or
            under a key; or the name of a denoiser, see `restoration.archs.denoisers`. Prefixes
            `module.` of data-parallel training are removed.
        key: where the file holds its state dict: "params", "params_ema"...
        strict: whether names and sizes must match exactly. If not, at least one tensor must fit;
            what does not is left as it is, and listed in a warning in the log.

    Returns:
        The key that was used, or None if the file holds a bare state dict.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint, lacks the key or does not fit the network.
    """
    path = find_file(path)
    content = read_content(path)
    state, used = select_state(content, key, path)
    check_plain(state, path)
    expected = network.state_dict()
    state = {
        name if name in expected else name.removeprefix("module."): tensor
        for name, tensor in state.items()
    }
    misfit = compare_shapes(expected, state)
    if misfit and (strict or not misfit.fitting):
        raise ValueError(
            f"expected the {len(expected)} tensors of the network, got {len(state)} in {path}: "
            f"{misfit}{recognise.hint(content, state)}"
        )
    if misfit:
        logger.warning(
            "%s: %d of the network's %d tensors loaded; %s",
            path,
            len(misfit.fitting),
            len(expected),
            misfit,
        )
        state = {name: state[name] for name in misfit.fitting}
    network.load_state_dict(state, strict=strict)
    return used


def tested_key(path: Path) -> str:
    """Where a checkpoint holds the weights that tests use: the averaged ones if it has them.

    Args:
        path: of the checkpoint, or the name of a denoiser.

    Returns:
        "params_ema" or "params".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint of tensors.
    """
    return AVERAGED if AVERAGED in weight_keys(path) else "params"


def weight_keys(path: Path) -> list[str]:
    """Where a checkpoint, or a denoiser by name, holds weights: "params", "params_ema", ..."""
    content = read_content(find_file(path))
    if not isinstance(content, Mapping):
        return []
    return [str(key) for key, part in content.items() if _is_state_dict(part)]


def read_content(path: Path) -> object:
    """Read what a file of weights holds; tensors only, no code is run.

    Args:
        path: a `.safetensors` file, or a file of `torch.save`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint of tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of network weights, got no file at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no error class of its own
        raise ValueError(f"expected a checkpoint of tensors, got {path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """What is wrong with a file, in one line; torch's own advice is to run the file's code."""
    text = str(error).strip()
    foreign = re.search(r"GLOBAL (\S+)", text)
    if foreign:
        return (
            f"it holds objects of {foreign[1]}, which could run code and are not loaded; if you "
            "trust the file, save its state dict alone"
        )
    if isinstance(error, UnpicklingError | LookupError | EOFError | TypeError | ValueError):
        return "it was not written by torch.save"
    return text.splitlines()[0] if text else type(error).__name__


def select_state(content: object, key: str, path: Path) -> tuple[Mapping[str, Tensor], str | None]:
    """Select the state dict of a file.

    Args:
        content: of the file.
        key: where it should lie.
        path: of the file, for the error.

    Returns:
        The state dict, and its key, or None where the content is a bare state dict.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"expected a state dict in {path}, got {type(content).__name__}")
    if key in content and _is_state_dict(content[key]):
        return content[key], key
    if _is_state_dict(content):
        return content, None
    raise ValueError(
        f"expected weights under {key!r} in {path} (option `param_key_g`), "
        f"got keys {_some(content)}"
    )


def _is_state_dict(content: object) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(name, str) for name in content)
        and all(isinstance(tensor, Tensor) for tensor in content.values())
    )


@dataclass
class Misfit:
    """How the tensors of a file differ from those of a network: names by what is wrong.

    Attributes:
        fitting: names of the tensors of one shape in both.
        missing: names of the network's tensors that the file has not.
        unexpected: names of the file's tensors that the network has not.
        resized: names and both shapes of those that differ in shape.
    """

    fitting: list[str]
    missing: list[str]
    unexpected: list[str]
    resized: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.resized)

    def __str__(self) -> str:
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another size": self.resized,
        }
        return "; ".join(f"{len(n)} {kind}: {_some(n)}" for kind, n in kinds.items() if n)


def compare_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Misfit:
    """Compare the names and shapes of a network's tensors with those of a file."""
    common = [name for name in expected if name in found]
    return Misfit(
        [name for name in common if expected[name].shape == found[name].shape],
        [name for name in expected if name not in found],
        [name for name in found if name not in expected],
        [
            f"{name} {tuple(expected[name].shape)} is {tuple(found[name].shape)}"
            for name in common
            if expected[name].shape != found[name].shape
        ],
    )


def _some(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
