"""Degradations by name, and those that users add."""

import inspect
from collections.abc import Callable
from typing import Any

from losses.naming import nearest
from restoration.common.names import Registry
from restoration.degradations.base import Degradation
from restoration.degradations.blur import Blur
from restoration.degradations.camera import Camera
from restoration.degradations.downsample import Downsample
from restoration.degradations.gaussian import Gaussian
from restoration.degradations.jpeg import Jpeg
from restoration.degradations.poisson_gaussian import PoissonGaussian

DEGRADATIONS: Registry[type[Degradation]] = Registry(
    "a degradation",
    {
        "gaussian": Gaussian,
        "poisson_gaussian": PoissonGaussian,
        "camera": Camera,
        "jpeg": Jpeg,
        "blur": Blur,
        "downsample": Downsample,
    },
)


def register_degradation(name: str) -> Callable[[type[Degradation]], type[Degradation]]:
    """Give a degradation a short name for option files; a decorator of its class.

    Args:
        name: the name; it must be free.

    Raises:
        ValueError: the name is taken.
    """
    return DEGRADATIONS.register(name)


def find_degradation(type: str) -> type[Degradation]:
    """Find the class of a degradation.

    Args:
        type: a name of `DEGRADATIONS`, or an import path "package.module:Name".

    Raises:
        ValueError: there is no such degradation.
    """
    kind = DEGRADATIONS.find(type)
    if not (inspect.isclass(kind) and issubclass(kind, Degradation)):
        raise ValueError(f"expected a subclass of Degradation, got {type!r}")
    return kind


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
