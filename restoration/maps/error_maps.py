"""Where an error is, and where it can be seen: maps of a metric, its enhanced form and its mask.

As in "Enhancing image quality prediction with self-supervised visual masking" (arXiv:2305.19858):
where a mask file carries a scaler network s, a map shows s(error) - s(0), which is an opinion
score; else the error itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import losses
from losses import functional
from losses.flip import flip_map

Scaler = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ErrorMaps:
    """Maps of one metric, or of one tap of it; each (h, w) float32, or None where not asked for.

    Args:
        plain_name: the plain metric, such as "vgg".
        enhanced_name: the enhanced one, such as "e-vgg".
        tap: of a feature distance; "" for the others.
        unit: what the two error maps show.
        plain: error of the plain metric.
        enhanced: error of the enhanced metric, in the same unit.
        mask: the visual mask.
    """

    plain_name: str
    enhanced_name: str
    tap: str
    unit: str
    plain: np.ndarray
    enhanced: np.ndarray | None
    mask: np.ndarray | None

    @property
    def stem(self) -> str:
        """For file names: "mae", "vgg_relu1_2", or "milo" where the enhanced has its own name."""
        own = self.enhanced_name != f"e-{self.plain_name}"
        return "_".join(filter(None, (self.enhanced_name if own else self.plain_name, self.tap)))


def _mean_over_channels(map_: Tensor) -> Tensor:
    return map_.mean(1, keepdim=True)


def _absolute(x: Tensor, y: Tensor) -> Tensor:
    return _mean_over_channels((x - y).abs())


def _square(x: Tensor, y: Tensor) -> Tensor:
    return _mean_over_channels((x - y).square())


def _root_mean_square(x: Tensor, y: Tensor) -> Tensor:
    return _square(x, y).sqrt()


def _dissimilarity(x: Tensor, y: Tensor) -> Tensor:
    return _mean_over_channels(1 - functional.ssim_map_same(x, y))


@dataclass(frozen=True)
class _Kind:
    """Error at a pixel, its unit, and whether the mask multiplies images instead of errors."""

    error: Callable[[Tensor, Tensor], Tensor]
    unit: str
    masks_images: bool = False
    scaled: bool = False  # whether the authors' scaler networks read this very error


PIXEL_KINDS: dict[str, _Kind] = {
    "mae": _Kind(_absolute, "absolute error", scaled=True),
    "mse": _Kind(_square, "squared error"),
    "psnr": _Kind(_root_mean_square, "RMS error over RGB", masks_images=True),
    "ssim": _Kind(_dissimilarity, "1 - SSIM", masks_images=True, scaled=True),
    "flip": _Kind(flip_map, "FLIP error"),
}
OPINION = "opinion: s(error) - s(0)"
PLAIN_OF = {"milo": "mae"}  # an enhanced metric whose name does not say what it enhances


def names_of(name: str) -> tuple[str, str]:
    """The plain and the enhanced metric that a name belongs to: ("mae", "e-mae") for both."""
    if name in PLAIN_OF:
        return PLAIN_OF[name], name
    plain = name.removeprefix("e-")
    return plain, f"e-{plain}"


def has_maps(name: str) -> bool:
    """Whether a metric, plain or enhanced, has maps to show."""
    return names_of(name)[0] in (*PIXEL_KINDS, "vgg")


def _scaled(scaler: Scaler | None, error: Tensor) -> Tensor:
    # s(0) in the same shape: the sums of another shape round otherwise, and no error is exactly 0
    return error if scaler is None else scaler(error) - scaler(torch.zeros_like(error))


def _array(map_: Tensor | None) -> np.ndarray | None:
    return None if map_ is None else map_[0, 0].float().cpu().numpy()


def pixel_maps(
    name: str,
    distorted: Tensor,
    reference: Tensor,
    term: nn.Module | None = None,
    scalers: tuple[Scaler | None, Scaler | None] = (None, None),
) -> ErrorMaps:
    """Maps of a pixel metric and, given its enhanced term, of that and of the mask.

    Args:
        name: the metric, plain or enhanced.
        distorted: (1, 3, H, W) in [0, 1].
        reference: (1, 3, H, W) in [0, 1].
        term: the enhanced loss term, or None for the plain map alone.
        scalers: scaler networks of the plain and of the enhanced map; both or none are used.

    Raises:
        ValueError: the images do not fit each other.
    """
    functional.check_pair(distorted, reference, channels=3)
    plain, enhanced = names_of(name)
    kind = PIXEL_KINDS[plain]
    for_plain, for_enhanced = scalers
    scaled = kind.scaled and for_plain is not None and for_enhanced is not None
    if not scaled:
        for_plain = for_enhanced = None
    with torch.no_grad():
        error = kind.error(distorted, reference)
        mask = seen = None
        if term is not None:
            mask = term.mask(distorted, reference)
            masked = (mask * distorted, mask * reference)
            seen = kind.error(*masked) if kind.masks_images else mask * error
            seen = _scaled(for_enhanced, seen)
        error = _scaled(for_plain, error)
    unit = OPINION if scaled else kind.unit
    return ErrorMaps(plain, enhanced, "", unit, *map(_array, (error, seen, mask)))


def feature_maps(distorted: Tensor, reference: Tensor, term: losses.FeatureLoss) -> list[ErrorMaps]:
    """Maps of a feature distance, one per tap, with masks where the term has them."""
    with torch.no_grad():
        found = term.maps(distorted, reference)
    maps = []
    for tap, (error, mask) in zip(term.backbone.taps, found, strict=True):
        seen = None if mask is None else error * mask
        arrays = map(_array, (error, seen, mask))
        maps.append(ErrorMaps("vgg", "e-vgg", tap, "feature difference", *arrays))
    return maps


def error_maps(
    terms: Mapping[str, nn.Module | None],
    distorted: Tensor,
    reference: Tensor,
    scalers: Mapping[str, Scaler] | None = None,
) -> list[ErrorMaps]:
    """Maps of several metrics of one pair; a metric and its enhanced form share theirs.

    Args:
        terms: the loss term by the metric's name ("mae", "e-mae", "vgg", ...), in the order to
            show; None for a plain pixel metric. Names without maps are passed over.
        distorted: (1, 3, H, W) in [0, 1].
        reference: (1, 3, H, W) in [0, 1].
        scalers: scaler networks by metric's name; one that is missing for a plain metric is
            taken from its enhanced form.

    Returns:
        One ErrorMaps per metric, and one per tap of a feature distance.
    """
    scalers, shown, maps = scalers or {}, set(), []
    for name in filter(has_maps, terms):
        plain, enhanced = names_of(name)
        key = enhanced if enhanced in terms else plain
        if key in shown:
            continue
        shown.add(key)
        if plain == "vgg":
            maps += feature_maps(distorted, reference, terms[key])
            continue
        own = scalers.get(key)
        term = terms[key] if key == enhanced else None
        pair = (scalers.get(plain, own), own)
        maps.append(pixel_maps(key, distorted, reference, term, pair))
    return maps
