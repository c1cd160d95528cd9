"""Monotone interpolation of many small curves at once.

Piecewise cubic Hermite interpolation whose slopes are harmonic means (Fritsch and Butland 1984):
between two points it never leaves their values, so that a curve of few points makes no bumps of
its own. The values are those of scipy's PchipInterpolator, which takes one curve at a time.
"""

import numpy as np

CLOSEST = 1e-9  # share of a curve's width by which points at one place are moved apart


def by_place(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the points of curves, (..., K) each; equal places are moved apart by very little."""
    order = np.argsort(x, -1, kind="stable")
    x, y = np.take_along_axis(x, order, -1), np.take_along_axis(y, order, -1)
    equal = np.diff(x, prepend=x[..., :1] - 1) == 0
    return x + equal.cumsum(-1) * (CLOSEST * (x[..., -1:] - x[..., :1])), y


def interpolate(x: np.ndarray, y: np.ndarray, at: np.ndarray, monotone: bool = True) -> np.ndarray:
    """Interpolate curves; beyond their ends the last piece goes on.

    Args:
        x: (..., K) places of K >= 2 points, in any order, not all at one place.
        y: (..., K) values.
        at: (..., Q) places that are asked for.
        monotone: by cubic pieces; by straight lines if not.

    Returns:
        (..., Q) values.
    """
    x, y = by_place(x, y)
    widths = np.diff(x)
    slopes = np.diff(y) / widths
    piece = (at[..., None] > x[..., None, 1:-1]).sum(-1)  # (..., Q)
    left, right = _take(y, piece), _take(y, piece + 1)
    width, offset = _take(widths, piece), at - _take(x, piece)
    if not monotone:
        return left + _take(slopes, piece) * offset
    tangents = _tangents(widths, slopes)
    start, end = _take(tangents, piece) * width, _take(tangents, piece + 1) * width
    t = offset / width
    rise = right - left
    return left + t * (start + t * ((3 * rise - 2 * start - end) + t * (start + end - 2 * rise)))


def _take(values: np.ndarray, piece: np.ndarray) -> np.ndarray:
    shape = (*np.broadcast_shapes(values.shape[:-1], piece.shape[:-1]), values.shape[-1])
    return np.take_along_axis(np.broadcast_to(values, shape), piece, -1)


def _tangents(widths: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Slopes at the points, (..., K), from widths and slopes of the pieces, (..., K - 1)."""
    if slopes.shape[-1] == 1:
        return np.concatenate([slopes, slopes], -1)
    before, after = widths[..., :-1], widths[..., 1:]
    left, right = slopes[..., :-1], slopes[..., 1:]
    first, second = 2 * after + before, after + 2 * before
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = (first + second) / (first / left + second / right)
    inner = np.where(left * right > 0, harmonic, 0.0)
    return np.concatenate(
        [
            _end(widths[..., :1], widths[..., 1:2], slopes[..., :1], slopes[..., 1:2]),
            inner,
            _end(widths[..., -1:], widths[..., -2:-1], slopes[..., -1:], slopes[..., -2:-1]),
        ],
        -1,
    )


def _end(h: np.ndarray, next_h: np.ndarray, m: np.ndarray, next_m: np.ndarray) -> np.ndarray:
    """Slope at an end by three points, held back where it would overshoot."""
    slope = ((2 * h + next_h) * m - h * next_m) / (h + next_h)
    slope = np.where((m * next_m < 0) & (np.abs(slope) > 3 * np.abs(m)), 3 * m, slope)
    return np.where(slope * m <= 0, 0.0, slope)
