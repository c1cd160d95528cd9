"""Metrics that need weights: LPIPS (arXiv:1801.03924) and E-MAE (arXiv:2305.19858).

Both take RGB in [0, 1], or one grey channel, which is repeated. Weights that cannot be had are an
error that says which file goes where; random weights never stand in.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

import losses
from losses.functional import check_pair

E_MAE_SCALE = 100  # the publication prints E-MAE times 100
MASK_REACH = 3  # pixels that the mask network's three 3x3 convolutions see around each
STRIP_ROWS = 64  # twice as fast on a CPU as whole photographs at once


class MetricUnavailable(ValueError):
    """A metric's weights are not on this machine; the message says how to get them."""


@contextmanager
def weights_needed(metric: str) -> Iterator[None]:
    """Turn a missing file into MetricUnavailable, and keep the global random stream as it is."""
    try:
        with torch.random.fork_rng(devices=[]):  # building a network draws its initial weights
            yield
    except FileNotFoundError as error:
        raise MetricUnavailable(f"{metric} is unavailable: {error}") from error


class Lpips:
    """LPIPS 0.1 of the `lpips` package on images in [0, 1], which it converts to [-1, 1].

    Args:
        net: "alex", which papers report, or "vgg".
        weights: torchvision's file of the backbone; None for torch hub's copy, downloaded once.

    Raises:
        MetricUnavailable: the backbone's weights are not here and cannot be downloaded.
        ValueError: an unknown net, or a file that is not this backbone.
    """

    def __init__(self, net: str = "alex", weights: str | Path | None = None):
        with weights_needed(f"LPIPS ({net})"):
            self.network = losses.LPIPS(net=net, weights=weights, reduction="none")
        self._known: tuple[weakref.ref[Tensor], int] | None = None  # the last target, its version
        self._features: list[Tensor] = []

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (B, 3 or 1, H, W) images in [0, 1] -> (B,), lower is better, 0 if identical.

        Raises:
            ValueError: shapes differ, other channels, or images too small for the backbone.
        """
        if prediction.ndim == 4 and min(prediction.shape[-2:]) < self.network.min_side:
            raise ValueError(
                f"expected at least {self.network.min_side} pixels on a side for LPIPS, "
                f"got {prediction.shape[-2]}x{prediction.shape[-1]}"
            )
        x, y = as_rgb(prediction), as_rgb(target)
        check_pair(x, y, channels=3)
        with torch.no_grad():
            return self.network(x, y, self._features_of(target))

    def _features_of(self, target: Tensor) -> list[Tensor]:
        """Features of the target: once for all noise levels and networks of one clean image."""
        if target.is_inference():  # whether it was changed since cannot be told
            return self.network.features(as_rgb(target))
        known = self._known and self._known[0]() is target and self._known[1] == target._version
        if not known:
            self._features = self.network.features(as_rgb(target))
            self._known = weakref.ref(target), target._version
        return self._features


class EMae:
    """E-MAE times 100: mean absolute error where a visual mask says that it is visible.

    Args:
        weights: mask file or a name of the weights manifest; None for the shipped mask. The
            publication's own numbers need the authors' file ("E_MAE").

    Raises:
        MetricUnavailable: the mask's weights are not on this machine.
        ValueError: the file holds something else.
    """

    def __init__(self, weights: str | Path | None = None):
        with weights_needed("E-MAE"):
            self.loss = losses.EnhancedMAE(weights=weights, reduction="none")

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (B, 3 or 1, H, W) images in [0, 1] -> (B,) in [0, 100], lower is better."""
        x, y = as_rgb(prediction), as_rgb(target)
        with torch.no_grad():
            if not x.is_cpu or x.ndim != 4 or x.shape[-2] <= STRIP_ROWS or x.shape != y.shape:
                return E_MAE_SCALE * self.loss(x, y)
            return E_MAE_SCALE * self._by_strips(x, y)

    def _by_strips(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean masked error, strip of rows by strip: the mask's features stay in the cache."""
        total = torch.zeros(len(x), dtype=torch.float64)
        for rows, mask in mask_strips(self.loss, x, y):
            error = (x[:, :, rows] - y[:, :, rows]).abs()
            total += (mask * error).sum((1, 2, 3), dtype=torch.float64)
        return (total / x[0].numel()).to(torch.promote_types(x.dtype, torch.float32))


def mask_strips(loss: losses.EnhancedMAE, x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Mask of a pair, strip by strip: its 64 features of a whole photograph would take gigabytes.

    Args:
        loss: whose mask.
        x: (B, 3, H, W) in [0, 1].
        y: (B, 3, H, W) in [0, 1].

    Yields:
        Rows, and the mask there, (B, 1, h, W).
    """
    height = x.shape[-2]
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        first = max(top - MASK_REACH, 0)
        seen = slice(first, min(bottom + MASK_REACH, height))
        mask = loss.mask(x[:, :, seen], y[:, :, seen])
        yield slice(top, bottom), mask[:, :, top - first : bottom - first]


def as_rgb(x: Tensor) -> Tensor:
    """Repeat a single channel: (B, 1, H, W) -> (B, 3, H, W); anything else as it is."""
    return x.expand(-1, 3, -1, -1) if x.ndim == 4 and x.shape[1] == 1 else x
