"""Quality ratings to compare metrics with: people's (MOS), or pseudo-MOS made by other metrics."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restoration.agreement.measure import PairValues
from restoration.metrics.fingerprint import Function
from restoration.opinion.open import choose_teachers
from restoration.opinion.people import OpinionData, Pairs
from restoration.opinion.pseudo import LEVELS, PseudoPairs

TEACHER = "teacher "  # before the name of a metric that pseudo-MOS is made of


@dataclass(frozen=True)
class Ratings:
    """Pairs of images and what they are rated, or what rates them.

    Args:
        pairs: the images.
        name: for folders.
        description: what the ratings are, in a sentence.
        axis_label: the same on the axis of a figure.
        known: (N,) scores, higher is better; None where `teachers` make them.
        teachers: metrics by name whose mean rank is the score.
    """

    pairs: Pairs
    name: str
    description: str
    axis_label: str
    known: np.ndarray | None = None
    teachers: Mapping[str, Function] = field(default_factory=dict)

    def scores(self, values: PairValues) -> np.ndarray:
        """Scores of all pairs.

        Args:
            values: holds those of the teachers.

        Returns:
            (N,), higher is better.
        """
        if self.known is not None:
            return self.known
        from restoration.opinion.teachers import ensemble  # needs piq

        return ensemble({name: values[name] for name in self.teachers})


def human_ratings(data: OpinionData) -> Ratings:
    """Ratings of a data set by people."""
    low, high = data.score_range
    description = (
        f"{data.name}: {len(data)} pairs, {len(set(data.references))} references; "
        f"{data.direction} in [{low:g}, {high:g}], higher is better here."
    )
    return Ratings(data, data.name, description, f"MOS [{low:g}, {high:g}]", data.scores)


def pseudo_ratings(
    dataroot: str,
    distortions: Sequence[str] | None = None,
    levels: Sequence[float] = LEVELS,
    num_references: int | None = None,
    size: int | None = None,
    seed: int = 0,
    by_family: bool = False,
    teachers: Sequence[str] | str | None = None,
) -> Ratings:
    """Pseudo-MOS of a folder of photographs: every kind and level of distortion.

    Args:
        dataroot: folder, LMDB or `skimage:` names of clean photographs.
        distortions: kinds; None for KADID-10k's 25.
        levels: levels of every kind, 1 to 5.
        num_references: how many photographs, the first ones; None for all.
        size: side of the square from the middle of each; None for whole photographs.
        seed: of the distortions.
        by_family: categories are families ("blur", "noise", ...) instead of kinds.
        teachers: metrics that rate, see `choose_teachers`.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: an unknown name, a level outside 1..5, too few or too small photographs.
    """
    if not dataroot:
        raise ValueError("expected pseudo:DIR with a folder of clean photographs")
    chosen = choose_teachers(teachers)
    pairs = PseudoPairs(dataroot, distortions, levels, num_references, size, seed, by_family)
    place = "whole" if size is None else f"{size}x{size} cuts"
    description = (
        f"Pseudo-MOS, no human scores: {dataroot}, {len(set(pairs.references))} photographs, "
        f"{place}, {len(pairs)} pairs; mean rank of {', '.join(chosen)}, in [0, 1]."
    )
    name = "pseudo_" + re.sub(r"\W+", "_", Path(dataroot).name)
    functions = {f"{TEACHER}{teacher}": function for teacher, function in chosen.items()}
    return Ratings(pairs, name, description, "pseudo-MOS (mean rank)", teachers=functions)
