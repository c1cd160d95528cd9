"""A weighted list of loss terms, as an option file names them, and the values of each."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast, overload

from torch import Tensor, nn

from losses.base import Features, Loss
from losses.dists import DISTS, EDISTS
from losses.features.backbones import Backbone
from losses.flip import FLIP, EnhancedFLIP
from losses.guest import as_term
from losses.lpips import ELPIPS, LPIPS
from losses.milo import MILO
from losses.naming import check_new_name, import_object, is_import_path, nearest
from losses.pixel import (
    MAE,
    MSE,
    PSNR,
    SSIM,
    Charbonnier,
    EnhancedMAE,
    EnhancedMSE,
    EnhancedPSNR,
    EnhancedSSIM,
)
from losses.vgg import EVGG, VGG

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
Factory = TypeVar("Factory", bound=Callable[..., nn.Module])

TERMS: dict[str, Callable[..., nn.Module]] = {
    "MAE": MAE,
    "MSE": MSE,
    "Charbonnier": Charbonnier,
    "PSNR": PSNR,
    "SSIM": SSIM,
    "VGG": VGG,
    "E-VGG": EVGG,
    "E-MAE": EnhancedMAE,
    "E-MSE": EnhancedMSE,
    "E-PSNR": EnhancedPSNR,
    "E-SSIM": EnhancedSSIM,
    "LPIPS": LPIPS,
    "E-LPIPS": ELPIPS,
    "DISTS": DISTS,
    "E-DISTS": EDISTS,
    "FLIP": FLIP,
    "E-FLIP": EnhancedFLIP,
    "MILO": MILO,
}


@overload
def register_loss(name: str) -> Callable[[Factory], Factory]: ...


@overload
def register_loss(name: str, factory: Factory) -> Factory: ...


def register_loss(name: str, factory: Any = None) -> Any:
    """Give a loss of your own a short name, for option files and command lines.

    Args:
        name: the name; it may not be taken.
        factory: a class or function that returns a module `(prediction, target)` -> a scalar, or
            (B,); None to use this as a decorator.

    Returns:
        The factory.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> @register_loss("Bias")
        ... class Bias(nn.Module):
        ...     def forward(self, prediction, target):
        ...         return (prediction - target).mean((1, 2, 3)).abs()
    """
    if factory is None:
        return lambda given: register_loss(name, given)
    check_new_name("a loss", name, factory, TERMS)
    TERMS[name] = factory
    return factory


def find_loss(type: str) -> Callable[..., nn.Module]:
    """Look a loss up by the name that option files use.

    Args:
        type: a key of TERMS in any case, or an import path, "package.module:Name".

    Raises:
        ValueError: an unknown name, with the nearest known one, or nothing to import there.
    """
    if type in TERMS:
        return TERMS[type]
    spelt = {name.lower(): factory for name, factory in TERMS.items()}
    if type.lower().replace("_", "-") in spelt:  # pyiqa's names are in small letters
        return spelt[type.lower().replace("_", "-")]
    if not is_import_path(type):
        raise ValueError(
            f"unknown loss type {type!r}; known: {', '.join(TERMS)}{nearest(type, TERMS)} "
            "(a loss of your own: its import path, 'package.module:Name')"
        )
    factory = import_object(type)
    if not callable(factory):
        raise ValueError(f"loss {type}: expected a class or function, got {factory!r}")
    return factory


def build_term(type: str, **arguments: Any) -> Loss:
    """Build one loss term by the name that option files use.

    Args:
        type: a key of TERMS, or an import path, "package.module:Name", of a class or function that
            returns a module `(prediction, target)` -> a scalar, or (B,) values.
        **arguments: arguments of that term.

    Returns:
        A module `term(prediction, target)`. One that is no `losses.Loss` comes as a
        `losses.guest.GuestLoss`, which sees to the `reduction` where the factory takes none.

    Raises:
        ValueError: unknown term or argument, with the nearest known name.
        FileNotFoundError: weights that the term needs are missing.
    """
    factory = find_loss(type)
    known, takes_any = _arguments_of(factory)
    reduction = arguments.get("reduction", "mean")
    if "reduction" not in known:
        arguments.pop("reduction", None)
    for name in arguments:
        if name not in known and not takes_any:
            raise ValueError(
                f"unknown argument {name!r} of loss {type}; known: {', '.join(known)}"
                f"{nearest(name, known)}"
            )
    try:
        module = factory(**arguments)
    except TypeError as error:
        raise ValueError(f"loss {type}: {error}") from error
    return as_term(module, type, reduction)


def _arguments_of(factory: Callable[..., Any]) -> tuple[list[str], bool]:
    """Names of the arguments that a factory takes, and whether it takes others too."""
    try:
        parameters = inspect.signature(factory).parameters
    except ValueError:  # some classes that are not written in Python have none
        return [], True
    named = [name for name, parameter in parameters.items() if parameter.kind not in VARIADIC]
    return named, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def share_backbones(terms: Iterable[nn.Module]) -> None:
    """Let terms whose backbones are equal, weights included, use one module.

    Args:
        terms: loss terms; those without a backbone are left alone.
    """
    known: list[Backbone] = []
    for term in terms:
        backbone = getattr(term, "backbone", None)
        if not isinstance(backbone, Backbone):
            continue
        same = next((other for other in known if other.equals(backbone)), None)
        if same is None:
            known.append(backbone)
        else:
            term.backbone = same


def _check_weight(weight: Any, term: str) -> float:
    """Return the weight of a term as a number."""
    try:
        number = float(weight)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a finite weight of loss {term}, got {weight!r}")
    return number


class Criterion(nn.Module):
    """Weighted sum of loss terms.

    Args:
        terms: the terms by name.
        weights: the weight of each term, by the same names.

    Raises:
        ValueError: a term without a weight, or a weight without a term.
    """

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float]):
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(f"expected one weight per term, got {list(weights)} for {list(terms)}")
        self.names = tuple(terms)
        self.weights = dict(weights)
        self.terms = nn.ModuleList(as_term(term, name) for name, term in terms.items())

    def each(self, prediction: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Evaluate every term; terms on one backbone share one computation of its features.

        Args:
            prediction: (B, 3, H, W), RGB in [0, 1].
            target: (B, 3, H, W), RGB in [0, 1].

        Yields:
            Name and value of each term, unweighted.
        """
        features: dict[Backbone | None, Features] = {None: ([], [])}
        for name, term in zip(self.names, cast(Iterable[Loss], self.terms), strict=True):
            if term.backbone not in features:
                features[term.backbone] = term.features(prediction, target)
            yield name, term(prediction, target, features[term.backbone])

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the weighted terms.

        Args:
            prediction: (B, 3, H, W), RGB in [0, 1].
            target: (B, 3, H, W), RGB in [0, 1].

        Returns:
            The weighted total to minimise (terms where higher is better, PSNR and E-PSNR, are
            subtracted), and each term's unweighted, detached value by name.
        """
        total = prediction.new_zeros(())
        values = {}
        terms = cast(Iterable[Loss], self.terms)
        for term, (name, value) in zip(terms, self.each(prediction, target), strict=True):
            sign = -1.0 if term.higher_is_better else 1.0
            total = total + sign * self.weights[name] * value
            values[name] = value.detach()
        return total, values


def build(
    terms: Sequence[Mapping[str, Any]],
    guests: Callable[..., nn.Module | None] | None = None,
) -> Criterion:
    """Build a criterion from the list of an option file.

    Args:
        terms: one mapping per term: `type`, optional `weight` (1.0), optional `name` (what it is
            logged as; the type), and the arguments of that term.
        guests: called as `guests(type=..., **arguments)` for a name that is not in TERMS; returns
            a term, or None if it does not know the name either.

    Returns:
        A Criterion, to be called as `criterion(prediction, target) -> (total, {name: value})`.
        Feature distances with equal backbones, such as VGG and E-VGG, share one.

    Raises:
        ValueError: no terms, a term without a type, two terms of one name, an unknown name, a
            weight that is no finite number.
        FileNotFoundError: weights that a term needs are missing.

    Examples:
        >>> criterion = build([{"type": "MAE"}, {"type": "SSIM", "weight": 0.1}])
    """
    if not terms:
        raise ValueError("expected at least one loss term, got an empty list")
    built: dict[str, nn.Module] = {}
    weights: dict[str, float] = {}
    for given in terms:
        if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
            raise ValueError(
                f"expected a loss term with a `type`, such as {{'type': 'MAE'}}, got {given!r}"
            )
        options = dict(given)
        weight = _check_weight(options.pop("weight", 1.0), options["type"])
        name = options.pop("name", options["type"])
        if not isinstance(name, str):
            raise ValueError(f"expected the name of a loss term as text, got {name!r}")
        if name in built:
            raise ValueError(f"two loss terms are named {name!r}: give one of them another `name`")
        ours = options["type"] in TERMS or is_import_path(options["type"])
        guest = None if ours or guests is None else guests(**options)
        built[name] = guest if guest is not None else build_term(**options)
        weights[name] = weight
    share_backbones(built.values())
    return Criterion(built, weights)
