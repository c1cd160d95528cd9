"""What all learned distances share: a frozen backbone, optional visual masks, and a reduction.

A distance is a subclass that says how two lists of feature maps are compared. Its masks
(arXiv:2305.19858) turn the plain distance into the enhanced one. Gradients reach the prediction
only; several distances on one backbone can share its features.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from losses import functional
from losses.features.backbones import Backbone
from losses.masks import MaskBank, follow

Features = tuple[list[Tensor], list[Tensor]]


class FeatureDistance(nn.Module):
    """Distance between the features of two images, weighted by visual masks.

    Args:
        backbone: frozen feature extractor.
        masks: one mask per compared map, or None for the plain distance.
        mask_gradient: whether gradients also flow through the masks to the prediction. Off, a
            loss cannot lower itself by making its masks shrink.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: masks for other maps than those compared.
    """

    higher_is_better = False

    def __init__(
        self,
        backbone: Backbone,
        masks: MaskBank | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__()
        channels = self.compared_channels(backbone)
        if masks is not None and masks.channels != channels:
            raise ValueError(
                f"expected masks for taps with {channels} channels, got {masks.channels}"
            )
        self.backbone = backbone
        self.masks = masks
        self.mask_gradient = mask_gradient
        self.reduction = functional.check_reduction(reduction)

    @staticmethod
    def compared_channels(backbone: Backbone) -> tuple[int, ...]:
        """Channels of each compared map; the taps, unless a subclass adds to them."""
        return backbone.channels

    def prepare(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Turn an image and its features into the maps to compare; the features themselves."""
        return list(features)

    def compare(
        self, x: Sequence[Tensor], y: Sequence[Tensor], masks: Sequence[Tensor | None]
    ) -> Tensor:
        """Compare prepared maps, (B, C_k, H_k, W_k) each -> (B,); what a subclass defines."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> "FeatureDistance":
        """Stay in evaluation mode: backbone and masks are frozen."""
        return super().train(False)

    def features(self, prediction: Tensor, target: Tensor) -> Features:
        """Features of both images, at least in float32; the target's carry no gradient graph.

        Args:
            prediction: (B, 3, H, W), RGB in [0, 1].
            target: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (of prediction, of target), to be given to `forward` of every distance that has the
            same backbone.
        """
        functional.check_pair(prediction, target, channels=3)
        with torch.autocast(prediction.device.type, enabled=False):
            prediction = functional.at_least_float32(prediction)
            follow(self, prediction)
            with torch.no_grad():
                of_target = self.backbone(target.to(prediction.dtype))
            return self.backbone(prediction), of_target

    def prepared(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Maps to compare of both images, and the mask of each (None without masks)."""
        of_prediction, of_target = features or self.features(prediction, target)
        with torch.autocast(prediction.device.type, enabled=False):
            prediction = functional.at_least_float32(prediction)
            follow(self, prediction)
            x = self.prepare(prediction, of_prediction)
            y = self.prepare(target.detach().to(prediction.dtype), of_target)
            return x, y, self._masks_of(x, y)

    def _masks_of(self, x: list[Tensor], y: list[Tensor]) -> list[Tensor | None]:
        if self.masks is None:
            return [None] * len(x)
        with torch.set_grad_enabled(self.mask_gradient and torch.is_grad_enabled()):
            return self.masks(y, x)

    def forward(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Compare a batch with its target.

        Args:
            prediction: distorted or restored images, (B, 3, H, W), RGB in [0, 1].
            target: reference images, (B, 3, H, W), RGB in [0, 1].
            features: what `features` returned for this pair, where another distance on the same
                backbone has computed it; None to compute it here.

        Returns:
            A scalar, or (B,) with reduction "none"; lower is better, 0 for identical images.
        """
        x, y, masks = self.prepared(prediction, target, features)
        with torch.autocast(prediction.device.type, enabled=False):
            value = self.compare(x, y, masks)
        return functional.reduce(value, self.reduction)


def share_backbones(terms: Iterable[nn.Module]) -> None:
    """Let feature distances whose backbones are equal, weights included, use one module.

    Args:
        terms: loss terms; those that are no FeatureDistance are left alone.
    """
    known: list[Backbone] = []
    for term in terms:
        if isinstance(term, FeatureDistance):
            same = next((b for b in known if b.equals(term.backbone)), None)
            if same is None:
                known.append(term.backbone)
            else:
                term.backbone = same
