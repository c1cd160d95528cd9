"""Network architectures: one visible dict of them, and `build` to make one by name.

A name is looked up among ours and those that users registered, then in BasicSR, then in spandrel;
an import path, `package.module:Name`, is imported.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from losses.naming import is_import_path, nearest
from restoration.archs.ffdnet import FFDNet
from restoration.archs.protocol import offer_arguments
from restoration.archs.restormer.network import Restormer, restormer_s, restormer_xs
from restoration.common.names import Registry

ArchFactory = Callable[..., nn.Module]

ARCHS: Registry[ArchFactory] = Registry(
    "an architecture",
    {
        "FFDNet": FFDNet,
        "Restormer": Restormer,
        "restormer_s": restormer_s,
        "restormer_xs": restormer_xs,
    },
)


def register_arch(name: str) -> Callable[[ArchFactory], ArchFactory]:
    """Give an architecture a short name for `network_g`; a decorator of a class or function.

    What is registered returns a network that maps images (B, C, H, W) to images of the same size.
    What that may offer beside, `restoration.archs.protocol.Network` says.

    Args:
        name: the name; it must be free.

    Raises:
        ValueError: the name is taken.
    """
    return ARCHS.register(name)


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


def _find_arch(name: str) -> ArchFactory:
    """What makes networks of that name."""
    if name in ARCHS or is_import_path(name):
        factory = ARCHS.find(name)
        if not callable(factory):
            raise ValueError(f"{name}: expected a class or function, got {factory!r}")
        return factory
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
    name: str, factory: ArchFactory, kwargs: Mapping[str, object]
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
