"""How well a metric agrees with ratings: PLCC after a logistic fit, SROCC, KRCC, RMSE.

The logistic has the four parameters of the VQEG (2003, "Final report from the Video Quality
Experts Group on the validation of objective models of video quality assessment, phase II").
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import kendalltau, pearsonr, spearmanr

STATISTICS = ("plcc", "srocc", "krcc", "rmse")
MIN_PAIRS = 5  # one more than the logistic has parameters
MAX_EVALUATIONS = 2000
BOUND = 10.0  # limits that run away are held within this many ranges of the scores


def logistic(x: np.ndarray, b1: float, b2: float, b3: float, b4: float) -> np.ndarray:
    """The VQEG's curve: from b2 to b1 as x passes b3, over a width of |b4|.

    Args:
        x: values of a metric, any shape.
        b1: limit at the upper end.
        b2: limit at the lower end.
        b3: middle.
        b4: width; its sign does not matter.

    Returns:
        Same shape as x: b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|)).
    """
    width = max(abs(b4), np.finfo(float).tiny)
    with np.errstate(over="ignore"):
        return b2 + (b1 - b2) / (1 + np.exp(-(np.asarray(x) - b3) / width))


@dataclass(frozen=True)
class Curve:
    """A fitted curve from a metric to ratings.

    Args:
        parameters: b1..b4 of `logistic`, or offset and slope where that fit failed.
        converged: whether this is the logistic; else the straight line of least squares.
    """

    parameters: tuple[float, ...]
    converged: bool

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Predicted ratings, same shape as the values."""
        if self.converged:
            return logistic(values, *self.parameters)
        offset, slope = self.parameters
        return offset + slope * np.asarray(values)

    @property
    def rises(self) -> bool:
        """Whether a higher value predicts a better rating."""
        first, second = self.parameters[:2]
        return first >= second if self.converged else second >= 0


def fit_curve(values: np.ndarray, scores: np.ndarray) -> Curve:
    """Fit the logistic from several starts and keep the best.

    Args:
        values: (N,) of a metric, finite.
        scores: (N,) ratings.

    Returns:
        The curve. Where data show only one bend, the other limit would run away: it is held within
        10 ranges of the scores. `converged` is False where no start led to a curve, the values are
        all the same, or there are fewer than 5 pairs.

    Raises:
        ValueError: shapes differ, or values that are not finite.
    """
    values, scores = _checked(values, scores)
    spread = values.std()
    if len(values) < MIN_PAIRS or spread == 0 or scores.std() == 0:
        return _line(values, scores)
    center = np.median(values)
    x = (values - center) / spread  # (N,) the optimiser sees numbers near 1
    starts = _starts(x, scores)
    fits = [best for start in starts if (best := _fit_from(start, x, scores)) is not None]
    if len(fits) < len(starts):  # a limit may be running away: hold it
        reach = BOUND * np.ptp(scores)
        ends = [(scores.min() - reach, scores.max() + reach)] * 2
        lowest, highest = zip(*ends, (-BOUND, BOUND), (1 / BOUND**2, BOUND), strict=True)
        bounded = (_fit_from(start, x, scores, (lowest, highest)) for start in starts[:2])
        fits += [best for best in bounded if best is not None]
    if not fits:
        return _line(values, scores)
    b1, b2, b3, b4 = min(fits, key=lambda best: np.square(logistic(x, *best) - scores).sum())
    return Curve((b1, b2, center + spread * b3, spread * abs(b4)), True)


def _fit_from(
    start: tuple[float, ...],
    x: np.ndarray,
    scores: np.ndarray,
    bounds: tuple[Sequence[float] | float, Sequence[float] | float] = (-np.inf, np.inf),
) -> tuple[float, ...] | None:
    """Parameters of the logistic from one start, or None where it does not converge."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # no covariance is needed
            inside = np.clip(start, *bounds)
            best, _ = curve_fit(logistic, x, scores, inside, bounds=bounds, maxfev=MAX_EVALUATIONS)
    except RuntimeError:
        return None
    return tuple(map(float, best)) if np.isfinite(best).all() else None


def _starts(x: np.ndarray, scores: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Starts: the ratings' ends by the sign of the rank correlation, several middles and widths."""
    low, high = scores.min(), scores.max()
    ends = (high, low) if spearmanr(x, scores)[0] >= 0 else (low, high)
    quarters = np.quantile(x, (0.25, 0.5, 0.75))
    width = max((quarters[2] - quarters[0]) / 2, 1e-3)
    return [
        (*ends, quarters[1], width),
        (*ends, quarters[1], width / 4),
        (*ends, quarters[0], width / 2),
        (*ends, quarters[2], width / 2),
        (*ends, float(x.mean()), 1.0),
    ]


def _line(values: np.ndarray, scores: np.ndarray) -> Curve:
    """The straight line of least squares; flat where the values are all the same."""
    spread = values.var()
    slope = 0.0 if spread == 0 else float(np.cov(values, scores, bias=True)[0, 1] / spread)
    return Curve((float(scores.mean() - slope * values.mean()), slope), False)


@dataclass(frozen=True)
class Agreement:
    """Agreement of one metric with ratings over one set of pairs; None where undefined.

    Args:
        plcc: Pearson correlation of ratings with the fitted curve; negative where the curve falls.
        srocc: Spearman rank correlation.
        krcc: Kendall rank correlation, tau-b.
        rmse: root mean squared error of the fitted curve, in units of the ratings.
        curve: the fit, from the metric turned so that higher is better.
    """

    plcc: float | None
    srocc: float | None
    krcc: float | None
    rmse: float
    curve: Curve


def agreement(quality: np.ndarray, scores: np.ndarray) -> Agreement:
    """Compare a metric with ratings.

    Args:
        quality: (N,) of a metric, turned so that higher is better.
        scores: (N,) ratings, higher is better.

    Returns:
        All statistics; correlations are None where one side is constant.

    Raises:
        ValueError: shapes differ, or values that are not finite.
    """
    quality, scores = _checked(quality, scores)
    curve = fit_curve(quality, scores)
    predicted = curve(quality)
    rmse = float(np.sqrt(np.square(predicted - scores).mean()))
    if len(quality) < 2 or np.ptp(quality) == 0 or np.ptp(scores) == 0:
        return Agreement(None, None, None, rmse, curve)
    sign = 1.0 if curve.rises else -1.0
    plcc = sign * float(pearsonr(predicted, scores)[0]) if np.ptp(predicted) > 0 else None
    srocc, krcc = (float(f(quality, scores)[0]) for f in (spearmanr, kendalltau))
    return Agreement(plcc, srocc, krcc, rmse, curve)


def _checked(values: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, scores = np.asarray(values, np.float64), np.asarray(scores, np.float64)
    if values.ndim != 1 or values.shape != scores.shape or not len(values):
        raise ValueError(f"expected two (N,) arrays, got {values.shape} and {scores.shape}")
    if not (np.isfinite(values).all() and np.isfinite(scores).all()):
        raise ValueError("expected finite values and scores, got inf or NaN")
    return values, scores
