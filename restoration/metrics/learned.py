"""Metrics that need weights: LPIPS (arXiv:1801.03924) and E-MAE (arXiv:2305.19858).

Both take RGB in [0, 1], or one grey channel, which is repeated. Weights that cannot be had are an
error that says which file goes where; random weights never stand in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import losses
from losses.base import Features
from losses.functional import check_pair

E_MAE_SCALE = 100  # the publication prints E-MAE times 100


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


class LossOfRgb:
    """A loss term as a metric: a value per image; a grey channel is repeated.

    Args:
        loss: with the reduction "none".
    """

    def __init__(self, loss: losses.Loss):
        self.loss = loss

    def __call__(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Compare (B, 3 or 1, H, W) images in [0, 1] -> (B,).

        Args:
            prediction: the image to be measured.
            target: what it is compared with.
            features: what the loss's `features` returned for the pair; None to compute them here.
        """
        with torch.no_grad():
            value: Tensor = self.loss(as_rgb(prediction), as_rgb(target), features)
        return value


class Lpips(LossOfRgb):
    """LPIPS 0.1 of the `lpips` package on images in [0, 1], which it converts to [-1, 1].

    Args:
        net: "alex", which papers report, or "vgg".
        weights: torchvision's file of the backbone; None for the published weights: AlexNet's ship.

    Raises:
        MetricUnavailable: the backbone's weights are not on this machine.
        ValueError: an unknown net, or a file that is not this backbone.
    """

    def __init__(self, net: str = "alex", weights: str | Path | None = None):
        with weights_needed(f"LPIPS ({net})"):
            super().__init__(losses.LPIPS(net=net, weights=weights, reduction="none"))
        self._last: tuple[Tensor, list[Tensor]] | None = None  # a target and its features

    def __call__(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Compare (B, 3 or 1, H, W) images in [0, 1] -> (B,), lower is better, 0 if identical.

        Args:
            prediction: the image to be measured.
            target: what it is compared with; its features are kept for the next call.
            features: what the loss's `features` returned for the pair; None to compute them here.

        Raises:
            ValueError: shapes differ, other channels, or images too small for the backbone.
        """
        if features is not None:
            return super().__call__(prediction, target, features)
        x, y = as_rgb(prediction), as_rgb(target)
        check_pair(x, y, channels=3)
        last = self._last  # one look: another thread may put another target there
        with torch.no_grad():
            if last is not None and _same(last[0], y) and y.dtype == x.dtype:
                return super().__call__(x, y, self.loss.features(x, y, of_target=last[1]))
            y = y.clone()  # the caller's tensor may get other contents
            features = self.loss.features(x, y)
            if y.dtype == x.dtype:
                self._last = y, features[1]
            return super().__call__(x, y, features)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}  # copies and pickles start anew


def _same(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors have the same contents, type and place."""
    return x.dtype == y.dtype and x.device == y.device and torch.equal(x, y)


class EMae:
    """E-MAE times 100: mean absolute error where a visual mask says that it is visible.

    Args:
        masks: mask file or a name of the weights manifest; None for the shipped mask. The
            publication's own numbers need the authors' file ("E_MAE").

    Raises:
        MetricUnavailable: the mask's weights are not on this machine.
        ValueError: the file holds something else.
    """

    def __init__(self, masks: str | Path | None = None):
        with weights_needed("E-MAE"):
            self.loss = losses.EnhancedMAE(masks, reduction="none")

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (B, 3 or 1, H, W) images in [0, 1] -> (B,) in [0, 100], lower is better."""
        x, y = as_rgb(prediction), as_rgb(target)
        with torch.no_grad():
            return E_MAE_SCALE * self.loss(x, y)


def as_rgb(x: Tensor) -> Tensor:
    """Repeat a single channel: (B, 1, H, W) -> (B, 3, H, W); anything else as it is."""
    return x.expand(-1, 3, -1, -1) if x.ndim == 4 and x.shape[1] == 1 else x
