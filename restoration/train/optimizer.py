"""Optimisers by name: torch's in one kernel, timm's, and users' own."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from losses.naming import is_import_path, nearest
from losses.weights.local import check_plain
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


MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")  # of torch's kernels


def check_moments(optimizer: torch.optim.Optimizer, saved: dict[str, Any], path: Path) -> None:
    """Refuse a saved state whose moments do not fit the parameters.

    Optimisers in one kernel do not look: a moment of another shape makes them write elsewhere.

    Args:
        optimizer: over the parameters.
        saved: a state dict of such an optimiser.
        path: of its file, for the error.

    Raises:
        ValueError: it does not fit.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    groups, states = saved.get("param_groups"), saved.get("state")
    numbers = list(range(len(parameters)))
    if (
        not isinstance(groups, list)
        or not isinstance(states, dict)
        or not all(isinstance(g, dict) and isinstance(g.get("params"), list) for g in groups)
        or [number for group in groups for number in group["params"]] != numbers
        or not set(states) <= set(numbers)
    ):
        raise ValueError(f"{path} is of another optimiser than {type(optimizer).__name__}")
    torchs = type(optimizer) in {torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD}
    for number, moments in states.items():
        shape = parameters[number].shape
        if not isinstance(moments, dict):
            raise ValueError(f"{path}: expected moments of parameter {number}, got none")
        if torchs and moments.keys() != next(iter(states.values())).keys():
            raise ValueError(f"{path}: parameter {number} has other moments than the first")
        for name in MOMENTS:
            moment = moments.get(name)
            if moment is None:
                continue
            if isinstance(moment, Tensor):
                check_plain({name: moment}, path)
            if not isinstance(moment, Tensor) or moment.shape != shape:
                found = tuple(moment.shape) if isinstance(moment, Tensor) else moment
                raise ValueError(
                    f"{path}: expected {name} of shape {tuple(shape)} for parameter {number}, "
                    f"got {found!r}"
                )
        step = moments.get("step")
        if torchs and "step" in moments and not (isinstance(step, Tensor) and step.numel() == 1):
            raise ValueError(f"{path}: expected a number of steps for parameter {number}")
