"""Bootstrap of agreement statistics by reference image, exact and without a loop over resamples.

Pairs of one reference are not independent, so references are drawn, with all their pairs. A
resample is a count per reference; every statistic is then a function of weighted sums over these.
"""

import numpy as np
from scipy.stats import rankdata

CHUNK = 4_000_000  # numbers in one temporary array


def draw_counts(num_references: int, num_resamples: int, seed: int) -> np.ndarray:
    """How often each reference is in each resample.

    Args:
        num_references: R, drawn with replacement R times.
        num_resamples: B.
        seed: of the draw.

    Returns:
        (B, R) integers, each row sums to R.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, num_references, (num_resamples, num_references))
    return np.stack([np.bincount(row, minlength=num_references) for row in drawn])


def resampled_statistics(
    quality: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    counts: np.ndarray,
) -> dict[str, np.ndarray]:
    """Agreement statistics of every resample; the fitted curve stays that of all pairs.

    Args:
        quality: (N,) of a metric, higher is better.
        predicted: (N,) the fitted curve at these values.
        scores: (N,) ratings.
        groups: (N,) number of the reference of each pair, in 0..R-1.
        counts: (B, R) from `draw_counts`.

    Returns:
        "plcc" (not signed), "srocc", "krcc" and "rmse", (B,) each; NaN where one is undefined.
    """
    weights = counts[:, groups].astype(np.float64)  # (B, N)
    rows = max(1, CHUNK // max(1, weights.shape[1]))
    parts = [
        (
            _correlation(part, predicted, scores),
            _correlation(part, _ranks(part, quality), _ranks(part, scores)),
            _rmse(part, predicted, scores),
        )
        for part in np.split(weights, range(rows, len(weights), rows))
    ]
    plcc, srocc, rmse = (np.concatenate(column) for column in zip(*parts, strict=True))
    return {
        "plcc": plcc,
        "srocc": srocc,
        "krcc": _kendall(quality, scores, groups, counts.astype(np.float64)),
        "rmse": rmse,
    }


def _correlation(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation, (B, N) weights, (N,) or (B, N) values -> (B,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(1, keepdims=True)
        x, y = (v - (weights * v).sum(1, keepdims=True) / total for v in (x, y))
        xx, yy, xy = ((weights * a * b).sum(1) for a, b in ((x, x), (y, y), (x, y)))
        return xy / np.sqrt(xx * yy)


def _rmse(weights: np.ndarray, predicted: np.ndarray, scores: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.sqrt(weights @ np.square(predicted - scores) / weights.sum(1))


def _ranks(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Mean rank of every pair in each resample, ties shared: (B, N), (N,) -> (B, N)."""
    level = rankdata(x, "dense") - 1  # (N,)
    order = np.argsort(level, kind="stable")
    starts = np.searchsorted(level[order], np.arange(level.max() + 1))
    per_level = np.add.reduceat(weights[:, order], starts, axis=1)  # (B, L)
    below = per_level.cumsum(1) - per_level
    return (below + (per_level + 1) / 2)[:, level]


def _kendall(
    quality: np.ndarray, scores: np.ndarray, groups: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Kendall's tau-b: (N,) x 3, (B, R) -> (B,).

    A copy of a pair ties with the pair in both columns, so concordance needs only the R x R sums of
    signs between references: tau = c'Sc / sqrt(c'Xc c'Yc).
    """
    order = np.argsort(groups, kind="stable")
    x, y, groups = quality[order], scores[order], groups[order]
    present, starts = np.unique(groups, return_index=True)
    ends = np.append(starts[1:], len(groups))
    sums = np.zeros((3, len(present), len(present)))
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        sign_x = np.sign(x[start:end, None] - x[None]).astype(np.float32)  # (n, N)
        sign_y = np.sign(y[start:end, None] - y[None]).astype(np.float32)
        for number, signs in enumerate((sign_x * sign_y, abs(sign_x), abs(sign_y))):
            columns = signs.sum(0, dtype=np.float64)
            sums[number, row] = np.add.reduceat(columns, starts)
    c = counts[:, present]
    both, in_x, in_y = (((c @ matrix) * c).sum(1) for matrix in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt(in_x * in_y)


def interval(samples: np.ndarray, confidence: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of a statistic's resamples; None where too few are defined.

    Args:
        samples: (B,); NaN for resamples in which the statistic is undefined.
        confidence: share of resamples inside.
    """
    defined = samples[~np.isnan(samples)]
    if len(defined) < max(2, len(samples) / 2):
        return None
    low, high = np.quantile(defined, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)
