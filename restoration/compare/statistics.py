"""Paired statistics of two recipes on the same images.

Interval: bootstrap over images of the mean difference, bias-corrected and accelerated (BCa, Efron
1987), percentile where BCa is undefined. Test: Wilcoxon's signed ranks, two-sided, zero
differences ranked by Pratt's method (1959). Correction for many tests: Holm (1979).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

METHOD = (
    "mean of the paired differences per image; interval: bootstrap over images (BCa, percentile "
    "where undefined); p: Wilcoxon signed ranks, two-sided, zeros by Pratt's method"
)
METHOD_OF_SEEDS = (
    "every value of an image is the mean over the seeds; better or worse needs, beside test and "
    "interval, mean differences of one sign for all seeds"
)


@dataclass(frozen=True)
class Paired:
    """What the paired differences of one metric at one noise level say.

    Attributes:
        n: images with a finite difference.
        dropped: images without one (infinite for one recipe only).
        mean: mean difference, recipe minus reference.
        median: median difference.
        low: lower end of the interval of the mean; None for one image.
        high: upper end.
        p: of Wilcoxon's test; None where there are too few images.
        wins: images on which the recipe is better.
        ties: images on which both are equal.
    """

    n: int
    dropped: int
    mean: float
    median: float
    low: float | None
    high: float | None
    p: float | None
    wins: int
    ties: int

    @property
    def win_rate(self) -> float:
        """Share of images on which the recipe is better; a tie counts one half."""
        return (self.wins + 0.5 * self.ties) / self.n

    @property
    def identical(self) -> bool:
        """Whether every difference is exactly zero."""
        return self.ties == self.n


def differences(values: Sequence[float], reference: Sequence[float]) -> np.ndarray:
    """Value minus reference per image, (n,); equal values give 0, infinite ones too.

    Raises:
        ValueError: the two are not of one length, or empty.
    """
    a, b = np.asarray(values, float), np.asarray(reference, float)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise ValueError(f"expected two lists of one length, got {a.shape} and {b.shape}")
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, a - b)


def mean_difference(values: Sequence[float], reference: Sequence[float]) -> float | None:
    """Mean over images of value minus reference; None where no image has a finite difference."""
    x = differences(values, reference)
    x = x[np.isfinite(x)]
    return float(x.mean()) if x.size else None


def bootstrap_interval(
    x: np.ndarray, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> tuple[float, float] | None:
    """Bootstrap interval of the mean, BCa.

    Args:
        x: (n,) differences.
        confidence: of the interval, in (0, 1).
        resamples: bootstrap samples.
        seed: of their generator.

    Returns:
        Lower and upper end; None for a single value, both equal for values that do not differ.
    """
    if len(x) < 2:
        return None
    if np.ptp(x) == 0:
        return float(x[0]), float(x[0])
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BCa warns where it is undefined
            interval = stats.bootstrap(
                (x,),
                np.mean,
                confidence_level=confidence,
                n_resamples=resamples,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(interval).all():
            break
    return float(interval.low), float(interval.high)


def wilcoxon_p(x: np.ndarray, min_images: int = 6) -> float | None:
    """Two-sided p-value of Wilcoxon's signed ranks.

    Args:
        x: (n,) differences.
        min_images: fewer give None; below 6, no outcome could be called significant at 0.05.

    Returns:
        p in [0, 1], 1 where every difference is zero.
    """
    if len(x) < min_images:
        return None
    if not x.any():
        return 1.0
    return float(stats.wilcoxon(x, zero_method="pratt").pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction of a family of tests; None (no test) stays None and does not count.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    ordered = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p))
        corrected[index] = largest
    return corrected


def compare(
    values: Sequence[float],
    reference: Sequence[float],
    higher_is_better: bool,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
    min_images: int = 6,
) -> Paired:
    """Compare two recipes on the same images.

    Args:
        values: one per image.
        reference: of the other recipe, the same images in the same order.
        higher_is_better: which side wins.
        confidence: of the interval.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        min_images: fewer get no test.

    Returns:
        The paired statistics, recipe minus reference.

    Raises:
        ValueError: lengths differ, or no image has a finite difference.
    """
    every = differences(values, reference)
    x = every[np.isfinite(every)]
    if x.size == 0:
        raise ValueError("expected at least one finite difference, got none")
    interval = bootstrap_interval(x, confidence, resamples, seed)
    low, high = interval if interval is not None else (None, None)
    return Paired(
        n=len(x),
        dropped=len(every) - len(x),
        mean=float(x.mean()),
        median=float(np.median(x)),
        low=low,
        high=high,
        p=wilcoxon_p(x, min_images),
        wins=int((x > 0).sum() if higher_is_better else (x < 0).sum()),
        ties=int((x == 0).sum()),
    )
