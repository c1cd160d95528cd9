"""Many predictions measured against one target, whose features are computed once.

A benchmark compares every image with what many networks made of it, under many conditions and by
metrics that share a backbone. What is kept belongs to this one object, which the caller makes for
a target and drops with it: nothing is looked up by contents, nor by what may have changed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from losses.base import Features, Loss
from losses.features.backbones import Backbone
from restoration.metrics.fingerprint import Function
from restoration.metrics.learned import as_rgb
from restoration.metrics.registry import Metric

MOST_KEPT = 2**30  # bytes of a target's features; beyond, they are computed for each prediction


@contextmanager
def _named(metric: str) -> Iterator[None]:
    """Name the metric in its errors."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{metric}: {error}") from error


class Against:
    """Measures predictions against one target.

    Metrics on one backbone share its features of a prediction; those of the target are computed
    with the first prediction. For one thread.

    Args:
        metrics: by name; functions of a pair serve too.
        target: (1, C, H, W) in [0, 1]; unchanged as long as this is in use.
        most_kept: bytes of the target's features that may be kept.
    """

    def __init__(
        self, metrics: Mapping[str, Metric | Function], target: Tensor, most_kept: int = MOST_KEPT
    ) -> None:
        self.metrics, self.target, self.left = metrics, target, most_kept
        self._names: dict[Backbone | None, list[str]] = {}
        self._losses: dict[Backbone, Loss] = {}  # one of those on a backbone: features are the same
        for name, metric in metrics.items():
            loss = metric.loss if isinstance(metric, Metric) else None  # or any function of a pair
            backbone = None if loss is None else loss.backbone
            self._names.setdefault(backbone, []).append(name)
            if loss is not None and backbone is not None:
                self._losses.setdefault(backbone, loss)
        self._of_target: dict[tuple[Backbone, torch.dtype], list[Tensor]] = {}

    def measure(self, prediction: Tensor) -> dict[str, Tensor]:
        """Every metric of one prediction, (1, C, H, W) in [0, 1] -> (1,) each, by name.

        Values stay on the device, unread: whoever reads one waits for a GPU, which could have
        begun with the next image.

        Raises:
            ValueError: the prediction does not fit the target, or a metric, which is named.
        """
        values: dict[str, Tensor] = {}
        for backbone, names in self._names.items():
            with _named(names[0]):
                given = () if backbone is None else (self._features(backbone, prediction),)
            for name in names:
                with _named(name):
                    values[name] = self.metrics[name](prediction, self.target, *given)
        return {name: values[name] for name in self.metrics}

    def _features(self, backbone: Backbone, prediction: Tensor) -> Features:
        """Features of the pair for all metrics on a backbone."""
        loss, key = self._losses[backbone], (backbone, prediction.dtype)
        with torch.no_grad():
            pair = as_rgb(prediction), as_rgb(self.target)
            features = loss.features(*pair, of_target=self._of_target.get(key))
        if key not in self._of_target:
            size = sum(feature.nbytes for feature in features[1])
            if size <= self.left:
                self._of_target[key] = features[1]
                self.left -= size
        return features
