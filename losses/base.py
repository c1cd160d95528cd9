"""The base of all loss terms: what they share stands here, once.

A term is a formula for the error at every place of one or more pairs of maps (the images
themselves, or the features of a frozen backbone). Visual masks (arXiv:2305.19858) turn the plain
term into the enhanced one. The base checks the pair, computes in float32 or more, keeps backbone
and masks frozen, treats the target as a constant, applies the masks and reduces.
"""

import warnings
from collections.abc import Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from losses import functional
from losses.features.backbones import Backbone
from losses.frozen import follow, frozen
from losses.masks import VisualMasks

Features = tuple[list[Tensor], list[Tensor]]
Masking = Literal["error", "difference", "inputs"]
Masks = Sequence[Tensor | None]
AnyLoss = TypeVar("AnyLoss", bound="Loss")

FAR_TARGET, FAR_PREDICTION = 0.5, 2.0  # so far outside [0, 1] an image is of another range
SAMPLED_EVERY = 8  # rows and columns between the values that are looked at


class Loss(nn.Module):
    """A loss term: `term(prediction, target)`.

    A subclass defines `error`, the formula; where it compares other maps than images or features,
    `prepare` and `compared_channels`; and what turns the mean error into the value, `finish`.

    Args:
        backbone: frozen feature extractor, or None to compare the images.
        masks: network that answers one mask per compared map, or None for the plain term. What
            is not frozen is copied: the caller's goes on training.
        mask_gradient: whether gradients also flow through the masks to the prediction. Off, a
            loss cannot lower itself by making its masks shrink.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: masks for other maps than those compared, or an unknown reduction.
    """

    higher_is_better: bool = False
    unit: str = ""  # of the value, such as "dB"
    channels: int | None = None  # of the images; None for any
    min_side: int = 1  # of the images, in pixels
    # what a mask multiplies: the error, the difference inside a squared error, or both inputs
    masking: Masking = "error"

    def __init__(
        self,
        backbone: Backbone | None = None,
        masks: VisualMasks | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__()
        channels = (3,) if backbone is None else self.compared_channels(backbone)
        if masks is not None and masks.channels != channels:
            raise ValueError(
                f"expected masks for taps with {channels} channels, got {masks.channels}"
            )
        if backbone is not None or masks is not None:
            self.channels = 3
        self.backbone = None if backbone is None else frozen(backbone)
        self.masks = None if masks is None else frozen(masks)
        self.mask_gradient = mask_gradient
        self.reduction = functional.check_reduction(reduction)
        self._range_is_known = False

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """Error at every place of map k (from 0), whose mean is the map's part of the value.

        Args:
            k: number of the map.
            x: map of the prediction, (B, C_k, H_k, W_k).
            y: map of the target, the same shape.

        Returns:
            (B, C_k or 1, h, w), not negative.
        """
        raise NotImplementedError

    def mean_error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """Mean of `error` per image, (B,); for a subclass that has it faster."""
        return self.error(k, x, y).mean((1, 2, 3))

    @staticmethod
    def compared_channels(backbone: Backbone) -> tuple[int, ...]:
        """Channels of each compared map; the taps, unless a subclass adds to them."""
        return backbone.channels

    def prepare(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Turn an image and its features into the maps to compare: the features, or the image."""
        return [image] if self.backbone is None else list(features)

    @property
    def shares(self) -> tuple[float, ...]:
        """Weight of each map in the value; 1 unless a subclass says otherwise."""
        count = 1 if self.backbone is None else len(self.compared_channels(self.backbone))
        return (1.0,) * count

    def combine(self, per_map: Sequence[Tensor]) -> Tensor:
        """Sum of what each map has, weighted by its share."""
        first, *others = (s * part for s, part in zip(self.shares, per_map, strict=True))
        return sum(others, start=first)

    def finish(self, error: Tensor) -> Tensor:
        """Turn the mean errors of the images, (B,), into their values; they are the values."""
        return error

    def train(self: AnyLoss, mode: bool = True) -> AnyLoss:
        """Stay in evaluation mode: backbone and masks are frozen."""
        return super().train(False)

    def features(
        self, prediction: Tensor, target: Tensor, of_target: list[Tensor] | None = None
    ) -> Features:
        """Features of both images, at least in float32; the target's carry no gradient graph.

        Args:
            prediction: (B, 3, H, W), RGB in [0, 1].
            target: (B, 3, H, W), RGB in [0, 1].
            of_target: features of the target, where they are known.

        Returns:
            (of prediction, of target), to be given to `forward` of every term that has the same
            backbone; empty lists for a term without.
        """
        prediction, target = self._checked(prediction, target)
        backbone = None if self.backbone is None else follow(self.backbone, prediction)
        with torch.autocast(prediction.device.type, enabled=False):
            return _extract(backbone, prediction, target, of_target)

    def prepared(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Maps to compare of both images, and the mask of each (None without masks)."""
        prediction, target = self._checked(prediction, target)
        return self._following(prediction)._prepared(prediction, target, features)

    def compare(self, x: Sequence[Tensor], y: Sequence[Tensor], masks: Masks) -> Tensor:
        """Compare prepared maps, (B, C_k, H_k, W_k) each -> (B,) values."""
        means = []
        for k, (a, b, mask) in enumerate(zip(x, y, masks, strict=True)):
            a, b, mask = self._masked_inputs(a, b, mask)
            if mask is None:
                means.append(self.mean_error(k, a, b))
            else:
                means.append(self._masked_error(k, a, b, mask).mean((1, 2, 3)))
        return self.finish(self.combine(means))

    def errors(self, x: Sequence[Tensor], y: Sequence[Tensor], masks: Masks) -> list[Tensor]:
        """Error at every place of prepared maps, masks applied -> (B, 1, h_k, w_k) each."""
        maps = enumerate(zip(x, y, masks, strict=True))
        return [self._masked_error(k, *self._masked_inputs(*each)) for k, each in maps]

    def error_map(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Where the term sees an error.

        The value of the term is `finish(combine([error.mean((1, 2, 3)) for error, _ in maps]))`.

        Args:
            prediction: (B, C, H, W) in [0, 1].
            target: (B, C, H, W) in [0, 1].
            features: what `features` returned for this pair; None to compute it here.

        Returns:
            One (error, mask) per compared map: the image, or the taps of the backbone. The error
            is (B, 1, h_k, w_k), not negative, with the mask applied; the mask is (B, 1, H_k, W_k),
            None for a plain term. Error maps are smaller than the mask where a filter has no
            padding.
        """
        prediction, target = self._checked(prediction, target)
        term = self._following(prediction)
        with torch.autocast(prediction.device.type, enabled=False):
            x, y, masks = term._prepared(prediction, target, features)
            return list(zip(term.errors(x, y, masks), masks, strict=True))

    def forward(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Compare a batch with its target.

        Args:
            prediction: distorted or restored images, (B, C, H, W) in [0, 1]; RGB where the term
                has a backbone or masks.
            target: reference images, (B, C, H, W) in [0, 1].
            features: what `features` returned for this pair, where another term on the same
                backbone has computed it; None to compute it here.

        Returns:
            A scalar, or (B,) with reduction "none".

        Raises:
            ValueError: no such pair, or images too small.
        """
        prediction, target = self._checked(prediction, target)
        term = self._following(prediction)
        with torch.autocast(prediction.device.type, enabled=False):
            value = term.compare(*term._prepared(prediction, target, features))
        return functional.reduce(value, self.reduction)

    def _checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The pair in one type, at least float32; the target is a constant."""
        functional.check_pair(prediction, target, self.channels)
        functional.check_side(prediction, self.min_side, type(self).__name__)
        self._check_range(prediction, target)
        prediction = functional.at_least_float32(prediction)
        return prediction, target.detach().to(prediction.dtype)

    def _following(self: AnyLoss, like: Tensor) -> AnyLoss:
        return follow(self, like, shared=self.backbone)

    def _prepared(
        self, prediction: Tensor, target: Tensor, features: Features | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        with torch.autocast(prediction.device.type, enabled=False):
            if features is None:
                features = _extract(self.backbone, prediction, target)
            of_prediction, of_target = features
            x, y = self.prepare(prediction, of_prediction), self.prepare(target, of_target)
            if self.masks is None:
                return x, y, [None] * len(x)
            with torch.set_grad_enabled(self.mask_gradient and torch.is_grad_enabled()):
                return x, y, self.masks(y, x)

    def _masked_inputs(
        self, x: Tensor, y: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The maps, masked where that is the way, and the mask that is left for their error."""
        if mask is None or self.masking != "inputs":
            return x, y, mask
        return mask * x, mask * y, None

    def _masked_error(self, k: int, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        error = functional.mean_over_channels(self.error(k, x, y))
        if mask is None:
            return error
        return (mask.square() if self.masking == "difference" else mask) * error

    def _check_range(self, prediction: Tensor, target: Tensor) -> None:
        """Warn once of values far outside [0, 1]; on a GPU the first pair alone is looked at."""
        if self._range_is_known or _values_are_out_of_reach(prediction, target):
            return
        self._range_is_known = not prediction.is_cpu
        pairs = (("prediction", prediction, FAR_PREDICTION), ("target", target, FAR_TARGET))
        for name, image, far in pairs:
            sample = image.detach()[..., ::SAMPLED_EVERY, ::SAMPLED_EVERY]
            low, high = (extreme.item() for extreme in torch.aminmax(sample))
            if low < -far or high > 1 + far:
                self._range_is_known = True
                warnings.warn(
                    f"{type(self).__name__} expects images in [0, 1], got a {name} with values "
                    f"from {low:.4g} to {high:.4g}: divide by the data range",
                    stacklevel=6,
                )
                return


def _extract(
    backbone: Backbone | None,
    prediction: Tensor,
    target: Tensor,
    of_target: list[Tensor] | None = None,
) -> Features:
    if backbone is None:
        return [], []
    if of_target is None:
        with torch.no_grad():
            of_target = backbone(target)
    return backbone(prediction), of_target


def _values_are_out_of_reach(*tensors: Tensor) -> bool:
    """Whether tensors are being traced or transformed, so that no value may be read."""
    if torch.compiler.is_compiling():
        return True
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return any(type(t) not in (Tensor, nn.Parameter) or wrapped(t) for t in tensors)
