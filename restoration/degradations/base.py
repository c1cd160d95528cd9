"""What a degradation is: a pure function of a clean image, a few parameters and a seed.

A degradation is told five uniform numbers of a sample and answers its parameters; later, on the
device, it spoils a batch of clean images, each with its own parameters and its own seed. So what
a network sees depends on the seed of the run and the number of the sample alone: not on workers,
processes, batches or interruptions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

NUM_UNIFORMS = 5  # uniform numbers that a degradation may use

Numbers = float | Sequence[float] | Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Range:
    """What a number of a degradation is drawn from: an interval, or a list of choices.

    Attributes:
        values: one number, the two ends of an interval, or the choices.
        choice: whether one of `values` is drawn, each as likely as the others.
    """

    values: tuple[float, ...]
    choice: bool = False

    @classmethod
    def of(cls, given: Numbers, name: str, low: float = 0.0, high: float = math.inf) -> "Range":
        """Read a number as option files write it.

        Args:
            given: a number, [low, high], or {"choice": [a, b, ...]}.
            name: what to call it in an error.
            low: least value that makes sense.
            high: largest value that makes sense.

        Raises:
            ValueError: another form, or numbers outside [low, high].
        """
        choice = isinstance(given, Mapping)
        values = given.get("choice") if isinstance(given, Mapping) else given
        listed = tuple(values) if isinstance(values, list | tuple) else (values,)
        if not listed or not all(_is_number(value) for value in listed):
            raise ValueError(
                f"expected {name} as a number, [low, high] or {{choice: [a, b, ...]}}, got {given}"
            )
        if not choice and (len(listed) > 2 or listed[0] > listed[-1]):
            raise ValueError(f"expected {name} as [low, high], got {given}")
        if not low <= min(listed) <= max(listed) <= high:
            raise ValueError(f"expected {name} in [{low:g}, {high:g}], got {given}")
        return cls(tuple(float(value) for value in listed), choice)

    def at(self, uniform: float) -> float:
        """The number at a uniform number in [0, 1)."""
        if self.choice:
            return self.values[int(uniform * len(self.values))]
        if len(self.values) == 1:
            return self.values[0]
        low, high = self.values
        return low + uniform * (high - low)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class Degradation(ABC):
    """One way to spoil images; registered with `register_degradation`.

    A subclass needs `draw` and `apply`. To be tested at several levels, it names the argument of
    its constructor that says how strong it is.

    Attributes:
        label: what its level is a level of, for tables, such as "jpeg quality".
        level: the argument that a test set may give a list of, such as "quality"; None where it
            has no levels.
    """

    label: ClassVar[str]
    level: ClassVar[str | None] = None

    @abstractmethod
    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """Parameters of one sample.

        Args:
            uniforms: five numbers in [0, 1), the sample's own; a degradation takes the first.

        Returns:
            Always the same count of numbers.
        """

    @abstractmethod
    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Spoil a batch; the result of a sample must not depend on the others.

        Args:
            clean: (B, C, H, W) float32; in [0, 1], unless an earlier degradation left it otherwise.
            parameters: (B, P) float32 on the same device, a row per sample, as `draw` gave it.
            seeds: a seed per sample, for what is random at every pixel.

        Returns:
            (B, C, H, W) float32, a new tensor.
        """

    def spoil(self, image: np.ndarray, parameters: Sequence[float]) -> np.ndarray:
        """Spoil one test image; random numbers begin at seed 0 for each image.

        Args:
            image: (H, W, C) float32.
            parameters: as `draw` gives them.

        Returns:
            (H, W, C) float32.
        """
        clean = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        spoilt = self.apply(clean, torch.tensor([parameters], dtype=torch.float32), [0])
        return np.ascontiguousarray(spoilt[0].permute(1, 2, 0).numpy())


def by_sample(
    clean: Tensor, seeds: Sequence[int], spoil: Callable[[Tensor, int, torch.Generator], Tensor]
) -> Tensor:
    """Spoil the samples of a batch one after the other, each with a generator of its own seed.

    Args:
        clean: (B, C, H, W).
        seeds: a seed per sample.
        spoil: of (C, H, W), the number of the sample in the batch, and its generator.
    """
    generator = torch.Generator(clean.device)
    rows = [
        spoil(image, number, generator.manual_seed(seed))
        for number, (image, seed) in enumerate(zip(clean, seeds, strict=True))
    ]
    return torch.stack(rows)
