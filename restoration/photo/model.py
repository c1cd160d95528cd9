"""Finding a denoiser: a shipped one by name, or a checkpoint and the options of its network.

The options of the network are looked for, in this order: what the caller gives, the checkpoint
itself, `options.yml` of the run that wrote it, and the shapes of its tensors, which spandrel knows.
An import path, `package.module:Name`, runs code, so that it counts from the caller alone.
"""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from losses import weights
from losses.naming import is_import_path, nearest
from restoration.archs import build_network, load_network, spandrel
from restoration.archs.checkpoint import read_content
from restoration.archs.probe import PROBE_SIDE, check_network
from restoration.archs.protocol import image_channels
from restoration.common import plugins
from restoration.common.folders import OPTIONS_FILE
from restoration.options.load import read_mapping

# shipped denoisers: what users call them -> what `losses.weights` calls their files
SHIPPED: dict[str, str] = {}
DEFAULT: str | None = None
KEYS = ("params_ema", "params")  # averaged weights are what validation measured
NETWORK_G = "network_g"

Network = Mapping[str, Any] | str | PathLike[str]


def load_denoiser(
    model: str | PathLike[str] | None = None,
    network: Network | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Build the network of a checkpoint, load its weights, and try it.

    Args:
        model: path of a checkpoint (`.pth` with `params` or `params_ema`, or `.safetensors`), or
            the name of a shipped denoiser; default: the shipped one.
        network: options of its network, where the checkpoint does not say: `type` and arguments, a
            type alone, or the path of a YAML file that holds them, by themselves or under
            `network_g`.
        device: where to compute.

    Returns:
        The network, in evaluation mode.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: nobody says what the network is, the weights do not fit, or it is made for
            other images than colour or grey ones.
    """
    path, options = find_checkpoint(model, network)
    denoiser = _recognised(path) if options is None else _loaded(path, options)
    denoiser.to(device).requires_grad_(False).eval()
    channels = image_channels(denoiser)
    if channels not in (1, 3):
        raise ValueError(
            f"{path}: expected a network for 3 channels (colour) or 1 (grey), got one for "
            f"{channels}"
        )
    try:
        check_network(denoiser, channels, PROBE_SIDE, torch.device(device), True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return denoiser


def find_checkpoint(
    model: str | PathLike[str] | None = None, network: Network | None = None
) -> tuple[Path, Mapping[str, Any] | None]:
    """Find a checkpoint and the options of its network; see `load_denoiser`.

    Returns:
        Its path, and the options, or None where nobody says them.
    """
    path = _find(model)
    options = _given(network)
    if options is None:
        options = _carried(path) or _of_run(path)
        _check_type(path, options)
    return path, options


def _find(model: str | PathLike[str] | None) -> Path:
    """The checkpoint of a name or path."""
    if model is None and DEFAULT is None:
        raise ValueError(
            "expected a model: no denoiser ships with this version; give a checkpoint, such as "
            "--model experiments/<name>/models/net_g_latest.pth"
        )
    name = str(DEFAULT if model is None else model)
    if name in SHIPPED:
        return weights.resolve(SHIPPED[name])
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = f", or one of {', '.join(SHIPPED)}{nearest(name, SHIPPED)}" if SHIPPED else ""
    raise FileNotFoundError(f"expected a model file{shipped}, got no file at {path}")


def _given(network: Network | None) -> Mapping[str, Any] | None:
    """Options of a network that the caller gives."""
    if network is None or isinstance(network, Mapping):
        return network
    if str(network).endswith((".yml", ".yaml")):
        content = read_mapping(Path(network))
        plugins.import_all(content.get("imports") or [])
        options = content.get(NETWORK_G, content)
        if isinstance(options, Mapping) and "type" in options:
            return options
        raise ValueError(f"{network}: expected `network_g` with a `type`, got none")
    return {"type": str(network)}


def _check_type(path: Path, options: Mapping[str, Any] | None) -> None:
    """Raise ValueError for a network that a file names by its import path."""
    plugins.import_installed()
    if options is not None and is_import_path(str(options["type"])):
        raise ValueError(
            f"{path}: its network is {options['type']}, code that is not run for what a file says: "
            f"if you trust it, give --network {options['type']}, or --network FILE.yml"
        )


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


def _recognised(path: Path) -> nn.Module:
    try:
        return spandrel.from_file(path)
    except ValueError as error:
        raise ValueError(
            f"{path} does not say what its network is, nor is there an {OPTIONS_FILE} beside it: "
            f"give --network TYPE or --network FILE.yml ({error})"
        ) from error


def _loaded(path: Path, options: Mapping[str, Any]) -> nn.Module:
    if options["type"] == spandrel.FROM_FILE:  # what it was trained from may lie elsewhere
        return _recognised(path)
    denoiser = build_network(options)
    content = read_content(path)
    keys = [key for key in KEYS if isinstance(content, Mapping) and key in content]
    load_network(denoiser, path, keys[0] if keys else KEYS[-1])
    return denoiser
