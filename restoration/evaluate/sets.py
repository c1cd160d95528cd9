"""Test sets: clean images, and the conditions that they are tested under."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from restoration.data import GreySource, PairedSource, Source, open_images, open_pairs
from restoration.data.custom import open_custom
from restoration.data.grey import in_channels
from restoration.data.readable import only_readable
from restoration.degradations import Condition, FixedDegradation, conditions_of_test
from restoration.options.datasets import TestSet

PAIRS = Condition("paired")  # the degraded images are files
LOOKED_AT = 20  # images of a set, to see whether its files are grey


@dataclass(frozen=True)
class EvaluationSet:
    """Clean images, and what their inputs are made of.

    Attributes:
        source: the clean images, or pairs.
        degradations: a condition each, see `conditions_of_test`; none for pairs.
        max_images: use only the first images.
    """

    source: Source
    degradations: tuple[FixedDegradation, ...] = ()
    max_images: int | None = None

    def __len__(self) -> int:
        return min(len(self.source), self.max_images or len(self.source))

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """What every image is tested under, in this order."""
        return tuple(one.condition for one in self.degradations) or (PAIRS,)

    @property
    def degraded(self) -> Source | None:
        """The degraded images of pairs."""
        return self.source.degraded if isinstance(self.source, PairedSource) else None

    @property
    def definition(self) -> list[Any]:
        """What the inputs are made of, as plain values."""
        return [list(one.chain.specs) for one in self.degradations]

    @property
    def channels(self) -> int:
        """Channels of the images, 3 or 1."""
        clean = self.source.clean if isinstance(self.source, PairedSource) else self.source
        return 1 if isinstance(clean, GreySource) else 3

    @cached_property
    def repeats_grey(self) -> bool:
        """Whether the files are grey, and measured as three equal channels."""
        clean = self.source.clean if isinstance(self.source, PairedSource) else self.source
        if self.channels == 1:
            return False
        return all(_is_grey(clean.decode(index)) for index in range(min(len(self), LOOKED_AT)))

    def degrade(self, clean: np.ndarray, index: int, condition: Condition) -> np.ndarray:
        """The input of the network for an image.

        Args:
            clean: (H, W, C) float32 in [0, 1].
            index: number of the image in the set.
            condition: one of `conditions`.

        Returns:
            (H, W, C) float32; noise is neither clipped nor rounded.
        """
        if self.degraded is not None:
            return self.degraded.read_float(index)
        return self.degradations[self.conditions.index(condition)].spoil(clean)


def _is_grey(image: np.ndarray) -> bool:
    return bool((image == image[:, :, :1]).all())


def conditions_of_set(options: TestSet) -> tuple[Condition, ...]:
    """What the images of a test set are tested under."""
    if options.pairs:
        return (PAIRS,)
    if options.custom:
        return _open_set(options).conditions  # only it knows whether it is of pairs
    return tuple(one.condition for one in conditions_of_test(options.degradations))


def open_sets(test: Mapping[str, TestSet]) -> dict[str, EvaluationSet]:
    """Open the test sets of an option file.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there is no image in it, one that cannot be read, or a pair that is none.
    """
    sets = {name: _open_set(options) for name, options in test.items()}
    for test_set in sets.values():
        for index in range(len(test_set)):
            test_set.source.size(index)  # reads the header
    return sets


def _open_set(options: TestSet) -> EvaluationSet:
    if options.pairs:
        assert options.dataroot_lq is not None
        sources = open_pairs(
            options.dataroot_gt, options.dataroot_lq, options.filename_tmpl, options.max_pixels
        )
        pairs = PairedSource(*(in_channels(source, options.in_ch) for source in sources))
        return EvaluationSet(_readable(pairs, options), (), options.max_images)
    if options.custom:
        images = open_custom(options.type, options.dataroot_gt, options.arguments, options.in_ch)
        if isinstance(images, PairedSource):
            return EvaluationSet(_readable(images, options), (), options.max_images)
    else:
        images = open_images(options.dataroot_gt, options.in_ch, options.max_pixels)
    degradations = tuple(conditions_of_test(options.degradations))
    if options.noise_map and any(one.condition.sigma is None for one in degradations):
        raise ValueError("noise_map needs exactly one gaussian degradation in every test set")
    return EvaluationSet(_readable(images, options), degradations, options.max_images)


def _readable(source: Source, options: TestSet) -> Source:
    """Leave out what cannot be read, if so wanted."""
    if options.on_error == "raise":
        return source
    return only_readable(source, options.dataroot_gt, options.max_images)
