"""Which setting of Restormer a checkpoint fits: a hint where it does not fit the one asked for."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from restoration.archs.restormer.blocks import NORMS
from restoration.archs.restormer.network import Restormer, restormer_s, restormer_xs

NETWORK_G = "network_g"  # where checkpoints carry the type of their network and its arguments
PRESETS: dict[str, Callable[..., nn.Module]] = {
    "Restormer": Restormer,
    "restormer_s": restormer_s,
    "restormer_xs": restormer_xs,
}
CHANNELS = (3, 1)


def hint(content: object, state: Mapping[str, Tensor]) -> str:
    """Say what network a checkpoint is of, for an error; empty where nobody knows.

    Args:
        content: of the file, which may carry `network_g`.
        state: its state dict.
    """
    carried = content.get(NETWORK_G) if isinstance(content, Mapping) else None
    if isinstance(carried, Mapping) and "type" in carried:
        return f"; the file says that it is of `network_g: {_flow(carried)}`"
    found = find_setting(state)
    return "" if found is None else f"; it fits `network_g: {_flow(found)}`"


def find_setting(state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Find the preset that has exactly these tensors, in colour or grey, with either norm.

    Returns:
        `type` and the arguments that differ from the preset's own, or None.
    """
    shapes = {name: tensor.shape for name, tensor in state.items()}
    for (name, preset), channels, norm in product(PRESETS.items(), CHANNELS, sorted(NORMS)):
        arguments: dict[str, Any] = {}
        if channels != CHANNELS[0]:
            arguments |= {"inp_channels": channels, "out_channels": channels}
        if norm != "BiasFree":
            arguments["LayerNorm_type"] = norm
        with torch.device("meta"):
            network = preset(**arguments)
        if {key: tensor.shape for key, tensor in network.state_dict().items()} == shapes:
            return {"type": name, **arguments}
    return None


def _flow(options: Mapping[str, Any]) -> str:
    """Options as one line of YAML."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in options.items()) + "}"
