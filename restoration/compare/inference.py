"""How sure the mean difference of two recipes is, from several trainings on the same photographs.

A difference d[s, i] is recipe minus reference for training s and photograph i. Both are drawn by
chance and crossed, like readers and cases in multi-reader multi-case studies (Obuchowski and
Rockette 1995, Hillis 2007): d = mean + training + photograph + rest. The variance of the mean comes
from the two-way mean squares, its degrees of freedom from Satterthwaite (1946); equivalence is
shown by two one-sided tests (Schuirmann 1987). What differs, both to the safe side:

- A variance component that is estimated below zero counts as zero.
- Satterthwaite's approximation is too bold for two or three trainings (12 % instead of 5 % false
  claims where a few trainings meet many photographs). To speak of new trainings and new photographs
  cannot be surer than to speak of new trainings alone, or of new photographs alone. So the interval
  is the widest of the three, and p the largest.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

METHOD = (
    "differences are paired by seed and photograph, both random and crossed; the variance of their "
    "mean is that of the two-way mean squares, with Satterthwaite's degrees of freedom; interval "
    "and p by t, never surer than for new trainings alone or new photographs alone; equivalence by "
    "two one-sided t tests"
)
METHOD_OF_ONE = (
    "differences are paired by photograph, and only photographs are random: interval and p are "
    "those of a paired t test, and speak of these networks on new photographs, not of recipes"
)


@dataclass(frozen=True)
class Uncertainty:
    """How far a mean may lie off: its variance, and the degrees of freedom of that."""

    variance: float
    df: float

    def half_width(self, confidence: float) -> float:
        """Half the width of the two-sided t interval."""
        return float(special.stdtrit(self.df, (1 + confidence) / 2)) * math.sqrt(self.variance)

    def p(self, mean: float) -> float:
        """Two-sided p-value of the mean being zero."""
        return min(1.0, 2 * self._tail(abs(mean)))

    def p_equivalent(self, mean: float, margin: float) -> float:
        """p-value of the mean lying outside of -margin to margin: two one-sided tests."""
        return self._tail(margin - abs(mean))

    def _tail(self, distance: float) -> float:
        if self.variance == 0:
            return 0.0 if distance > 0 else 0.5 if distance == 0 else 1.0
        return float(special.stdtr(self.df, -distance / math.sqrt(self.variance)))


@dataclass(frozen=True)
class MeanSquares:
    """Two-way mean squares of crossed differences, one value a cell."""

    trainings: float
    photographs: float
    rest: float


@dataclass(frozen=True)
class Estimate:
    """The mean difference of two recipes, recipe minus reference, and how sure it is.

    Attributes:
        num_trainings: pairs of trainings, S.
        num_photographs: independent photographs, N.
        mean: over trainings and photographs.
        low: lower end of the interval for new trainings (where S > 1) and new photographs; None
            where N = 1.
        high: upper end.
        df: degrees of freedom of its variance.
        p: two-sided, of the mean being zero; None where N = 1.
        p_equivalent: of the mean lying outside of the margin; None without one, or where there is
            no p, or for a single training.
        low_fixed: lower end of the interval for new trainings on exactly these photographs; None
            for a single training.
        high_fixed: upper end.
        identical: whether every single difference is zero.
    """

    num_trainings: int
    num_photographs: int
    mean: float
    low: float | None
    high: float | None
    df: float | None
    p: float | None
    p_equivalent: float | None
    low_fixed: float | None
    high_fixed: float | None
    identical: bool


def average_groups(d: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    """Average the crops of every photograph, so that each photograph counts once.

    Args:
        d: (S, I) differences of I images.
        groups: I names of the photographs that the images are cut from.

    Returns:
        (S, N), the photographs in the order in which they come first.

    Raises:
        ValueError: not one group per image.
    """
    if d.ndim != 2 or d.shape[1] != len(groups):
        raise ValueError(f"expected one group per image, got {len(groups)} for {d.shape}")
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return np.stack([d[:, some].mean(1) for some in members.values()], axis=1)


def mean_squares(d: np.ndarray) -> MeanSquares:
    """Two-way mean squares of differences.

    Args:
        d: (S, N), finite, S and N at least 2.
    """
    num_trainings, num_photographs = d.shape
    by_training, by_photograph = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    rest = d - by_training - by_photograph + d.mean()
    return MeanSquares(
        num_photographs * float(by_training.var(ddof=1)),
        num_trainings * float(by_photograph.var(ddof=1)),
        float((rest**2).sum()) / ((num_trainings - 1) * (num_photographs - 1)),
    )


def uncertainty_of_both(d: np.ndarray) -> Uncertainty:
    """Uncertainty of the mean for new trainings on new photographs.

    Args:
        d: (S, N), finite, S and N at least 2.

    Returns:
        Variance and Satterthwaite's degrees of freedom; components below zero count as zero.
    """
    dfs = np.array([d.shape[0] - 1, d.shape[1] - 1, (d.shape[0] - 1) * (d.shape[1] - 1)])
    squares = mean_squares(d)
    trainings, photographs, rest = parts = (
        np.array([squares.trainings, squares.photographs, squares.rest]) / d.size
    )
    variance = float(max(trainings, rest) + max(photographs, rest) - rest)
    df = variance**2 / float((parts**2 / dfs).sum()) if variance > 0 else float(dfs.min())
    return Uncertainty(variance, df)


def uncertainty_of_trainings(d: np.ndarray) -> Uncertainty:
    """Uncertainty of the mean for new trainings on these photographs; d is (S, N), S > 1."""
    return Uncertainty(float(d.mean(1).var(ddof=1)) / d.shape[0], d.shape[0] - 1)


def uncertainty_of_photographs(d: np.ndarray) -> Uncertainty:
    """Uncertainty of the mean for these trainings on new photographs; d is (S, N), N > 1."""
    return Uncertainty(float(d.mean(0).var(ddof=1)) / d.shape[1], d.shape[1] - 1)


def estimate(d: np.ndarray, confidence: float = 0.95, margin: float | None = None) -> Estimate:
    """Estimate the mean difference of two recipes.

    Args:
        d: (S, N) differences, a row per training and a column per photograph.
        confidence: of the intervals, in (0, 1).
        margin: differences up to it do not matter; above 0, in the unit of d.

    Returns:
        Mean, intervals and p-values. A single training gives those over photographs alone.

    Raises:
        ValueError: d is not a full table of finite numbers: a training misses a photograph.
    """
    if d.ndim != 2 or d.size == 0 or not np.isfinite(d).all():
        raise ValueError(f"expected finite differences (trainings, photographs), got {d.shape}")
    several, spread = d.shape[0] > 1, d.shape[1] > 1
    mean = float(d.mean())
    fixed = uncertainty_of_trainings(d) if several else None
    chances = [uncertainty_of_photographs(d)] if spread else []
    if spread and fixed is not None:
        chances = [uncertainty_of_both(d), fixed, *chances]
    low, high = _interval(mean, chances, confidence)
    low_fixed, high_fixed = _interval(mean, [] if fixed is None else [fixed], confidence)
    p_equivalent = None
    if margin is not None and several and spread:
        p_equivalent = max(chance.p_equivalent(mean, margin) for chance in chances)
    return Estimate(
        num_trainings=d.shape[0],
        num_photographs=d.shape[1],
        mean=mean,
        low=low,
        high=high,
        df=chances[0].df if chances else None,
        p=max((chance.p(mean) for chance in chances), default=None),
        p_equivalent=p_equivalent,
        low_fixed=low_fixed,
        high_fixed=high_fixed,
        identical=not d.any(),
    )


def _interval(
    mean: float, chances: Sequence[Uncertainty], confidence: float
) -> tuple[float | None, float | None]:
    """Widest interval of some uncertainties; no ends where there are none."""
    if not chances:
        return None, None
    half = max(chance.half_width(confidence) for chance in chances)
    return mean - half, mean + half
