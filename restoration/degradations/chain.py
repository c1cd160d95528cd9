"""Degradations one after the other, each with the probability that it is applied.

Everything that a chain draws comes from the sample's own numbers. The first degradation takes the
uniform number and the seed that samples had before there were chains: Gaussian noise alone is the
noise of older option files, bit for bit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restoration.degradations.base import NUM_UNIFORMS, Degradation
from restoration.degradations.gaussian import Gaussian
from restoration.degradations.registry import build_degradation

Spec = Mapping[str, Any]
NOT_APPLIED = math.nan  # every parameter of a degradation that passes a sample over


@dataclass(frozen=True)
class Link:
    """One degradation of a chain.

    Attributes:
        degradation: what it does.
        probability: how often it is applied, in (0, 1].
    """

    degradation: Degradation
    probability: float = 1.0


class Chain:
    """Degradations applied in order.

    Args:
        specs: one mapping with `type` and its arguments, or a list of them; each may have a
            `probability`.

    Attributes:
        links: the degradations.
        specs: what they were built from, as plain mappings.

    Raises:
        ValueError: nothing to apply, an unknown degradation, or arguments out of range.
    """

    def __init__(self, specs: Spec | Sequence[Spec]) -> None:
        listed = [specs] if isinstance(specs, Mapping) else list(specs)
        if not listed:
            raise ValueError("expected at least one degradation, got an empty list")
        self.specs: tuple[dict[str, Any], ...] = tuple(dict(spec) for spec in listed)
        self.links = tuple(_link(spec) for spec in self.specs)
        middle = [0.5] * NUM_UNIFORMS
        self.width = max(len(link.degradation.draw(middle)) for link in self.links)

    def draw(
        self, uniform: float, seed: int, more: Callable[[int], Sequence[float]]
    ) -> tuple[list[list[float]], list[int]]:
        """Parameters and seeds of one sample.

        Args:
            uniform: the first number of the first degradation.
            seed: the seed of the first degradation.
            more: eight uniform numbers of the sample for the degradation of a number.

        Returns:
            A row per degradation, filled up to one width, NaN where it is not applied; and a seed
            for each.
        """
        rows, seeds = [], []
        for number, link in enumerate(self.links):
            alone = number == 0 and link.probability == 1 and isinstance(link.degradation, Gaussian)
            numbers = [0.0] * 8 if alone else list(more(number))
            gate, high, low, *uniforms = numbers
            if number == 0:
                uniforms[0] = uniform
            else:
                seed = int(high * 2**31) << 32 | int(low * 2**32)
            row = [NOT_APPLIED] * self.width
            if gate < link.probability:
                drawn = link.degradation.draw(uniforms)
                row = [*drawn, *[0.0] * (self.width - len(drawn))]
            rows.append(row)
            seeds.append(seed)
        return rows, seeds

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Tensor) -> Tensor:
        """Spoil a batch on its device.

        Args:
            clean: (B, C, H, W) float32 in [0, 1].
            parameters: (B, links, width) float32, on the CPU, as `draw` gave them.
            seeds: (B, links) int64, on the CPU.

        Returns:
            (B, C, H, W) float32, neither clipped nor rounded.
        """
        spoilt = clean
        for number, link in enumerate(self.links):
            rows, its_seeds = parameters[:, number], seeds[:, number].tolist()
            applied = ~rows[:, 0].isnan()
            if applied.all():
                spoilt = link.degradation.apply(spoilt, rows.to(clean.device), its_seeds)
            elif applied.any():
                places = applied.nonzero().flatten()
                chosen = [its_seeds[place] for place in places.tolist()]
                on_device = places.to(clean.device)
                some = link.degradation.apply(
                    spoilt[on_device], rows[places].to(clean.device), chosen
                )
                spoilt = spoilt.index_copy(0, on_device, some)
        return spoilt.clone() if spoilt is clean else spoilt

    def noise_level(self, parameters: Tensor) -> Tensor:
        """Standard deviation of the Gaussian noise of each sample, for networks that are told it.

        Args:
            parameters: (B, links, width).

        Returns:
            (B,) in 0..255 units; 0 where no noise is applied.

        Raises:
            ValueError: there is not exactly one Gaussian degradation.
        """
        return parameters[:, self.gaussian_link(), 0].nan_to_num(0.0)

    def gaussian_link(self) -> int:
        """Number of the one Gaussian degradation; another count of them is a ValueError."""
        kinds = [isinstance(link.degradation, Gaussian) for link in self.links]
        if kinds.count(True) != 1:
            raise ValueError(
                "noise_map needs exactly one gaussian degradation, whose sigma the network is "
                f"told, got {kinds.count(True)}"
            )
        return kinds.index(True)


def _link(spec: Spec) -> Link:
    arguments = dict(spec)
    if "type" not in arguments:
        raise ValueError(f"a degradation needs a `type`, got {dict(spec)}")
    probability = arguments.pop("probability", 1.0)
    if isinstance(probability, bool) or not isinstance(probability, int | float):
        raise ValueError(f"expected a probability in (0, 1], got {probability!r}")
    if not 0 < probability <= 1:
        raise ValueError(f"expected a probability in (0, 1], got {probability:g}")
    return Link(build_degradation(**arguments), float(probability))


def as_tensors(rows: list[list[float]], seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Parameters (links, width) float32 and seeds (links,) int64 of one sample."""
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(seeds, dtype=torch.int64)
