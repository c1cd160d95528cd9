"""Enhanced metrics with masks that can be trained: an error map per tap, masked or plain.

The same formulas as the frozen losses (arXiv:2305.19858), but as maps, so that a training can ask
where an error is seen and not only how much of it there is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import losses
from losses.base import FeatureDistance
from losses.dists import STABILISER, StructureTextureLoss
from losses.elpips import UnitFeatureLoss, load_linear_weights
from losses.flip import flip_map
from losses.functional import ssim_map_same
from losses.masks import follow

# (reference, distorted, mask) of one tap -> error map (B, 1, H, W)
ErrorMap = Callable[[Tensor, Tensor, Tensor], Tensor]


def masked_mae(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """M * |x - y|, (B, C, H, W) -> (B, 1, H, W)."""
    return mask * (x - y).abs().mean(1, keepdim=True)


def masked_mse(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """M * (x - y)^2, (B, C, H, W) -> (B, 1, H, W)."""
    return mask * (x - y).square().mean(1, keepdim=True)


def mse_of_masked(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """(M * x - M * y)^2, the error inside E-PSNR, (B, C, H, W) -> (B, 1, H, W)."""
    return mask.square() * (x - y).square().mean(1, keepdim=True)


def ssim_of_masked(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """1 - SSIM(M * x, M * y), (B, C, H, W) -> (B, 1, H, W)."""
    return (1 - ssim_map_same(mask * x, mask * y)).mean(1, keepdim=True)


def masked_flip(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """M * FLIP, the error of E-FLIP, (B, 3, H, W) -> (B, 1, H, W)."""
    return mask * flip_map(x, y)


def masked_unit_difference(x: Tensor, y: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Channel sum of w * (M * (x - y))^2 of unit features, (B, C, H, W), (C,) -> (B, 1, H, W)."""
    error = torch.einsum("bchw,c->bhw", (x - y).square(), weight.to(x))[:, None]
    return mask.square() * error


def structure_and_texture_of_masked(
    x: Tensor, y: Tensor, mask: Tensor, alpha: Tensor, beta: Tensor
) -> Tensor:
    """Dissimilarity of M * x and M * y in DISTS, place by place; its mean is that of E-DISTS.

    Both dissimilarities are means of squares over common denominators: of the difference of the
    means, the same at every place, and of the differences of what is around them.

    Args:
        x: (B, C, H, W).
        y: (B, C, H, W).
        mask: (B, 1, H, W).
        alpha: (C,) weights of texture.
        beta: (C,) weights of structure.

    Returns:
        (B, 1, H, W), not negative.
    """
    x, y = mask * x, mask * y
    mean_x, mean_y = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
    around_x, around_y = x - mean_x, y - mean_y
    variances = (around_x.square() + around_y.square()).mean((2, 3), keepdim=True)
    squares = mean_x.square() + mean_y.square()
    alpha, beta = (weight.to(x).view(1, -1, 1, 1) for weight in (alpha, beta))
    texture = alpha * (mean_x - mean_y).square() / (squares + STABILISER)
    structure = beta * (around_x - around_y).square() / (variances + STABILISER)
    return (texture + structure).sum(1, keepdim=True)


@dataclass(frozen=True)
class _FeatureKind:
    """The frozen distance, the errors of its taps, and whether channels share their weight."""

    distance: Callable[[losses.Backbone], FeatureDistance]
    errors: Callable[[FeatureDistance], list[ErrorMap]]
    by_channels: bool = False
    architecture: tuple[str | None, bool | None] = (None, None)  # pooling, normalize
    backbone: str | None = None  # the only one that the learned weights fit


def _unit_errors(distance: UnitFeatureLoss) -> list[ErrorMap]:
    weights = distance.linear.split(distance.backbone.channels)
    return [partial(masked_unit_difference, weight=weight) for weight in weights]


def _structure_errors(distance: StructureTextureLoss) -> list[ErrorMap]:
    channels = distance.compared_channels(distance.backbone)
    parts = zip(distance.alpha.split(channels), distance.beta.split(channels), strict=True)
    return [partial(structure_and_texture_of_masked, alpha=a, beta=b) for a, b in parts]


PIXEL_METRICS: dict[str, ErrorMap] = {
    "e-mae": masked_mae,
    "e-mse": masked_mse,
    "e-psnr": mse_of_masked,
    "e-ssim": ssim_of_masked,
    "e-flip": masked_flip,
}
FEATURE_METRICS: dict[str, _FeatureKind] = {
    "e-vgg": _FeatureKind(
        losses.FeatureLoss, lambda d: [masked_mae] * len(d.backbone.channels), by_channels=True
    ),
    "e-lpips": _FeatureKind(
        lambda backbone: UnitFeatureLoss(backbone, load_linear_weights()),
        _unit_errors,
        architecture=("max", True),
        backbone="vgg16",
    ),
    "e-dists": _FeatureKind(
        StructureTextureLoss, _structure_errors, architecture=("l2", True), backbone="vgg16"
    ),
}
KINDS = (*PIXEL_METRICS, *FEATURE_METRICS)


def build_metric(
    kind: str,
    backbone: str | None = None,
    weights: str | None = None,
    taps: Sequence[str] | None = None,
    order: str = "reference_first",
) -> "EnhancedMetric":
    """Build a metric by names.

    Args:
        kind: one of `KINDS`.
        backbone: of e-vgg, "embedded" if None; e-lpips and e-dists have VGG-16.
        weights: local file of the backbone; None for the published weights.
        taps: of e-vgg's backbone; None for all that the weights hold.
        order: how a pair is concatenated for the masks.

    Raises:
        FileNotFoundError: weights are not on this machine.
        ValueError: an unknown kind, or arguments that it has no use for.
    """
    if kind not in FEATURE_METRICS:
        if backbone is not None or weights is not None or taps is not None:
            raise ValueError(f"{kind} compares pixels: it has no backbone, weights or taps")
        return EnhancedMetric(kind, order=order)
    only, (pooling, normalize) = FEATURE_METRICS[kind].backbone, FEATURE_METRICS[kind].architecture
    if only is not None and (backbone not in (None, only) or taps is not None):
        raise ValueError(f"{kind} has all taps of {only}: it takes no other backbone and no taps")
    name = backbone or only or "embedded"
    body = losses.build_backbone(name, taps, weights, pooling, normalize)
    return EnhancedMetric(kind, body, order)


class EnhancedMetric(nn.Module):
    """Masks to be trained and the metric that they enhance.

    Args:
        kind: a key of PIXEL_METRICS (a mask on RGB images), or of FEATURE_METRICS (one per tap).
        backbone: frozen features, for a metric of features.
        order: how a pair is concatenated for the masks.

    Raises:
        ValueError: an unknown kind or order, or a kind that needs a backbone without it, or the
            reverse.
    """

    def __init__(
        self,
        kind: str,
        backbone: losses.Backbone | None = None,
        order: str = "reference_first",
    ):
        super().__init__()
        if kind not in KINDS or (kind in FEATURE_METRICS) != (backbone is not None):
            raise ValueError(
                f"expected one of {', '.join(PIXEL_METRICS)}, or one of "
                f"{', '.join(FEATURE_METRICS)} with a backbone, got {kind!r}"
            )
        self.kind = kind
        if backbone is None:
            distance, channels, self._errors = None, (3,), [PIXEL_METRICS[kind]]
        else:
            distance = FEATURE_METRICS[kind].distance(backbone)
            channels = distance.compared_channels(backbone)
            self._errors = FEATURE_METRICS[kind].errors(distance)
        self._distance = (distance,)  # in a tuple: neither trained nor saved
        self.masks = losses.MaskBank(channels, order)
        by_channels = backbone is not None and FEATURE_METRICS[kind].by_channels
        self.shares = [c / sum(channels) if by_channels else 1.0 for c in channels]
        # the masks are trained on features of size 1, whatever the backbone's are
        self.register_buffer("spread", torch.ones(len(self.channels)))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each compared map."""
        return self.masks.channels

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> what is compared, one (B, C_k, H_k, W_k) per tap."""
        distance = self._distance[0]
        if distance is None:
            return [images]
        with torch.no_grad():
            distance = follow(distance, images)
            return distance.prepare(images, distance.backbone(images))

    def visual_masks(self, reference: list[Tensor], distorted: list[Tensor]) -> list[Tensor]:
        """Masks of a pair of features, (B, 1, H_k, W_k) in [0, 1] per tap.

        Under autocast they compute in half precision, which halves the time of a training.
        """
        pair = (
            [
                (feature / size).contiguous(memory_format=torch.channels_last)
                for feature, size in zip(features, self.spread, strict=True)
            ]
            for features in (reference, distorted)
        )
        return [mask.float() for mask in self.masks(*pair)]

    def error_maps(self, reference: Tensor, distorted: Tensor, masked: bool = True) -> list[Tensor]:
        """Error of every place, (B, 3, H, W) x 2 -> (B, 1, H_k, W_k) per tap.

        With `masked` off, the maps of the plain metric.
        """
        with torch.autocast(reference.device.type, enabled=False):
            of_reference, of_distorted = self.features(reference), self.features(distorted)
        masks = [torch.ones_like(f[:, :1]) for f in of_reference]
        if masked:
            masks = self.visual_masks(of_reference, of_distorted)
        taps = zip(self._errors, of_reference, of_distorted, masks, strict=True)
        with torch.autocast(reference.device.type, enabled=False):  # SSIM and FLIP filter
            return [error(x, y, mask) for error, x, y, mask in taps]

    def weigh(self, per_tap: Sequence[Tensor]) -> Tensor:
        """Add what each tap found, weighed by its share of the channels where the metric does."""
        return sum(share * part for share, part in zip(self.shares, per_tap, strict=True))

    def forward(self, reference: Tensor, distorted: Tensor, masked: bool = True) -> Tensor:
        """(B, 3, H, W) x 2 in [0, 1] -> distances (B,), not negative; plain with `masked` off."""
        maps = self.error_maps(reference, distorted, masked)
        return self.weigh([error.mean((1, 2, 3)) for error in maps])

    def load(self, path: str | Path) -> "EnhancedMetric":
        """Take trained masks from a file, see `losses.load_masks`; returns the metric."""
        bank = losses.load_masks(path, self.channels, self.masks.order)
        self.masks.load_state_dict(bank.state_dict())
        self.spread.fill_(1)
        return self

    def folded(self) -> dict[str, Tensor]:
        """State dict of the masks for features as the backbone gives them."""
        state = {name: value.clone() for name, value in self.masks.state_dict().items()}
        for number, spread in enumerate(self.spread, start=1):
            state[f"mask_finder_{number}.conv1.0.weight"] /= spread
        return state
