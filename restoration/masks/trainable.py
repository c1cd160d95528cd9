"""Enhanced metrics with masks that can be trained: an error map per tap, masked or plain.

The formulas are those of the frozen losses (arXiv:2305.19858); the masks beside them are not
frozen, and a training can ask where an error is seen and not only how much of it there is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import losses
from losses.dists import StructureTextureLoss
from losses.frozen import follow
from losses.lpips import UnitFeatureLoss, load_linear_weights
from losses.pixel import SAME_SIZE


@dataclass(frozen=True)
class _FeatureKind:
    """The plain distance on a backbone, and what its learned weights ask of the backbone."""

    distance: Callable[[losses.Backbone], losses.Loss]
    architecture: tuple[str | None, bool | None] = (None, None)  # pooling, normalize
    backbone: str | None = None  # the only one that the learned weights fit


PIXEL_METRICS: dict[str, Callable[[], losses.Loss]] = {
    "e-mae": losses.MAE,
    "e-mse": losses.MSE,
    "e-psnr": losses.PSNR,
    "e-ssim": partial(losses.SSIM, padding=SAME_SIZE),
    "e-flip": losses.FLIP,
}
FEATURE_METRICS: dict[str, _FeatureKind] = {
    "e-vgg": _FeatureKind(losses.FeatureLoss),
    "e-lpips": _FeatureKind(
        lambda backbone: UnitFeatureLoss(backbone, load_linear_weights()), ("max", True), "vgg16"
    ),
    "e-dists": _FeatureKind(StructureTextureLoss, ("l2", True), "vgg16"),
}
KINDS = (*PIXEL_METRICS, *FEATURE_METRICS)


def build_metric(
    kind: str,
    backbone: str | None = None,
    weights: str | None = None,
    taps: Sequence[str] | None = None,
    order: str = "reference_first",
    networks: str | Sequence[str] = "three_conv",
    precision: str = "float32",
    masks: str | Path | None = None,
) -> "EnhancedMetric":
    """Build a metric by names.

    Args:
        kind: one of `KINDS`.
        backbone: of e-vgg, "embedded" if None; e-lpips and e-dists have VGG-16.
        weights: local file of the backbone; None for the published weights.
        taps: of e-vgg's backbone; None for all that the weights hold.
        order: how a pair is concatenated for the masks.
        networks: of the masks, see `losses.MaskBank`.
        precision: of the backbone, "float32" or "bf16".
        masks: file or name of masks to go on from, with their own networks; None for new ones.

    Raises:
        FileNotFoundError: weights or masks are not on this machine.
        ValueError: an unknown kind, arguments that it has no use for, or masks of other taps.
    """
    if kind not in FEATURE_METRICS:
        if backbone is not None or weights is not None or taps is not None:
            raise ValueError(f"{kind} compares pixels: it has no backbone, weights or taps")
        return EnhancedMetric(kind, order=order, networks=networks, masks=masks)
    only, (pooling, normalize) = FEATURE_METRICS[kind].backbone, FEATURE_METRICS[kind].architecture
    if only is not None and (backbone not in (None, only) or taps is not None):
        raise ValueError(f"{kind} has all taps of {only}: it takes no other backbone and no taps")
    name = backbone or only or "embedded"
    body = losses.build_backbone(name, taps, weights, pooling, normalize, precision)
    return EnhancedMetric(kind, body, order, networks, masks)


class EnhancedMetric(nn.Module):
    """Masks to be trained and the metric that they enhance.

    Args:
        kind: a key of PIXEL_METRICS (a mask on RGB images), or of FEATURE_METRICS (one per tap).
        backbone: frozen features, for a metric of features.
        order: how a pair is concatenated for the masks.
        networks: of the masks, see `losses.MaskBank`.
        masks: file or name of masks to go on from, with their own networks; None for new ones.

    Raises:
        FileNotFoundError: the masks are not on this machine.
        ValueError: an unknown kind, order or network, a kind that needs a backbone without it or
            the reverse, or masks of other taps.
    """

    spread: Tensor

    def __init__(
        self,
        kind: str,
        backbone: losses.Backbone | None = None,
        order: str = "reference_first",
        networks: str | Sequence[str] = "three_conv",
        masks: str | Path | None = None,
    ):
        super().__init__()
        if kind not in KINDS or (kind in FEATURE_METRICS) != (backbone is not None):
            raise ValueError(
                f"expected one of {', '.join(PIXEL_METRICS)}, or one of "
                f"{', '.join(FEATURE_METRICS)} with a backbone, got {kind!r}"
            )
        self.kind = kind
        channels: tuple[int, ...] = (3,)
        if backbone is None:
            plain = PIXEL_METRICS[kind]()
        else:
            plain = FEATURE_METRICS[kind].distance(backbone)
            channels = plain.compared_channels(backbone)
        self._plain = (plain,)  # in a tuple: neither trained nor saved
        begun = None if masks is None else losses.load_masks(masks, channels, order)
        self.masks = losses.MaskBank(channels, order, begun.networks if begun else networks)
        if begun is not None:
            self.masks.load_state_dict(begun.state_dict())
        self.trained = masks is not None
        # the masks are trained on features of size 1, whatever the backbone's are
        self.register_buffer("spread", torch.ones(len(self.channels)))

    @property
    def plain(self) -> losses.Loss:
        """The metric without masks."""
        return self._plain[0]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each compared map."""
        return self.masks.channels

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> what is compared, one (B, C_k, H_k, W_k) per tap."""
        plain = follow(self.plain, images)
        with torch.no_grad():
            return plain.prepare(images, [] if plain.backbone is None else plain.backbone(images))

    def features_of_repeated(self, images: Tensor) -> list[Tensor]:
        """`features` of a batch in which an image may follow itself: each is computed once."""
        changes = (images[1:] != images[:-1]).flatten(1).any(1)
        number = torch.cat([changes.new_zeros(1), changes]).cumsum(0)  # (B,)
        first = torch.cat([changes.new_ones(1), changes])
        return [feature[number] for feature in self.features(images[first])]

    def visual_masks(self, reference: list[Tensor], distorted: list[Tensor]) -> list[Tensor]:
        """Masks of a pair of features, (B, 1, H_k, W_k) in [0, 1] per tap.

        Under autocast they compute in half precision, which halves the time of a training where
        the device has it.
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
        of_reference, of_distorted = self.features_of(reference, distorted)
        return self.maps_of(of_reference, of_distorted, masked)

    def features_of(
        self, reference: Tensor, distorted: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What is compared of both images, in full precision."""
        with torch.autocast(reference.device.type, enabled=False):
            return self.features_of_repeated(reference), self.features(distorted)

    def maps_of(
        self, of_reference: list[Tensor], of_distorted: list[Tensor], masked: bool
    ) -> list[Tensor]:
        """`error_maps` of features that are known."""
        masks: list[Tensor] | list[None] = [None] * len(of_reference)
        if masked:
            masks = self.visual_masks(of_reference, of_distorted)
        like = of_reference[0]
        with torch.autocast(like.device.type, enabled=False):  # SSIM and FLIP filter
            return follow(self.plain, like).errors(of_reference, of_distorted, masks)

    def added(self, maps: Sequence[Tensor]) -> Tensor:
        """What every tap adds to the value of each pair, from `maps_of`: (taps, B)."""
        parts = zip(self.plain.shares, maps, strict=True)
        return torch.stack([share * error.mean((1, 2, 3)) for share, error in parts])

    def weigh(self, per_tap: Sequence[Tensor]) -> Tensor:
        """Add what each tap found, weighed by its share of the channels where the metric does."""
        return self.plain.combine(per_tap)

    def forward(self, reference: Tensor, distorted: Tensor, masked: bool = True) -> Tensor:
        """(B, 3, H, W) x 2 in [0, 1] -> distances (B,), not negative; plain with `masked` off."""
        maps = self.error_maps(reference, distorted, masked)
        return self.weigh([error.mean((1, 2, 3)) for error in maps])

    def both(self, reference: Tensor, distorted: Tensor) -> Tensor:
        """Plain and enhanced distances, (B, 3, H, W) x 2 -> (2, B), from the same features."""
        features = self.features_of(reference, distorted)
        maps = (self.maps_of(*features, masked) for masked in (False, True))
        return torch.stack([self.weigh([e.mean((1, 2, 3)) for e in each]) for each in maps])

    def set_spread(self, spread: Sequence[Tensor]) -> None:
        """Let the masks read features divided by these sizes, and answer as before."""
        for number, size in enumerate(spread):
            first = self.masks.get_parameter(f"mask_finder_{number + 1}.conv1.0.weight")
            first.data *= size / self.spread[number]
            self.spread[number] = size

    @torch.no_grad()
    def interpolate(self, start: Mapping[str, Tensor], share: float) -> None:
        """Replace the weights of the masks by a weighted mean with those of before a training.

        Averages of weights before and after a training often do better than both, see
        arXiv:2109.01903.

        Args:
            start: what `folded` gave before the training.
            share: of the weights as they are now, in [0, 1]; the rest is `start`.
        """
        now, spread = self.folded(), self.spread.clone()
        self.masks.load_state_dict({n: torch.lerp(start[n], now[n], share) for n in now})
        self.spread.fill_(1)
        self.set_spread(list(spread))

    def folded(self) -> dict[str, Tensor]:
        """State dict of the masks for features as the backbone gives them."""
        state = {name: value.clone() for name, value in self.masks.state_dict().items()}
        for number, spread in enumerate(self.spread, start=1):
            state[f"mask_finder_{number}.conv1.0.weight"] /= spread
        return state
