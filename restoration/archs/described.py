"""Options of the network that a checkpoint was made with: nobody needs to give them again.

They are looked for, in this order: in the checkpoint itself, in `options.yml` of the run that wrote
it, and in the names and shapes of its tensors, where they are those of a Restormer or, where
spandrel is installed, of a network that it knows. An import path, `package.module:Name`, runs code:
what a file says is no reason to.
"""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from losses.naming import is_import_path
from restoration.archs import spandrel
from restoration.archs.checkpoint import read_content, select_state, tested_key
from restoration.archs.denoisers import NETWORKS, find_file
from restoration.archs.restormer.arguments import find_arguments
from restoration.common import plugins
from restoration.common.folders import OPTIONS_FILE
from restoration.options.load import read_mapping
from restoration.options.schema import Options

NETWORK_G = "network_g"


def network_options(model: str | PathLike[str]) -> dict[str, Any] | None:
    """Find the options of the network of a checkpoint.

    Args:
        model: path of a checkpoint, or the name of a denoiser.

    Returns:
        `type` and arguments, or None where neither the file nor its run says them, nor is it a
        Restormer.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the file is no checkpoint, or names its network by an import path.
    """
    path = find_file(model)
    options = NETWORKS.get(str(model)) or _carried(path) or _of_run(path) or _of_tensors(path)
    plugins.import_installed()
    if options is not None and is_import_path(str(options["type"])):
        raise ValueError(
            f"{path}: its network is {options['type']}, code that is not run for what a file says: "
            f"if you trust it, give --network {options['type']}, or --network FILE.yml"
        )
    return None if options is None else dict(options)


def describe(model: str | PathLike[str]) -> dict[str, Any]:
    """Return `network_options`, or those of what spandrel recognises.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: nobody knows what the network is.
    """
    options = network_options(model)
    if options is None:
        recognised(find_file(model))
        options = {"type": spandrel.FROM_FILE, "file": str(model)}
    return options


def recognised(path: Path) -> Any:
    """Build the network that spandrel recognises in a checkpoint, with its weights.

    Raises:
        ValueError: it does not, or is not installed.
    """
    try:
        return spandrel.from_file(path)
    except ValueError as error:
        raise ValueError(
            f"{path} does not say what its network is, nor is there an {OPTIONS_FILE} beside it: "
            f"give --network TYPE or --network FILE.yml, or `network_g` in an option file ({error})"
        ) from error


def with_network(options: Options) -> Options:
    """Fill in `network_g` from the checkpoint, where the options leave it out.

    Args:
        options: a whole option file.

    Returns:
        The same, or a copy with the options of the network of `path.pretrain_network_g`.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: nobody knows what its network is.
    """
    start = options.path.pretrain_network_g
    if options.network_g is not None or start is None:
        return options
    return options.model_copy(update={NETWORK_G: describe(start)})


def _carried(path: Path) -> Mapping[str, Any] | None:
    """Options that the checkpoint carries."""
    found: Any = None
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                text = (file.metadata() or {}).get(NETWORK_G)
        except SafetensorError as error:
            raise ValueError(f"expected a checkpoint of tensors, got {path}: {error}") from error
        found = None if text is None else json.loads(text)
    else:
        content = read_content(path)
        found = content.get(NETWORK_G) if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) and "type" in found else None


def _of_run(path: Path) -> Mapping[str, Any] | None:
    """Options of the run in whose folder the checkpoint lies, or in whose `models/`."""
    for folder in (path.parent, path.resolve().parent.parent):
        if (folder / OPTIONS_FILE).is_file():
            options = read_mapping(folder / OPTIONS_FILE).get(NETWORK_G)
            if isinstance(options, Mapping) and "type" in options:
                return options
    return None


def _of_tensors(path: Path) -> Mapping[str, Any] | None:
    """Options of a Restormer."""
    try:
        state, _ = select_state(read_content(path), tested_key(path), path)
    except ValueError:  # what is wrong is said where it is loaded
        return None
    return find_arguments({name.removeprefix("module."): t.shape for name, t in state.items()})
