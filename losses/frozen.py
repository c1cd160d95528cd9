"""Frozen networks: weights that nobody trains, safe to share between threads, types and devices.

Frozen weights are buffers: no optimiser finds them, and `requires_grad_(True)` of a parent does not
reach them. A frozen module is never moved by a call. Where the images have another device or type,
its twin is used: a copy made once, so that float32 and float64 can be computed at the same time.
"""

import copy
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Place = tuple[torch.device, torch.dtype]


def freeze(module: AnyModule) -> AnyModule:
    """Freeze for good: weights become buffers of the same names. Returns the module."""
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                del part._parameters[name]
                part.register_buffer(name, weight.detach())
    return module.eval()


def frozen(module: AnyModule) -> AnyModule:
    """The module itself if it is frozen already, else a frozen copy."""
    if next(module.parameters(), None) is None:
        return module
    return freeze(copy.deepcopy(module))


def keep_type(module: nn.Module) -> None:
    """Let a module keep the types that its weights have, whatever the type of the images."""
    for part in module.modules():
        part.__dict__["keeps_type"] = True


@dataclass(frozen=True)
class _Twin:
    """A copy on another device or of another type, and what it was copied from."""

    module: nn.Module
    sources: tuple[Tensor, ...]
    versions: tuple[int | None, ...]

    def is_of(self, sources: tuple[Tensor, ...]) -> bool:
        """Whether the module still has the tensors that were copied, unchanged."""
        same = len(sources) == len(self.sources) and all(
            a is b for a, b in zip(sources, self.sources, strict=True)
        )
        return same and _versions(sources) == self.versions


_twins: WeakKeyDictionary[nn.Module, dict[Place, _Twin]] = WeakKeyDictionary()
_twins_lock = threading.Lock()


def follow(module: AnyModule, like: Tensor, shared: nn.Module | None = None) -> AnyModule:
    """The frozen module on the device and in the type of a tensor: itself, or its twin.

    Args:
        module: frozen; it is never changed.
        like: the tensor.
        shared: a part of the module that others have too, and whose twin they share.
    """
    if _fits(module, like.device, like.dtype):
        return module
    parts = {} if shared is None else {id(shared): follow(shared, like)}
    sources = tuple(tensor for tensor, _ in _tensors(module))
    place = (like.device, like.dtype)
    with _twins_lock:
        twins = _twins.setdefault(module, {})
        if place not in twins or not twins[place].is_of(sources):
            twins[place] = _Twin(_moved(module, parts, *place), sources, _versions(sources))
        return twins[place].module  # type: ignore[return-value]


def _tensors(module: nn.Module) -> Iterator[tuple[Tensor, bool]]:
    """Every weight and buffer, and whether its type follows, see `keep_type`."""
    for part in module.modules():
        follows = not part.__dict__.get("keeps_type", False)
        for tensor in itertools.chain(part._parameters.values(), part._buffers.values()):
            if tensor is not None:
                yield tensor, follows


def _fits(module: nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a module can compute there, and with gradients where they are asked for."""
    no_matter = torch.compiler.is_compiling() or torch.is_inference_mode_enabled()
    return all(
        tensor.device == device
        and (tensor.dtype == dtype or not follows)
        and (no_matter or not tensor.is_inference())
        for tensor, follows in _tensors(module)
    )


def _versions(tensors: tuple[Tensor, ...]) -> tuple[int | None, ...]:
    return tuple(None if tensor.is_inference() else tensor._version for tensor in tensors)


def _moved(
    module: AnyModule, parts: dict[int, nn.Module], device: torch.device, dtype: torch.dtype
) -> AnyModule:
    """Copy a module but for some parts, in a thread of its own: no mode of the caller reaches it.

    Tensors made in inference mode could not be trained with, those made inside `torch.func` would
    belong to the transform.
    """

    def copied() -> AnyModule:
        tensors = {id(tensor): tensor.clone() for tensor, _ in _tensors(module)}
        return copy.deepcopy(module, {**tensors, **parts}).to(device=device, dtype=dtype)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copied).result()
