"""Quality ratings to compare metrics with: people's (MOS), or pseudo-MOS made by other metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from restoration.agreement.measure import PairValues
from restoration.metrics.fingerprint import Function
from restoration.opinion.calibrated import opinion
from restoration.opinion.distorted import DistortedPairs
from restoration.opinion.open import choose_teachers
from restoration.opinion.people import OpinionData, Pairs

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


def calibrated_ratings(pairs: DistortedPairs) -> Ratings:
    """What people said on average of every kind and level of distortion.

    A distorted photograph is rated by the mean of KADID-10k's ratings of its kind and level. What
    the photograph itself changes about that is left out, so no metric can agree entirely.

    Args:
        pairs: at KADID-10k's own strengths (`rated`).
    """
    assert pairs.rated
    scores = np.array([float(opinion(kind, level)) for kind, level in pairs.kinds_and_levels])
    description = (
        f"KADID-10k's mean rating of each kind and level: {pairs.description}; in [0, 1], higher "
        "is better."
    )
    return Ratings(pairs, f"calibrated_{pairs.name}", description, "mean MOS", scores)


def pseudo_ratings(pairs: DistortedPairs, teachers: Sequence[str] | str | None = None) -> Ratings:
    """Pseudo-MOS: the mean rank by metrics.

    Args:
        pairs: the images.
        teachers: metrics that rate, see `choose_teachers`.

    Raises:
        ValueError: an unknown name, or piq is not installed.
    """
    chosen = choose_teachers(teachers)
    description = (
        f"Pseudo-MOS, no human scores: {pairs.description}; mean rank of {', '.join(chosen)}, in "
        "[0, 1]."
    )
    functions = {f"{TEACHER}{teacher}": function for teacher, function in chosen.items()}
    axis_label = "pseudo-MOS (mean rank)"
    return Ratings(pairs, f"pseudo_{pairs.name}", description, axis_label, teachers=functions)
