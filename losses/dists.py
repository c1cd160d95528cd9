"""DISTS (Ding et al. 2020, arXiv:2004.07728) and E-DISTS (arXiv:2305.19858).

Texture (means) and structure (correlations) of the image itself and of five VGG-16 taps with L2
pooling, weighted per channel by learned alpha and beta. E-DISTS multiplies the image and every tap
by a visual mask first. Images are compared at the size they have: scoring by the paper's protocol
means to bring the shorter side to 256 pixels before. Both similarities are written as what they
lack of 1, a mean of squares over the places, which is exactly 0 for equal maps.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from losses.base import Loss, Masking
from losses.features.backbones import Backbone, build_backbone
from losses.masks import MaskBank, load_masks
from losses.weights import load_state_dict, resolve

STABILISER = 1e-6  # c1 and c2 of the paper
E_DISTS_MASKS = "masks_e_dists"


class Statistics(NamedTuple):
    """What DISTS knows of two maps, channel by channel.

    Args:
        texture: 1 - similarity of the means, (B, C).
        around_x: what is around the mean of the first map, (B, C, H, W).
        around_y: what is around that of the second.
        variances: of both together, (B, C).
    """

    texture: Tensor
    around_x: Tensor
    around_y: Tensor
    variances: Tensor


def statistics(x: Tensor, y: Tensor) -> Statistics:
    """Texture and what structure is computed from, (B, C, H, W) x 2.

    1 - texture = (mean_x - mean_y)^2 / (mean_x^2 + mean_y^2 + c), and
    1 - structure = mean of (around_x - around_y)^2 / (variance_x + variance_y + c).

    Source: arXiv:2004.07728, equations 4 and 5.
    """
    mean_x, mean_y = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
    around_x, around_y = x - mean_x, y - mean_y
    squares = mean_x.square() + mean_y.square() + STABILISER
    texture = (mean_x - mean_y).square() / squares
    variances = around_x.square().mean((2, 3)) + around_y.square().mean((2, 3))
    return Statistics(texture[:, :, 0, 0], around_x, around_y, variances)


def shipped_channel_weights() -> Path:
    """File of the learned alpha and beta inside the torchmetrics package, which is not imported."""
    return resolve("dists")


def load_channel_weights(path: str | Path, count: int) -> tuple[Tensor, Tensor]:
    """Read alpha and beta, (count,) each, divided by the sum of both.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of alpha and beta for `count` channels.
    """
    state = load_state_dict(path)
    sizes = {name: state[name].numel() for name in ("alpha", "beta") if name in state}
    if sizes != {"alpha": count, "beta": count}:
        raise ValueError(
            f"{path}: expected alpha and beta of {count} channels, got {sizes or list(state)[:3]}"
        )
    alpha, beta = state["alpha"].flatten(), state["beta"].flatten()
    total = alpha.sum() + beta.sum()
    return alpha / total, beta / total


class StructureTextureLoss(Loss):
    """DISTS, and E-DISTS when there are masks; at least 0, lower is better, 0 if identical.

    Args:
        backbone: VGG-16 with L2 pooling.
        channel_weights: file of alpha and beta; None for torchmetrics' copy.
        masks: one mask for the image and for every tap, or None.
        mask_gradient: whether gradients also flow through the masks to the prediction.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: channel weights or masks for other taps.
    """

    masking: Masking = "inputs"
    alpha: Tensor
    beta: Tensor

    def __init__(
        self,
        backbone: Backbone,
        channel_weights: str | Path | None = None,
        masks: MaskBank | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__(backbone, masks, mask_gradient, reduction)
        self.counts = self.compared_channels(backbone)
        path = shipped_channel_weights() if channel_weights is None else channel_weights
        alpha, beta = load_channel_weights(path, sum(self.counts))
        self.register_buffer("alpha", alpha, persistent=False)
        self.register_buffer("beta", beta, persistent=False)

    @staticmethod
    def compared_channels(backbone: Backbone) -> tuple[int, ...]:
        """Channels of the image, then of the taps."""
        return (3, *backbone.channels)

    def prepare(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Put the image before its features."""
        return [image, *features]

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """Weighted dissimilarity at every place, (B, C_k, H_k, W_k) -> (B, 1, H_k, W_k)."""
        alpha, beta = self._weights_of(k)
        texture, around_x, around_y, variances = statistics(x, y)
        squares = (around_x - around_y).square()
        structure = torch.einsum("bchw,bc->bhw", squares, beta / (variances + STABILISER))
        return structure[:, None] + (texture @ alpha).view(-1, 1, 1, 1)

    def mean_error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """The mean of `error`, twice as fast: the squares are those of the variances, and 2 x y."""
        alpha, beta = self._weights_of(k)
        texture, around_x, around_y, variances = statistics(x, y)
        squares = variances - 2 * (around_x * around_y).mean((2, 3))
        return texture @ alpha + (squares / (variances + STABILISER)) @ beta

    def _weights_of(self, k: int) -> tuple[Tensor, Tensor]:
        return self.alpha.split(self.counts)[k], self.beta.split(self.counts)[k]


def _vgg16_l2(weights: str | Path | None) -> Backbone:
    return build_backbone("vgg16", weights=weights, pooling="l2", normalize=True)


class DISTS(StructureTextureLoss):
    """DISTS, in [0, 1], lower is better.

    Args:
        weights: local file of VGG-16 (torchvision's names); None for the published weights.
        channel_weights: file of alpha and beta; None for the copy that torchmetrics ships.
        reduction: "mean", "sum" or "none" over the batch.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        channel_weights: str | Path | None = None,
        reduction: str = "mean",
    ):
        super().__init__(_vgg16_l2(weights), channel_weights, reduction=reduction)


class EDISTS(StructureTextureLoss):
    """E-DISTS: DISTS of the masked image and the masked taps.

    Args:
        weights: local file of VGG-16; None for the published weights.
        masks: mask file or a name of the weights manifest, such as the authors' "E_DISTS" (your
            own copy, or fetched); None for the masks that ship.
        channel_weights: file of alpha and beta; None for the copy that torchmetrics ships.
        order: how the pair is concatenated for the masks.
        mask_gradient: whether gradients also flow through the masks.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        FileNotFoundError: weights or masks are not on this machine.
        ValueError: masks for something else.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        masks: str | Path | None = None,
        channel_weights: str | Path | None = None,
        order: str = "reference_first",
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        file = resolve(E_DISTS_MASKS if masks is None else masks)  # before a long download
        backbone = _vgg16_l2(weights)
        bank = load_masks(file, self.compared_channels(backbone), order)
        super().__init__(backbone, channel_weights, bank, mask_gradient, reduction)
