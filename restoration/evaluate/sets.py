"""Test sets: clean images, and the conditions that they are tested under."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from restoration.data import GreySource, Source, evaluation_noise, open_source
from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.options.datasets import TestSet


@dataclass(frozen=True)
class EvaluationSet:
    """Clean images and the noise levels to test them at (0..255 units)."""

    source: Source
    sigmas: tuple[float, ...]
    max_images: int | None = None

    def __len__(self) -> int:
        return min(len(self.source), self.max_images or len(self.source))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What every image is tested under, in this order."""
        return tuple(Condition(GAUSSIAN, sigma) for sigma in self.sigmas)

    @property
    def channels(self) -> int:
        """Channels of the images, 3 or 1."""
        return 1 if isinstance(self.source, GreySource) else 3

    def degrade(self, clean: np.ndarray, index: int, condition: Condition) -> np.ndarray:
        """Spoil an image by the protocol.

        Args:
            clean: (H, W, C) float32 in [0, 1].
            index: number of the image in the set.
            condition: one of `conditions`.

        Returns:
            (H, W, C) float32, neither clipped nor rounded.
        """
        assert condition.level is not None
        return evaluation_noise(clean, condition.level)


def conditions_of_set(options: TestSet) -> tuple[Condition, ...]:
    """What the images of a test set are tested under."""
    return tuple(Condition(GAUSSIAN, sigma) for sigma in _sigmas(options))


def _sigmas(options: TestSet) -> tuple[float, ...]:
    given = options.sigma_test
    return tuple(given) if isinstance(given, list) else (given,)


def open_images(dataroot: str, channels: int) -> Source:
    """Open a `dataroot` as colour (3 channels) or grey (1) images."""
    source = open_source(dataroot)
    return GreySource(source) if channels == 1 else source


def open_sets(test: Mapping[str, TestSet]) -> dict[str, EvaluationSet]:
    """Open the test sets of an option file.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there is no picture in it, or one that cannot be read.
    """
    sets = {
        name: EvaluationSet(
            open_images(options.dataroot_gt, options.in_ch),
            _sigmas(options),
            options.max_images,
        )
        for name, options in test.items()
    }
    for test_set in sets.values():
        for index in range(len(test_set)):
            test_set.source.size(index)  # reads the header
    return sets
