"""Finding a denoiser: one by name, or a checkpoint, and the options of its network.

The options of the network are those that the caller gives, or what `restoration.archs.described`
finds. An import path, `package.module:Name`, runs code, so that it counts from the caller alone.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restoration.archs import build_network, load_network, spandrel
from restoration.archs.checkpoint import tested_key
from restoration.archs.denoisers import DEFAULT, find_file
from restoration.archs.described import NETWORK_G, network_options, recognised
from restoration.archs.probe import PROBE_SIDE, check_network
from restoration.archs.protocol import image_channels
from restoration.common import plugins
from restoration.options.load import read_mapping

Network = Mapping[str, Any] | str | PathLike[str]


def load_denoiser(
    model: str | PathLike[str] | None = None,
    network: Network | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Build the network of a checkpoint, load its weights, and try it.

    Args:
        model: path of a checkpoint (`.pth` with `params` or `params_ema`, or `.safetensors`), or
            the name of a denoiser, see `restoration.archs.denoisers`; default: the shipped one.
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
    denoiser = recognised(path) if options is None else _loaded(path, options)
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
    model = DEFAULT if model is None else model
    path, options = find_file(model), _given(network)
    return path, network_options(model) if options is None else options


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


def _loaded(path: Path, options: Mapping[str, Any]) -> nn.Module:
    if options["type"] == spandrel.FROM_FILE:  # what it was trained from may lie elsewhere
        return recognised(path)
    denoiser = build_network(options)
    load_network(denoiser, path, tested_key(path))
    return denoiser
