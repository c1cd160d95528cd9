"""Optimisers by name: torch's in one kernel, timm's, and users' own."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from losses.naming import is_import_path, nearest
from restoration.common.names import Registry
from restoration.options.training import Optimizer

OptimizerClass = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: Registry[OptimizerClass] = Registry(
    "an optimiser",
    {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam, "SGD": torch.optim.SGD},
)
FUSED_DEVICES = ("cpu", "cuda")  # whose optimisers torch has in one kernel
COMMON = ("lr", "weight_decay")  # every optimiser is told these


def register_optimizer(name: str) -> Callable[[OptimizerClass], OptimizerClass]:
    """Give an optimiser a short name for `train.optim_g.type`; a decorator.

    What is registered is called with the parameters of the network, `lr`, `weight_decay` and the
    further keys of the option file.
    """
    return OPTIMIZERS.register(name)


def build_optimizer(network: nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """Build the optimiser that the options name.

    Args:
        network: whose parameters it updates, on their device.
        options: `type` is a name of `OPTIMIZERS`, of timm's factory (Muon, Adan, Lion, ...; case
            does not matter), or an import path.

    Raises:
        ValueError: an unknown type, or a key that has no effect on it.
    """
    kind, arguments = options.type, options.arguments
    if kind in OPTIMIZERS or is_import_path(kind):
        factory = OPTIMIZERS.find(kind)
        _check_keys(kind, factory, arguments)
        device = next(network.parameters()).device.type
        if "fused" in inspect.signature(factory).parameters and device in FUSED_DEVICES:
            arguments = {"fused": True, **arguments}
        return _called(kind, factory, network.parameters(), **arguments)
    from timm.optim import create_optimizer_v2, get_optimizer_class, list_optimizers

    known = [str(name) for name in list_optimizers()]
    if kind.lower() not in known:
        near = nearest(kind, [*known, *OPTIMIZERS])
        raise ValueError(
            f"train.optim_g: expected an optimiser of {', '.join(OPTIMIZERS)} or of timm, "
            f"got {kind!r}{near}"
        )
    _check_keys(kind, get_optimizer_class(kind.lower(), bind_defaults=False), arguments)
    return _called(
        kind, create_optimizer_v2, network, kind.lower(), filter_bias_and_bn=False, **arguments
    )


def _check_keys(kind: str, factory: OptimizerClass, arguments: dict[str, Any]) -> None:
    """Refuse keys that the optimiser does not take: they would have no effect."""
    parameters = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in arguments:
        if name not in parameters and name not in COMMON:
            hint = nearest(name, parameters)
            raise ValueError(f"train.optim_g: {name} has no effect on {kind}{hint}")


def _called(kind: str, factory: Callable[..., Any], *given: Any, **arguments: Any) -> Any:
    try:
        return factory(*given, **arguments)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"train.optim_g: {kind}: {error}") from error
