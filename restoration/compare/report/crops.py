"""Which crops a report shows: chosen by rules that are printed with them, never by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from restoration.compare.findings import images_of
from restoration.degradations.conditions import Condition
from restoration.evaluate import EvaluationSet, Row
from restoration.evaluate.rows import condition_text

SIDE = 80  # pixels of a crop
STRIDE = 16  # between windows that are looked at
DARK_SHARE = 0.2  # "dark" is this share of all windows
BLACK = 0.02  # mean luma below which a window shows nothing
NUM_DARK = 2
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Crop:
    """A square window of a test image under one condition, and the rule that chose it."""

    title: str
    rule: str
    set: str
    image: str
    condition: Condition
    top: int
    left: int
    side: int


def window_sums(values: np.ndarray, side: int) -> tuple[np.ndarray, list[int], list[int]]:
    """Sum over every window of a grid.

    Args:
        values: (H, W).
        side: of the window, at most H and W.

    Returns:
        (rows, columns) sums, and the tops and lefts of the windows, STRIDE apart; the last ones
        end where the image ends.
    """
    height, width = values.shape
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    tops = sorted({*range(0, height - side + 1, STRIDE), height - side})
    lefts = sorted({*range(0, width - side + 1, STRIDE), width - side})
    t, x = np.array(tops)[:, None], np.array(lefts)[None]
    sums = total[t + side, x + side] - total[t, x + side] - total[t + side, x] + total[t, x]
    return sums, tops, lefts


def best_window(values: np.ndarray, side: int) -> tuple[int, int]:
    """Top and left of the window of a grid with the largest sum of (H, W) values."""
    sums, tops, lefts = window_sums(values, side)
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    return tops[row], lefts[column]


def dark_smooth(sets: Mapping[str, EvaluationSet], condition: Condition) -> list[Crop]:
    """Find the smoothest windows among the darkest of all test images, one per image.

    Args:
        sets: test sets by name; those that are not tested under the condition are left out.
        condition: under which they will be shown.

    Returns:
        At most NUM_DARK crops.
    """
    windows = [
        window
        for name, test_set in sets.items()
        for index in range(len(test_set) if condition in test_set.conditions else 0)
        for window in _visible_windows(test_set, name, index)
    ]
    if not windows:
        return []
    limit = float(np.quantile([window.mean for window in windows], DARK_SHARE))
    rule = (
        f"of all {SIDE}-pixel windows of the test images, the darkest {DARK_SHARE:.0%} (mean luma "
        f"at most {limit:.2f}; nearly black ones left out); among them the smallest standard "
        "deviation of luma, one window per image"
    )
    chosen: dict[tuple[str, str], Crop] = {}
    for window in sorted(windows, key=lambda window: window.spread):
        key = (window.set, window.image)
        if window.mean <= limit and key not in chosen and len(chosen) < NUM_DARK:
            title = f"Dark and smooth, {len(chosen) + 1}"
            chosen[key] = Crop(title, rule, *key, condition, window.top, window.left, window.side)
    return list(chosen.values())


@dataclass(frozen=True)
class Window:
    """A square window of an image, with the mean and the standard deviation of its luma."""

    set: str
    image: str
    mean: float
    spread: float
    top: int
    left: int
    side: int


def _visible_windows(test_set: EvaluationSet, name: str, index: int) -> list[Window]:
    """Windows of one image that are not nearly black."""
    image = test_set.source.read_float(index)
    luma = image @ np.array(LUMA, np.float32) if image.shape[2] == 3 else image[:, :, 0]
    luma = luma.astype(np.float64)
    side = min(SIDE, *luma.shape)
    sums, tops, lefts = window_sums(luma, side)
    squares, _, _ = window_sums(luma**2, side)
    means = sums / side**2
    spread = np.sqrt(np.maximum(squares / side**2 - means**2, 0))
    file = test_set.source.names[index]
    return [
        Window(name, file, mean, float(spread[row, column]), tops[row], lefts[column], side)
        for (row, column), mean in np.ndenumerate(means)
        if mean >= BLACK
    ]


def by_difference(
    rows: Sequence[Row],
    pair: tuple[str, str],
    metric: str,
    label: str,
    higher_is_better: bool,
    condition: Condition,
    errors: Callable[[str, str, str], np.ndarray],
) -> list[Crop]:
    """Find the images where either recipe wins most, and the median one.

    Args:
        rows: values per image.
        pair: two recipes.
        metric: by which they are ranked.
        label: its name for people.
        higher_is_better: which side wins.
        condition: that the images were tested under.
        errors: (recipe, set, image) -> (H, W) mean absolute error of the restored image.

    Returns:
        Up to three crops.
    """
    images, others = (images_of(rows, name, condition) for name in pair)
    sign = 1 if higher_is_better else -1
    gaps = {
        key: sign * (row.values[metric] - others[key].values[metric]) for key, row in images.items()
    }
    ranked = sorted((key for key in gaps if np.isfinite(gaps[key])), key=gaps.__getitem__)
    if not ranked:
        return []
    what = f"{label} at {condition_text(condition)}"
    crops = []
    for key, (winner, loser) in ((ranked[-1], pair), (ranked[0], pair[::-1])):
        if gaps[key] * (1 if winner == pair[0] else -1) <= 0:
            continue  # this recipe wins nowhere
        gain = errors(loser, *key) - errors(winner, *key)
        side = min(SIDE, *gain.shape)
        rule = (
            f"the image on which {winner} is ahead of {loser} most in {what}; in it, the window "
            f"where the absolute error of {loser} exceeds that of {winner} most"
        )
        window = best_window(gain, side)
        crops.append(Crop(f"Largest win of {winner}", rule, *key, condition, *window, side))
    key = ranked[len(ranked) // 2]
    height, width = errors(pair[0], *key).shape
    side = min(SIDE, height, width)
    rule = f"the image whose difference in {what} is the median; its centre"
    centre = ((height - side) // 2, (width - side) // 2)
    return [*crops, Crop("The median image", rule, *key, condition, *centre, side)]
