"""LPIPS (Zhang et al. 2018, arXiv:1801.03924), and with visual masks E-LPIPS (arXiv:2305.19858).

One distance of unit-length features, on AlexNet or VGG-16, for images in [0, 1]. The learned
channel weights (version 0.1) come from the files of the `lpips` package, whose values it gives;
the backbone's are torchvision's; AlexNet's ship. Random weights are never used in their place.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.base import Loss, Masking
from losses.features.backbones import Backbone, build_backbone
from losses.masks import MaskBank, load_masks
from losses.weights import load_state_dict, resolve

BACKBONES = {"alex": "alexnet", "vgg": "vgg16"}  # by the names of the lpips package
E_LPIPS_MASKS = "masks_e_lpips"
FLOOR = 1e-20  # under the root of a length: the gradient stays finite where all features are 0


def unit_length(x: Tensor) -> Tensor:
    """Scale the channels of every pixel to length 1; all zeros stay zeros, (B, C, H, W)."""
    return x * (x.square().sum(1, keepdim=True) + FLOOR).rsqrt()


def load_linear_weights(path: str | Path | None = None, net: str = "vgg") -> list[Tensor]:
    """Read the learned channel weights of LPIPS, one (C_k,) per tap.

    Args:
        path: a file with the keys `lin0.model.1.weight`, ...; None for the lpips package's own.
        net: "alex" or "vgg": which of the package's.

    Raises:
        FileNotFoundError: the package or the file is missing.
        ValueError: not such a file.
    """
    path = f"lpips_{net}" if path is None else path
    state = load_state_dict(path)
    names = sorted(name for name in state if name.startswith("lin"))
    if not names:
        raise ValueError(f"{path}: expected LPIPS weights (lin0.model.1.weight, ...), got none")
    return [state[name].flatten() for name in names]


def lpips_backbone(net: str, weights: str | Path | None = None) -> Backbone:
    """Build the backbone of LPIPS, with its max-pools and ImageNet normalisation.

    Args:
        net: "alex" or "vgg".
        weights: torchvision's file; None for the published weights: AlexNet's ship.

    Raises:
        FileNotFoundError: the weights cannot be had; the message says which file goes where.
        ValueError: an unknown net, or a file that is not this backbone.
    """
    if net not in BACKBONES:
        raise ValueError(f"expected net in {tuple(BACKBONES)}, got {net!r}")
    name = BACKBONES[net]
    try:
        return build_backbone(name, weights=weights, pooling="max", normalize=True)
    except ValueError as error:
        file = name if weights is None else weights
        raise ValueError(f"{file}: expected torchvision weights of {net}: {error}") from error


class UnitFeatureLoss(Loss):
    """LPIPS: squared difference of unit-length features, with masks E-LPIPS.

    value = sum over taps k of mean_hw(sum over channels of w_k * (M_k * (difference))^2); at least
    0, lower is better, 0 for identical images. The masks read the unit-length features.

    Args:
        backbone: AlexNet or VGG-16 with its max-pools and ImageNet normalisation.
        linear: channel weights, (C_k,) per tap.
        masks: one mask per tap, or None.
        mask_gradient: whether gradients also flow through the masks to the prediction.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: channel weights or masks for other taps.
    """

    masking: Masking = "difference"
    linear: Tensor

    def __init__(
        self,
        backbone: Backbone,
        linear: Sequence[Tensor],
        masks: MaskBank | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__(backbone, masks, mask_gradient, reduction)
        self.counts = tuple(len(w) for w in linear)
        if self.counts != backbone.channels:
            raise ValueError(f"expected channel weights for {backbone.channels}, got {self.counts}")
        self.min_side = backbone.min_side
        self.register_buffer("linear", torch.cat(list(linear)), persistent=False)

    def prepare(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Scale the features of every pixel to length 1."""
        return [unit_length(feature) for feature in features]

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """Weighted sum of squared differences, (B, C_k, H_k, W_k) -> (B, 1, H_k, W_k)."""
        weights = self.linear.split(self.counts)[k]
        return F.conv2d((x - y).square(), weights.view(1, -1, 1, 1))  # four times as fast as einsum


class LPIPS(UnitFeatureLoss):
    """LPIPS distance, lower is better, 0 for identical images.

    Args:
        net: "alex" (the one that papers report) or "vgg".
        weights: torchvision's file of the backbone; None for the published weights, of which
            AlexNet's ship.
        reduction: "mean", "sum" or "none" over the batch.
        linear: file of the channel weights; None for the lpips package's own.

    Raises:
        ValueError: an unknown net, or a file that is not this backbone.
        FileNotFoundError: the backbone's weights cannot be had.
    """

    def __init__(
        self,
        net: str = "alex",
        weights: str | Path | None = None,
        reduction: str = "mean",
        linear: str | Path | None = None,
    ):
        backbone = lpips_backbone(net, weights)
        super().__init__(backbone, load_linear_weights(linear, net), reduction=reduction)


class ELPIPS(UnitFeatureLoss):
    """E-LPIPS: LPIPS-VGG, counted only where the masks say that an error is visible.

    Not the E-LPIPS of Kettunen et al. (2019, arXiv:1906.03973), an ensemble of random transforms.

    Args:
        weights: local file of VGG-16 (torchvision's names); None for the published weights.
        masks: mask file or a name of the weights manifest, such as the authors' "E_LPIPS" (your
            own copy, or fetched); None for the masks that ship.
        linear: file of the channel weights; None for the lpips package's own.
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
        linear: str | Path | None = None,
        order: str = "reference_first",
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        file = resolve(E_LPIPS_MASKS if masks is None else masks)  # before a long download
        backbone = build_backbone("vgg16", weights=weights, pooling="max", normalize=True)
        bank = load_masks(file, backbone.channels, order)
        super().__init__(backbone, load_linear_weights(linear), bank, mask_gradient, reduction)
