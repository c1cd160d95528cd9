"""Losses of the user's own: any module `(prediction, target)` as a term among ours."""

import torch
from torch import Tensor, nn

from losses import functional
from losses.base import Features, Loss


class GuestLoss(Loss):
    """A module that is no `Loss`, called as a term.

    The pair is checked and the target is a constant; types, weights and gradients are the module's.

    Args:
        module: `(prediction, target)` -> a scalar, or (B,) values. Its `higher_is_better` and
            `unit` count where it has them.
        name: of the term, for messages.
        reduction: "mean", "sum" or "none" over the batch; a module that returns scalars is called
            image by image for the last two.
    """

    def __init__(self, module: nn.Module, name: str, reduction: str = "mean"):
        super().__init__(reduction=reduction)
        self.module, self.name = module, name
        self.higher_is_better = bool(getattr(module, "higher_is_better", False))
        self.unit = str(getattr(module, "unit", ""))

    def forward(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Compare (B, C, H, W) images in [0, 1]: a scalar, or (B,) with reduction "none".

        Raises:
            ValueError: no such pair, or the module returns something else.
        """
        functional.check_pair(prediction, target)
        target = target.detach()
        value = self._value(prediction, target)
        if value.ndim == 0 and self.reduction != "mean":
            pairs = zip(prediction.split(1), target.split(1), strict=True)
            value = torch.stack([self._value(*pair) for pair in pairs])
        return functional.reduce(value, self.reduction)

    def _value(self, prediction: Tensor, target: Tensor) -> Tensor:
        value = self.module(prediction, target)
        if not isinstance(value, Tensor) or value.shape not in ((), (len(prediction),)):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"loss {self.name}: expected a scalar or ({len(prediction)},) values, got {got}"
            )
        return value

    def error_map(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """The module's own error map.

        Raises:
            ValueError: it has none.
        """
        error_map = getattr(self.module, "error_map", None)
        if error_map is None:
            raise ValueError(f"loss {self.name} has no error map")
        return error_map(prediction, target)


def as_term(module: object, name: str, reduction: str = "mean") -> Loss:
    """Return a term of ours as it is, and any other module in a `GuestLoss`.

    Raises:
        ValueError: no module at all.
    """
    if isinstance(module, Loss):
        return module
    if not isinstance(module, nn.Module):
        raise ValueError(f"loss {name}: expected a torch.nn.Module, got {module!r}")
    return GuestLoss(module, name, reduction)
