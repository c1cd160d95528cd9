"""A weighted list of loss terms, as an option file names them, and the values of each."""

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from losses.base import FeatureDistance, Features, share_backbones
from losses.dists import DISTS, EDISTS
from losses.elpips import ELPIPS
from losses.enhanced import EnhancedMAE, EnhancedMSE, EnhancedPSNR, EnhancedSSIM
from losses.flip import FLIP, EnhancedFLIP
from losses.lpips import LPIPS
from losses.milo import MILO
from losses.pixel import MAE, MSE, PSNR, SSIM, Charbonnier
from losses.vgg import EVGG, VGG

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


def _nearest(name: str, known: Sequence[str]) -> str:
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def build_term(type: str, **arguments: Any) -> nn.Module:
    """Build one loss term by the name that option files use.

    Args:
        type: a key of TERMS.
        **arguments: arguments of that term.

    Returns:
        A module `term(prediction, target)`.

    Raises:
        ValueError: unknown term or argument, with the nearest known name.
        FileNotFoundError: weights that the term needs are missing.
    """
    if type not in TERMS:
        raise ValueError(
            f"unknown loss type {type!r}; known: {', '.join(TERMS)}{_nearest(type, tuple(TERMS))}"
        )
    known = tuple(inspect.signature(TERMS[type]).parameters)
    for name in arguments:
        if name not in known:
            raise ValueError(
                f"unknown argument {name!r} of loss {type}; known: {', '.join(known)}"
                f"{_nearest(name, known)}"
            )
    return TERMS[type](**arguments)


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
        self.terms = nn.ModuleList(terms.values())

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Evaluate every term; terms on one backbone share one computation of its features.

        Args:
            prediction: (B, 3, H, W), RGB in [0, 1].
            target: (B, 3, H, W), RGB in [0, 1].

        Returns:
            The weighted total to minimise (terms where higher is better, PSNR and E-PSNR, are
            subtracted), and each term's unweighted, detached value by name.
        """
        total = prediction.new_zeros(())
        values = {}
        features: dict[nn.Module, Features] = {}
        for name, term in zip(self.names, self.terms, strict=True):
            if isinstance(term, FeatureDistance):
                if term.backbone not in features:
                    features[term.backbone] = term.features(prediction, target)
                value = term(prediction, target, features[term.backbone])
            else:
                value = term(prediction, target)
            sign = -1.0 if getattr(term, "higher_is_better", False) else 1.0
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
        guests: called as `guests(type=..., **arguments)` for a type that is not in TERMS; returns
            a term, or None if it does not know the type either.

    Returns:
        A Criterion, to be called as `criterion(prediction, target) -> (total, {name: value})`.
        Feature distances with equal backbones, such as VGG and E-VGG, share one.

    Raises:
        ValueError: no terms, a term without a type, two terms of one name, an unknown name, a
            weight that is no finite number.
        FileNotFoundError: weights that a term needs are missing.

    Example:
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
        if name in built:
            raise ValueError(f"two loss terms are named {name!r}: give one of them another `name`")
        guest = guests(**options) if guests and options["type"] not in TERMS else None
        built[name] = guest if guest is not None else build_term(**options)
        weights[name] = weight
    share_backbones(built.values())
    return Criterion(built, weights)
