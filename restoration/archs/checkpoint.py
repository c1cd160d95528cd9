"""Loading of network weights, strictly: BasicSR's `{"params": ...}` files, bare ones, safetensors.

A file that does not fit is an error that says how; nothing falls back to something else in silence.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

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
            under a key. Prefixes `module.` of data-parallel training are removed.
        key: where the file holds its state dict: "params", "params_ema"...
        strict: whether names must match exactly; at least one must, and sizes always. What does
            not match is a warning in the log.

    Returns:
        The key that was used, or None if the file holds a bare state dict.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint, lacks the key or does not fit the network.
    """
    path = Path(path)
    state, used = select_state(read_content(path), key, path)
    expected = network.state_dict()
    state = {
        name if name in expected else name.removeprefix("module."): tensor
        for name, tensor in state.items()
    }
    _check_fit(expected, state, path, strict)
    absent, idle = expected.keys() - state.keys(), state.keys() - expected.keys()
    if absent or idle:
        logger.warning(
            "%s: %d of the network's %d tensors loaded; %s",
            path,
            len(expected) - len(absent),
            len(expected),
            "; ".join(
                f"{text}: {_some(sorted(names))}"
                for text, names in (("not in the file", absent), ("not in the network", idle))
                if names
            ),
        )
    network.load_state_dict(state, strict=strict)
    return used


def tested_key(path: Path) -> str:
    """Where a checkpoint holds the weights that tests use: the averaged ones if it has them.

    Args:
        path: see `read_content`.

    Returns:
        "params_ema" or "params".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint of tensors.
    """
    content = read_content(path)
    averaged = isinstance(content, Mapping) and _is_state_dict(content.get(AVERAGED))
    return AVERAGED if averaged else "params"


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
    if isinstance(error, UnpicklingError):
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


def _check_fit(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, strict: bool
) -> None:
    common = expected.keys() & found.keys()
    exact = strict or not common
    missing = [name for name in expected if name not in common] if exact else []
    unexpected = [name for name in found if name not in common] if exact else []
    resized = [
        f"{name} {tuple(expected[name].shape)} is {tuple(found[name].shape)}"
        for name in expected
        if name in common and expected[name].shape != found[name].shape
    ]
    if not (missing or unexpected or resized):
        return
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another size", resized))
    details = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names)
    raise ValueError(
        f"expected the {len(expected)} tensors of the network, "
        f"got {len(found)} in {path}: {details}"
    )


def _some(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
