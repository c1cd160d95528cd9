"""Where an error is, and where it can be seen: maps of a metric, its enhanced form and its mask.

As in "Enhancing image quality prediction with self-supervised visual masking" (arXiv:2305.19858):
where a mask file carries a scaler network s, a map shows s(error) - s(0), which is a rating; else
the error itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

import losses
from losses.pixel import SAME_SIZE

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
        named_apart = self.enhanced_name != f"e-{self.plain_name}"
        name = self.enhanced_name if named_apart else self.plain_name
        return f"{name}_{self.tap}" if self.tap else name


@dataclass(frozen=True)
class _Kind:
    """The plain term whose errors are shown, their unit, and how they are shown."""

    term: Callable[[], losses.Loss]
    unit: str
    shown: Callable[[Tensor], Tensor] | None = None
    scaled: bool = False  # whether the authors' scaler networks read this very error


PIXEL_KINDS: dict[str, _Kind] = {
    "mae": _Kind(losses.MAE, "absolute error", scaled=True),
    "mse": _Kind(losses.MSE, "squared error"),
    "psnr": _Kind(losses.PSNR, "RMS error over RGB", shown=torch.sqrt),
    "ssim": _Kind(partial(losses.SSIM, padding=SAME_SIZE), "1 - SSIM", scaled=True),
    "flip": _Kind(losses.FLIP, "FLIP error"),
}
OPINION = "quality rating: s(error) - s(0)"
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


def _array(map_: Tensor) -> np.ndarray:
    return map_[0, 0].float().cpu().numpy()


def _optional(map_: Tensor | None) -> np.ndarray | None:
    return None if map_ is None else _array(map_)


def pixel_maps(
    name: str,
    distorted: Tensor,
    reference: Tensor,
    term: losses.Loss | None = None,
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
    plain, enhanced = names_of(name)
    kind = PIXEL_KINDS[plain]
    for_plain, for_enhanced = scalers
    scaled = kind.scaled and for_plain is not None and for_enhanced is not None
    if not scaled:
        for_plain = for_enhanced = None
    mask = seen = None
    with torch.no_grad():
        ((error, _),) = kind.term().error_map(distorted, reference)
        if term is not None:
            ((seen, mask),) = term.error_map(distorted, reference)
        if kind.shown is not None:
            error, seen = kind.shown(error), None if seen is None else kind.shown(seen)
        error = _scaled(for_plain, error)
        seen = None if seen is None else _scaled(for_enhanced, seen)
    unit = OPINION if scaled else kind.unit
    return ErrorMaps(plain, enhanced, "", unit, _array(error), _optional(seen), _optional(mask))


def feature_maps(distorted: Tensor, reference: Tensor, term: losses.Loss) -> list[ErrorMaps]:
    """Maps of a feature distance, one per tap, with masks where the term has them."""
    assert term.backbone is not None
    with torch.no_grad():
        x, y, masks = term.prepared(distorted, reference)
        plain, enhanced = term.errors(x, y, [None] * len(x)), term.errors(x, y, masks)
    maps = []
    for tap, error, seen, mask in zip(term.backbone.taps, plain, enhanced, masks, strict=True):
        shown = None if mask is None else _array(seen)
        names = ("vgg", "e-vgg", tap, "feature difference")
        maps.append(ErrorMaps(*names, _array(error), shown, _optional(mask)))
    return maps


def error_maps(
    terms: Mapping[str, losses.Loss | None],
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
        scalers: scaler networks by metric's name. A metric with an enhanced form needs both:
            the network of one does not read the errors of the other.

    Returns:
        One ErrorMaps per metric, and one per tap of a feature distance.
    """
    scalers = scalers or {}
    shown: set[str] = set()
    maps: list[ErrorMaps] = []
    for name in filter(has_maps, terms):
        plain, enhanced = names_of(name)
        key = enhanced if enhanced in terms else plain
        if key in shown:
            continue
        shown.add(key)
        term = terms[key]
        if plain == "vgg":
            assert term is not None
            maps += feature_maps(distorted, reference, term)
            continue
        pair = (scalers.get(plain), scalers.get(key))
        maps.append(pixel_maps(key, distorted, reference, term if key == enhanced else None, pair))
    return maps
