"""Ways to run a network faster or in less memory; none changes its weights or their names."""

from typing import cast

import torch
from torch import Tensor, nn

from restoration.archs import protocol


def _to_channels_last(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.contiguous(memory_format=torch.channels_last) for x in inputs)


def arrange(
    network: nn.Module,
    compile: bool = False,
    channels_last: bool | None = None,
    checkpointing: str = "none",
) -> None:
    """Set how a network runs, in place.

    Args:
        network: any network; our Restormer compiles its elementwise chains, others as a whole.
        compile: use `torch.compile`, which works when the network first runs.
        channels_last: memory format of the features, or None for what suits the network.
        checkpointing: "none", "level1" or "all"; others than "none" need a network that has
            `checkpoint`, as Restormer does.

    Raises:
        ValueError: the network cannot be checkpointed.
    """
    keep_less = protocol.checkpointing(network)
    if keep_less is not None:
        keep_less(checkpointing)
    elif checkpointing != "none":
        raise ValueError(
            f"expected train.checkpointing none for {type(network).__name__}, which has no "
            f"blocks to compute again, got {checkpointing}"
        )
    if channels_last is not None:
        _arrange_memory(network, channels_last)
    if compile:
        protocol.compiling(network)()


def _arrange_memory(network: nn.Module, channels_last: bool) -> None:
    if protocol.arranges_memory(network):
        cast(protocol.Network, network).channels_last = channels_last
    elif channels_last:
        network.to(memory_format=torch.channels_last)
        network.register_forward_pre_hook(_to_channels_last)
