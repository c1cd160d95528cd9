"""Degradations by name, and those that users add."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from losses.naming import import_object, is_import_path, nearest
from restoration.degradations.base import Degradation
from restoration.degradations.blur import Blur
from restoration.degradations.downsample import Downsample
from restoration.degradations.gaussian import Gaussian
from restoration.degradations.jpeg import Jpeg
from restoration.degradations.poisson_gaussian import PoissonGaussian

DegradationClass = TypeVar("DegradationClass", bound=type[Degradation])

DEGRADATIONS: dict[str, type[Degradation]] = {
    "gaussian": Gaussian,
    "poisson_gaussian": PoissonGaussian,
    "jpeg": Jpeg,
    "blur": Blur,
    "downsample": Downsample,
}


def register_degradation(name: str) -> Callable[[DegradationClass], DegradationClass]:
    """Give a degradation a short name for option files; a decorator of its class.

    Args:
        name: the name; it must be free.

    Raises:
        ValueError: the name is taken.
    """

    def register(kind: DegradationClass) -> DegradationClass:
        if DEGRADATIONS.get(name, kind) is not kind:
            raise ValueError(
                f"expected a new name for {kind.__name__}, got {name!r}, which is taken"
            )
        DEGRADATIONS[name] = kind
        return kind

    return register


def find_degradation(type: str) -> type[Degradation]:
    """Find the class of a degradation.

    Args:
        type: a name of `DEGRADATIONS`, or an import path "package.module:Name".

    Raises:
        ValueError: there is no such degradation.
    """
    if is_import_path(type):
        kind = import_object(type)
        if not (inspect.isclass(kind) and issubclass(kind, Degradation)):
            raise ValueError(f"expected a subclass of Degradation, got {type!r}")
        return kind
    if type not in DEGRADATIONS:
        known = ", ".join(DEGRADATIONS)
        raise ValueError(
            f"expected a degradation of {known}, got {type!r}{nearest(type, DEGRADATIONS)}"
        )
    return DEGRADATIONS[type]


def build_degradation(type: str, **arguments: Any) -> Degradation:
    """Build a degradation by name.

    Args:
        type: see `find_degradation`.
        arguments: of its constructor.

    Raises:
        ValueError: an unknown name, or arguments that it does not take.
    """
    kind = find_degradation(type)
    known = list(inspect.signature(kind).parameters)
    for name in arguments:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(
                f"expected arguments of {type} among {', '.join(known)}, got {name!r}{hint}"
            )
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ValueError(f"expected all arguments that {type} needs: {error}") from error
