"""Loss terms of an option file: ours by name, else a loss of BasicSR's registry."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

import losses


class GuestLoss(nn.Module):
    """A loss of BasicSR's registry as a term of ours.

    Args:
        type: its name in the registry.
        **arguments: its own arguments; `loss_weight` stays 1, `weight` is ours.

    Raises:
        ValueError: no such loss, or arguments that it does not take.
    """

    def __init__(self, type: str, **arguments: Any):
        super().__init__()
        from restoration.common import basicsr

        try:
            self.loss = basicsr.get_loss(type)(**arguments)
        except TypeError as error:
            raise ValueError(f"loss {type} of BasicSR: {error}") from error
        self.loss.requires_grad_(False)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum of what the loss returns; BasicSR's perceptual loss returns (content, style)."""
        value = self.loss(prediction, target)
        parts = value if isinstance(value, tuple) else (value,)
        return sum(part for part in parts if part is not None)


def build_criterion(terms: Sequence[dict[str, Any]]) -> losses.Criterion:
    """Build the criterion of an option file.

    Args:
        terms: see `losses.build`; a type that is not ours is looked up in BasicSR's registry.

    Raises:
        ValueError: a type that neither knows, with the nearest name of ours, or an argument of
            the wrong kind.
    """
    try:
        return losses.build(terms, guests=_guest)
    except TypeError as error:
        raise ValueError(f"train.losses: {error}") from error


def _guest(type: str, **arguments: Any) -> nn.Module | None:
    from restoration.common import basicsr

    if basicsr.find_loss(type) is None:
        return None
    return GuestLoss(type, **arguments)
