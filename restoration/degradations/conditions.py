"""What test images are spoiled by: a chain of degradations at fixed strengths, and its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from restoration.degradations.base import NUM_UNIFORMS, Range
from restoration.degradations.chain import Chain, Link, Spec
from restoration.degradations.gaussian import Gaussian
from restoration.degradations.registry import find_degradation

GAUSSIAN = Gaussian.label


@dataclass(frozen=True)
class Condition:
    """A degradation at one level.

    Args:
        degradation: what the level is a level of, such as "gaussian" or "jpeg quality".
        level: strength in the unit of the degradation (0..255 for Gaussian noise), or None for a
            degradation without levels.
        sigma: standard deviation of the Gaussian noise in it, 0..255 units, for networks that are
            told it; None without any. No part of the name.
    """

    degradation: str
    level: float | None = None
    sigma: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class FixedDegradation:
    """One condition of a test: a chain at fixed strengths.

    Attributes:
        condition: what it is called in tables.
        chain: the degradations.
        parameters: of each degradation.
    """

    condition: Condition
    chain: Chain
    parameters: tuple[tuple[float, ...], ...]

    def spoil(self, image: np.ndarray) -> np.ndarray:
        """Spoil one test image, (H, W, C) float32; random numbers begin anew for each."""
        for link, parameters in zip(self.chain.links, self.parameters, strict=True):
            image = link.degradation.spoil(image, parameters)
        return image


def conditions_of_test(specs: Spec | Sequence[Spec]) -> list[FixedDegradation]:
    """What a test set is spoiled by: a list of levels is a condition for each.

    Args:
        specs: as `Chain` takes them, without probabilities. Every number is fixed, but for the
            level of one degradation, which may be a list.

    Raises:
        ValueError: a range, a probability, or two degradations with several levels.
    """
    listed = [dict(spec) for spec in ([specs] if isinstance(specs, Mapping) else specs)]
    varying = [n for n, spec in enumerate(listed) if isinstance(_level_of(spec), list | tuple)]
    if len(varying) > 1:
        raise ValueError("a test set can have several levels of one degradation only")
    if any("probability" in spec for spec in listed):
        raise ValueError("a test set applies its degradations always: it takes no probability")
    if not varying:
        return [_fixed(listed, len(listed) - 1)]
    place = varying[0]
    levels = _level_of(listed[place])
    name = find_degradation(listed[place]["type"]).level
    assert name is not None  # it has levels
    return [
        _fixed([*listed[:place], {**listed[place], name: level}, *listed[place + 1 :]], place)
        for level in levels
    ]


def _level_of(spec: Spec) -> Any:
    name = find_degradation(spec["type"]).level if "type" in spec else None
    return None if name is None else spec.get(name)


def _fixed(specs: list[dict[str, Any]], place: int) -> FixedDegradation:
    """A condition that is named by the level of the degradation at a place."""
    chain = Chain(specs)
    for spec, link in zip(specs, chain.links, strict=True):
        for name, value in vars(link.degradation).items():
            if isinstance(value, Range) and len(set(value.values)) > 1:
                raise ValueError(f"a test set needs one number as {name} of {spec['type']}")
    uniforms = [0.5] * NUM_UNIFORMS
    parameters = tuple(link.degradation.draw(uniforms) for link in chain.links)
    words = [_words(link, spec) for link, spec in zip(chain.links, specs, strict=True)]
    named, level = chain.links[place].degradation.label, _level_of(specs[place])
    before, after = words[:place], words[place + 1 :]
    label = " + ".join([*before, named])
    if after:
        label += f" (then {' + '.join(after)})"
    level = None if level is None else float(level)
    condition = Condition(label, level, _sigma(chain, parameters))
    return FixedDegradation(condition, chain, parameters)


def _sigma(chain: Chain, parameters: Sequence[tuple[float, ...]]) -> float | None:
    """Standard deviation of the one Gaussian noise of a chain."""
    pairs = zip(chain.links, parameters, strict=True)
    levels = [values[0] for link, values in pairs if isinstance(link.degradation, Gaussian)]
    return levels[0] if len(levels) == 1 else None


def gaussian_noise(*sigmas: float) -> tuple[FixedDegradation, ...]:
    """The conditions of Gaussian noise at these levels, in 0..255 units."""
    return tuple(conditions_of_test({"type": "gaussian", "sigma": list(sigmas)}))


def _words(link: Link, spec: Spec) -> str:
    level = _level_of(spec)
    return link.degradation.label + ("" if level is None else f" {level:g}")
