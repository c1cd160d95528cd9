"""Network architectures: one visible dict of them, and `build` to make one by name."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from restoration.archs.restormer.network import Restormer, restormer_s, restormer_xs

ARCHS: dict[str, Callable[..., nn.Module]] = {
    "Restormer": Restormer,
    "restormer_s": restormer_s,
    "restormer_xs": restormer_xs,
}


def build(type: str, **kwargs: object) -> nn.Module:
    """Build a network by name: one of `ARCHS`, else any architecture that BasicSR knows.

    Args:
        type: name of the architecture.
        kwargs: its arguments; they override those of a preset.

    Returns:
        The network, with fresh weights.

    Raises:
        ValueError: unknown name, unknown or missing argument, or a value that it refuses.
    """
    arch = ARCHS.get(type)
    if arch is None:
        from restoration.common.basicsr import find_arch  # only here: ours never need BasicSR

        arch = find_arch(type)
    if arch is None:
        raise ValueError(
            f"expected an architecture of {', '.join(ARCHS)} or of BasicSR, "
            f"got {type!r}{_nearest(type, ARCHS)}"
        )
    _check_arguments(type, arch, kwargs)
    return arch(**kwargs)


def build_network(arguments: Mapping[str, Any] | None) -> nn.Module:
    """Build the network of an option file.

    Args:
        arguments: the section `network_g`: `type` and the arguments of `build`.

    Raises:
        ValueError: there is no such section, or the network refuses its arguments, whatever
            foreign code raises.
    """
    if arguments is None:
        raise ValueError("option `network_g` is missing")
    try:
        return build(**arguments)
    except (TypeError, RuntimeError, AssertionError, LookupError) as error:  # BasicSR's raise all
        raise ValueError(f"network_g: {error or type(error).__name__}") from error


def _check_arguments(name: str, arch: Callable[..., nn.Module], kwargs: dict[str, object]) -> None:
    signature = inspect.signature(arch)
    parameters = signature.parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [p.name for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for argument in kwargs:
        if argument not in known and not takes_any:
            raise ValueError(
                f"expected arguments of {name} among {', '.join(known)}, "
                f"got {argument!r}{_nearest(argument, known)}"
            )
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        raise ValueError(f"expected all arguments that {name} needs, got {error}") from error


def _nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known name most like the word, or nothing."""
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[matches[0]]!r}?" if matches else ""
