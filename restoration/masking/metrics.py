"""Enhanced metrics with masks that can be trained: an error map per tap, masked or plain.

The same formulas as the frozen losses (arXiv:2305.19858), but as maps, so that a training can ask
where an error is seen and not only how much of it there is.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import losses
from losses.functional import ssim_map_same

Masks = Sequence[Tensor] | None
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


PIXEL_METRICS: dict[str, ErrorMap] = {
    "e-mae": masked_mae,
    "e-mse": masked_mse,
    "e-psnr": mse_of_masked,
    "e-ssim": ssim_of_masked,
}
FEATURE_METRICS: dict[str, ErrorMap] = {"e-vgg": masked_mae}
KINDS = (*PIXEL_METRICS, *FEATURE_METRICS)


class EnhancedMetric(nn.Module):
    """Masks to be trained and the metric that they enhance.

    Args:
        kind: a key of PIXEL_METRICS (a mask on RGB images), or of FEATURE_METRICS (one per tap).
        backbone: frozen features, for a metric of features.

    Raises:
        ValueError: an unknown kind, or one that needs a backbone without it, or the reverse.
    """

    def __init__(self, kind: str, backbone: nn.Module | None = None):
        super().__init__()
        if kind not in KINDS or (kind in FEATURE_METRICS) != (backbone is not None):
            raise ValueError(
                f"expected one of {', '.join(PIXEL_METRICS)}, or one of "
                f"{', '.join(FEATURE_METRICS)} with a backbone, got {kind!r}"
            )
        self.kind = kind
        self.error = {**PIXEL_METRICS, **FEATURE_METRICS}[kind]
        self._backbone = (backbone,)  # in a tuple: neither trained nor saved
        self.masks = losses.MaskBank((3,) if backbone is None else backbone.channels)
        # the masks are trained on features of size 1, whatever the backbone's are
        self.register_buffer("spread", torch.ones(len(self.channels)))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each tap; their share is the weight of its error."""
        return self.masks.channels

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> what is compared, one (B, C_k, H_k, W_k) per tap."""
        if self._backbone[0] is None:
            return [images]
        with torch.no_grad():
            return self._backbone[0](images)

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
        return [self.error(*tap) for tap in zip(of_reference, of_distorted, masks, strict=True)]

    def weigh(self, per_tap: Sequence[Tensor]) -> Tensor:
        """Weigh what each tap found by its share of the channels, and add."""
        parts = zip(self.channels, per_tap, strict=True)
        return sum(count * part for count, part in parts) / sum(self.channels)

    def forward(self, reference: Tensor, distorted: Tensor, masked: bool = True) -> Tensor:
        """(B, 3, H, W) x 2 in [0, 1] -> distances (B,), not negative; plain with `masked` off."""
        maps = self.error_maps(reference, distorted, masked)
        return self.weigh([error.mean((1, 2, 3)) for error in maps])

    def folded(self) -> dict[str, Tensor]:
        """State dict of the masks for features as the backbone gives them."""
        state = {name: value.clone() for name, value in self.masks.state_dict().items()}
        for number, spread in enumerate(self.spread, start=1):
            state[f"mask_finder_{number}.conv1.0.weight"] /= spread
        return state
