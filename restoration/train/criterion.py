"""Loss terms of an option file: ours by name or import path, else a loss of BasicSR's registry."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

import losses
from losses import functional
from losses.base import Features
from losses.frozen import freeze
from losses.naming import check_name

PERCEPTUAL = "PerceptualLoss"
CRITERIA = ("l1", "l2", "fro")  # of BasicSR's perceptual loss


class BasicsrLoss(losses.Loss):
    """A loss of BasicSR's registry as a term of ours.

    Args:
        type: its name in the registry.
        **arguments: its own arguments; `loss_weight` stays 1, `weight` is ours.

    Raises:
        ValueError: no such loss, or arguments that it does not take.
        FileNotFoundError: weights that it needs can be neither found nor downloaded.
    """

    def __init__(self, type: str, **arguments: Any):
        super().__init__()
        from restoration.common import basicsr

        build: Callable[..., nn.Module] = basicsr.get_loss(type)
        try:
            loss = _perceptual(build, **arguments) if type == PERCEPTUAL else build(**arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"loss {type} of BasicSR: {error}") from error
        except OSError as error:
            raise FileNotFoundError(
                f"loss {type} of BasicSR needs weights that could not be downloaded: {error}"
            ) from error
        self.loss = freeze(loss)

    def forward(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Sum of what the loss returns; BasicSR's perceptual loss returns (content, style)."""
        functional.check_pair(prediction, target)
        value = self.loss(prediction, target.detach())
        parts = value if isinstance(value, tuple) else (value,)
        nothing = prediction[:0].sum()  # 0, where all weights of the loss are
        return sum((part for part in parts if part is not None), start=nothing)


def _perceptual(
    build: Callable[..., nn.Module],
    layer_weights: dict[str, float],
    vgg_type: str = "vgg19",
    criterion: str = "l1",
    **arguments: Any,
) -> nn.Module:
    """BasicSR's PerceptualLoss, whose own `criterion: l2` asks for a class that torch has not."""
    from restoration.common import basicsr

    layers = basicsr.import_basicsr("archs.vgg_arch").NAMES
    check_name("criterion", criterion, CRITERIA)
    check_name("vgg_type", vgg_type, [*layers, *(f"{name}_bn" for name in layers)])
    if not isinstance(layer_weights, dict) or not layer_weights:
        raise ValueError(f"expected layer_weights such as {{conv5_4: 1.0}}, got {layer_weights!r}")
    if not vgg_type.endswith("_bn"):
        for layer in layer_weights:
            check_name("layer", layer, layers[vgg_type])
    theirs = "l1" if criterion == "l2" else criterion
    loss: Any = build(layer_weights, vgg_type=vgg_type, criterion=theirs, **arguments)
    if criterion == "l2":
        loss.criterion, loss.criterion_type = nn.MSELoss(), "l2"
    return loss


def build_criterion(terms: Sequence[dict[str, Any]]) -> losses.Criterion:
    """Build the criterion of an option file.

    Args:
        terms: see `losses.build`; a name that is not ours is looked up in BasicSR's registry.

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
    return BasicsrLoss(type, **arguments)
