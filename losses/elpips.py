"""E-LPIPS (arXiv:2305.19858): LPIPS on VGG-16 (Zhang et al. 2018, arXiv:1801.03924) with masks.

Without masks `UnitFeatureLoss` is LPIPS of the `lpips` package with net "vgg"; a test holds them
together. The learned channel weights come from that package's own files.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from losses import functional
from losses.base import FeatureDistance
from losses.features.backbones import Backbone, build_backbone
from losses.masks import MaskBank, load_masks
from losses.weights import load_state_dict, resolve

E_LPIPS_MASKS = "E_LPIPS"
FLOOR = 1e-20  # under the root of a length: the gradient stays finite where all features are 0


def unit_length(x: Tensor) -> Tensor:
    """Scale the channels of every pixel to length 1; all zeros stay zeros, (B, C, H, W)."""
    return x * (x.square().sum(1, keepdim=True) + FLOOR).rsqrt()


def load_linear_weights(path: str | Path | None = None) -> list[Tensor]:
    """Read the learned channel weights of LPIPS-VGG, one (C_k,) per tap.

    Args:
        path: a file with the keys `lin0.model.1.weight`, ...; None for the lpips package's own.

    Raises:
        FileNotFoundError: the package or the file is missing.
        ValueError: not such a file.
    """
    if path is None:
        found = find_spec("lpips")
        if found is None or found.origin is None:
            raise FileNotFoundError("E-LPIPS needs the channel weights of the lpips package")
        path = Path(found.origin).parent / "weights/v0.1/vgg.pth"
    state = load_state_dict(path)
    names = sorted(name for name in state if name.startswith("lin"))
    if not names:
        raise ValueError(f"{path}: expected LPIPS weights (lin0.model.1.weight, ...), got none")
    return [state[name].flatten() for name in names]


class UnitFeatureLoss(FeatureDistance):
    """LPIPS: squared difference of unit-length features, with masks E-LPIPS.

    value = sum over taps k of mean_hw(sum over channels of w_k * (M_k * (difference))^2); at least
    0, lower is better, 0 for identical images. The masks read the unit-length features.

    Args:
        backbone: VGG-16 with its max-pools and ImageNet normalisation.
        linear: channel weights, (C_k,) per tap.
        masks: one mask per tap, or None.
        mask_gradient: whether gradients also flow through the masks to the prediction.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: channel weights or masks for other taps.
    """

    def __init__(
        self,
        backbone: Backbone,
        linear: Sequence[Tensor],
        masks: MaskBank | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
    ):
        super().__init__(backbone, masks, mask_gradient, reduction)
        channels = tuple(len(w) for w in linear)
        if channels != backbone.channels:
            raise ValueError(f"expected channel weights for {backbone.channels}, got {channels}")
        self.register_buffer("linear", torch.cat(list(linear)), persistent=False)

    def prepare(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Scale the features of every pixel to length 1."""
        return [unit_length(feature) for feature in features]

    def compare(
        self, x: Sequence[Tensor], y: Sequence[Tensor], masks: Sequence[Tensor | None]
    ) -> Tensor:
        """Weighted mean square difference, (B, C_k, H_k, W_k) each -> (B,)."""
        total = 0.0
        linear = self.linear.split(self.backbone.channels)
        for a, b, mask, weight in zip(x, y, masks, linear, strict=True):
            error = torch.einsum("bchw,c->bhw", (a - b).square(), weight)[:, None]
            total = total + functional.masked_mean(error, None if mask is None else mask.square())
        return total


class ELPIPS(UnitFeatureLoss):
    """E-LPIPS: LPIPS-VGG, counted only where the masks say that an error is visible.

    Args:
        weights: local file of VGG-16 (torchvision's names); None for the published weights.
        masks: mask file; None for the authors' E_LPIPS (your own copy, or fetched).
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
