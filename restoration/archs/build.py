"""Network architectures: one visible dict of them, and `build` to make one by name.

A name is looked up among ours and those that users registered, then in BasicSR, then in spandrel;
an import path, `package.module:Name`, is imported.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from torch import nn

from losses.naming import import_object, is_import_path, nearest
from restoration.archs.protocol import offer_arguments
from restoration.archs.restormer.network import Restormer, restormer_s, restormer_xs

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])

ARCHS: dict[str, Callable[..., nn.Module]] = {
    "Restormer": Restormer,
    "restormer_s": restormer_s,
    "restormer_xs": restormer_xs,
}


@overload
def register_arch(name: str) -> Callable[[Factory], Factory]: ...


@overload
def register_arch(name: str, factory: Factory) -> Factory: ...


def register_arch(name: str, factory: Any = None) -> Any:
    """Give an architecture of your own a short name, for option files.

    Args:
        name: the name; it may not be taken.
        factory: a class or function that returns a network (B, C, H, W) -> images of the same
            size; None to use this as a decorator. What the network may offer beside that is
            described by `restoration.archs.protocol.Network`.

    Returns:
        The factory.

    Raises:
        ValueError: the name is taken.

    Example:
        >>> @register_arch("OneLayer")
        ... class OneLayer(nn.Conv2d):
        ...     def __init__(self, channels=3):
        ...         super().__init__(channels, channels, 3, padding=1)
    """
    if factory is None:
        return lambda given: register_arch(name, given)
    known = ARCHS.get(name)
    if known is not None and _origin(known) != _origin(factory):
        raise ValueError(f"expected a new name of an architecture, got {name!r}, which is {known}")
    ARCHS[name] = factory
    return factory


def _origin(factory: Any) -> tuple[object, object]:
    """Where a class or function is defined: a module that is imported again defines it again."""
    return getattr(factory, "__module__", None), getattr(factory, "__qualname__", factory)


def build(type: str, **kwargs: object) -> nn.Module:
    """Build a network by name.

    Args:
        type: one of `ARCHS`, an architecture of BasicSR or of spandrel, an import path,
            "package.module:Name", or "spandrel" for what a checkpoint `file` holds.
        kwargs: its arguments; they override those of a preset.

    Returns:
        The network, with fresh weights, or with those of the `file` of a "spandrel".

    Raises:
        ValueError: unknown name, unknown or missing argument, or a value that it refuses.
        FileNotFoundError: there is no such `file`.
    """
    factory = _find_arch(type)
    arguments = _check_arguments(type, factory, kwargs)
    network = factory(**kwargs)
    if not isinstance(network, nn.Module):
        raise ValueError(f"{type}: expected a torch.nn.Module, got {network!r}")
    offer_arguments(network, arguments)
    return network


def build_network(arguments: Mapping[str, Any] | None) -> nn.Module:
    """Build the network of an option file.

    Args:
        arguments: the section `network_g`: `type` and the arguments of `build`.

    Raises:
        ValueError: there is no such section, or the network refuses its arguments, whatever
            foreign code raises.
        FileNotFoundError: a file that the network is built from is missing.
    """
    if arguments is None:
        raise ValueError("option `network_g` is missing")
    try:
        return build(**arguments)
    except (TypeError, RuntimeError, AssertionError, LookupError) as error:  # BasicSR's raise all
        raise ValueError(f"network_g: {error or type(error).__name__}") from error


def _find_arch(name: str) -> Callable[..., nn.Module]:
    """What makes networks of that name."""
    if is_import_path(name):
        factory = import_object(name)
        if not callable(factory):
            raise ValueError(f"{name}: expected a class or function, got {factory!r}")
        return factory
    if name in ARCHS:
        return ARCHS[name]
    from restoration.archs import spandrel  # only here: ours need neither of the guests
    from restoration.common import basicsr

    arch = basicsr.find_arch(name) or spandrel.find_arch(name)
    if arch is None:
        known = [*ARCHS, *basicsr.known_archs(), *spandrel.known_archs()]
        failed = [f"{module}: {reason}" for module, reason in basicsr.failed_imports().items()]
        raise ValueError(
            f"expected an architecture of {', '.join(ARCHS)}, of BasicSR or of spandrel, or "
            f"an import path 'package.module:Name', got {name!r}{nearest(name, known)}"
            + "".join(f"; {reason}" for reason in [*failed, *spandrel.failed_imports()])
        )
    return arch


def _check_arguments(
    name: str, factory: Callable[..., nn.Module], kwargs: Mapping[str, object]
) -> dict[str, Any]:
    """All arguments, defaults included, of a call that the signature allows."""
    signature = inspect.signature(factory)
    parameters = signature.parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [p.name for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for argument in kwargs:
        if argument not in known and not takes_any:
            raise ValueError(
                f"expected arguments of {name} among {', '.join(known)}, "
                f"got {argument!r}{nearest(argument, known)}"
            )
    try:
        bound = signature.bind(**kwargs)
    except TypeError as error:
        raise ValueError(f"expected all arguments that {name} needs, got {error}") from error
    bound.apply_defaults()
    return bound.arguments
