"""Weights of loss terms that give each term a share of the gradient at the prediction.

The values of two losses say little about their weights: MAE and a feature distance have scales of
their own. What a network learns from is the gradient. The share of a term is |weight| * norm over
the sum of that of all terms, where norm is the L2 norm of d term / d prediction over all values of
a batch.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor

from losses.base import Loss
from losses.criterion import Criterion
from losses.features.backbones import Backbone


def gradient_norms(criterion: Criterion, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Measure how strongly each term, without its weight, pulls at a prediction.

    Args:
        criterion: the terms.
        prediction: (B, 3, H, W), RGB in [0, 1]; what it was computed from gets no gradient.
        target: (B, 3, H, W), RGB in [0, 1].

    Returns:
        The L2 norm of d term / d prediction by name, detached scalars.
    """
    prediction = prediction.detach().float().requires_grad_()  # in fp16 gradients vanish
    of_target: dict[Backbone | None, list[Tensor]] = {}
    norms = {}
    for name, term in zip(criterion.names, cast(Iterable[Loss], criterion.terms), strict=True):
        with torch.enable_grad():  # a graph for each term: one that was compiled can be used once
            features = term.features(prediction, target, of_target.get(term.backbone))
            value = term(prediction, target, features)
        of_target[term.backbone] = features[1]
        norms[name] = torch.zeros((), device=prediction.device)
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value, prediction)
            rows = torch.linalg.vector_norm(gradient, dim=-1)  # a single long sum loses digits
            norms[name] = torch.linalg.vector_norm(rows)
    return norms


def shares_of(norms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Share of the gradient that each term has.

    Args:
        norms: of the gradient of each term, as `gradient_norms` returns them.
        weights: of each term.

    Returns:
        Scalars in [0, 1] with the sum 1, by name; all 0 where there is no gradient at all.
    """
    pulls = {name: abs(weights[name]) * norm for name, norm in norms.items()}
    total = torch.stack(list(pulls.values())).sum()
    return {name: torch.where(total > 0, pull / total, 0.0) for name, pull in pulls.items()}


def weights_for(
    norms: Mapping[str, float], weights: Mapping[str, float], wanted: Mapping[str, float]
) -> dict[str, float]:
    """Weights with which some terms have given shares.

    Args:
        norms: of the gradient of each term, as `gradient_norms` returns them.
        weights: of the terms that have a number; their pull is what the shares are relative to.
        wanted: shares of the other terms, each in (0, 1), together below 1.

    Returns:
        The weight of every term, by name.

    Raises:
        ValueError: no term with a number pulls at all, shares that leave nothing for those terms,
            or a term that has no gradient.
    """
    pull = sum(abs(weight) * norms[name] for name, weight in weights.items())
    left = 1 - sum(wanted.values())
    if not wanted:
        return dict(weights)
    if left <= 0 or min(wanted.values()) <= 0:
        raise ValueError(f"expected shares above 0 that leave some below 1, got {dict(wanted)}")
    if pull == 0:
        raise ValueError(
            "expected a loss whose weight is a number other than 0, for shares beside it"
        )
    for name in wanted:
        if norms[name] == 0:
            raise ValueError(f"expected a gradient of loss {name}, which is to have a share, got 0")
    total = pull / left
    return dict(weights) | {name: share * total / norms[name] for name, share in wanted.items()}
