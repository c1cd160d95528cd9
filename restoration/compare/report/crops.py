"""Which crops a report shows: chosen by rules that are printed with them, never by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from restoration.compare.findings import images_of
from restoration.evaluate import EvaluationSet
from restoration.evaluate.measure import Row

SIDE = 80  # pixels of a crop
STRIDE = 16  # between windows that are looked at
DARK_SHARE = 0.2  # "dark" is this share of all windows
BLACK = 0.02  # mean luma below which a window shows nothing
NUM_DARK = 2
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Crop:
    """A square window of a test image at one noise level, and the rule that chose it."""

    title: str
    rule: str
    set: str
    image: str
    sigma: float
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


def dark_smooth(sets: Mapping[str, EvaluationSet], sigma: float) -> list[Crop]:
    """Find the smoothest windows among the darkest of all test images, one per image.

    Args:
        sets: test sets by name; those that are not tested at sigma are left out.
        sigma: noise level at which they will be shown.

    Returns:
        At most NUM_DARK crops.
    """
    found: list[tuple[float, float, str, int, int, int, int]] = []
    for name, one in sets.items():
        for index in range(len(one) if sigma in one.sigmas else 0):
            image = one.source.read_float(index)
            luma = image @ np.array(LUMA, np.float32) if image.shape[2] == 3 else image[:, :, 0]
            luma = luma.astype(np.float64)
            side = min(SIDE, *luma.shape)
            sums, tops, lefts = window_sums(luma, side)
            squares, _, _ = window_sums(luma**2, side)
            means = sums / side**2
            spread = np.sqrt(np.maximum(squares / side**2 - means**2, 0))
            for (row, column), mean in np.ndenumerate(means):
                if mean >= BLACK:
                    place = (index, tops[row], lefts[column], side)
                    found.append((mean, float(spread[row, column]), name, *place))
    if not found:
        return []
    limit = float(np.quantile([one[0] for one in found], DARK_SHARE))
    rule = (
        f"of all {SIDE}-pixel windows of the test images, the darkest {DARK_SHARE:.0%} (mean luma "
        f"at most {limit:.2f}; nearly black ones left out); among them the smallest standard "
        "deviation of luma, one window per image"
    )
    chosen: dict[tuple[str, int], Crop] = {}
    for mean, _, name, index, top, left, side in sorted(found, key=lambda one: one[1]):
        if mean <= limit and (name, index) not in chosen and len(chosen) < NUM_DARK:
            image = sets[name].source.names[index]
            title = f"Dark and smooth, {len(chosen) + 1}"
            chosen[name, index] = Crop(title, rule, name, image, sigma, top, left, side)
    return list(chosen.values())


def by_difference(
    rows: Sequence[Row],
    pair: tuple[str, str],
    metric: str,
    label: str,
    higher_is_better: bool,
    sigma: float,
    errors: Callable[[str, str, str], np.ndarray],
) -> list[Crop]:
    """Find the images where either recipe wins most, and the median one.

    Args:
        rows: values per image.
        pair: two recipes.
        metric: by which they are ranked.
        label: its name for people.
        higher_is_better: which side wins.
        sigma: noise level.
        errors: (recipe, set, image) -> (H, W) mean absolute error of the restored image.

    Returns:
        Up to three crops.
    """
    mine, others = (images_of(rows, name, sigma) for name in pair)
    sign = 1 if higher_is_better else -1
    gaps = {key: sign * (mine[key][metric] - others[key][metric]) for key in mine}
    ranked = sorted((key for key in gaps if np.isfinite(gaps[key])), key=gaps.__getitem__)
    found = []
    cases = ((ranked[-1:], pair, 1), (ranked[:1], pair[::-1], -1))
    for keys, (winner, loser), side_of in cases:
        for key in keys:
            if side_of * gaps[key] <= 0:
                continue  # this recipe wins nowhere
            gain = errors(loser, *key) - errors(winner, *key)
            side = min(SIDE, *gain.shape)
            rule = (
                f"the image on which {winner} is ahead of {loser} most in {label} at sigma "
                f"{sigma:g}; in it, the window where the absolute error of {loser} exceeds that "
                f"of {winner} most"
            )
            window = best_window(gain, side)
            found.append(Crop(f"Largest win of {winner}", rule, *key, sigma, *window, side))
    if ranked:
        key = ranked[len(ranked) // 2]
        height, width = errors(pair[0], *key).shape
        side = min(SIDE, height, width)
        rule = f"the image whose difference in {label} at sigma {sigma:g} is the median; its centre"
        window = ((height - side) // 2, (width - side) // 2)
        found.append(Crop("The median image", rule, *key, sigma, *window, side))
    return found
