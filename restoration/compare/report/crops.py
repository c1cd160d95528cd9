"""Which crops a report shows: chosen by rules that are printed with them, never by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from restoration.common.luma import LUMA
from restoration.compare.findings import images_of
from restoration.degradations.conditions import Condition
from restoration.evaluate import EvaluationSet, Row
from restoration.evaluate.rows import condition_text

SIDE = 112  # pixels of a crop, shown three times as large
STRIDE = 16  # between windows whose brightness is looked at
DARK_SHARE = 0.2  # "dark" is this share of all windows
BLACK = 0.05  # mean luma below which a window shows nothing
NUM_DARK = 3
DARK, WIN, MEDIAN = "dark", "win", "median"
# (recipe, set, image, windows as (top, left), side) -> a value per window
Measure = Callable[[str, str, str, Sequence[tuple[int, int]], int], np.ndarray]


@dataclass(frozen=True)
class Crop:
    """A square window of a test image under one condition, and the rule that chose it.

    `kind` is DARK, WIN or MEDIAN.
    """

    kind: str
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


def dark_smooth(sets: Mapping[str, EvaluationSet], condition: Condition) -> list[Crop]:
    """Find the smoothest windows among the darkest of all test images, one per image.

    Args:
        sets: test sets by name; those that are not tested under the condition are left out.
        condition: under which they will be shown.

    Returns:
        At most NUM_DARK crops, the smoothest first.
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
            place = (window.top, window.left, window.side)
            chosen[key] = Crop(DARK, title, rule, *key, condition, *place)
    return list(chosen.values())


def luma_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 1) in [0, 1] -> (H, W), float64."""
    luma = image @ np.array(LUMA, np.float32) if image.shape[2] == 3 else image[:, :, 0]
    return luma.astype(np.float64)


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
    luma = luma_of(image)
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


@dataclass(frozen=True)
class Ranking:
    """By what images, and windows in them, are chosen.

    Attributes:
        metric: its name.
        label: its name for people.
        higher_is_better: which side wins.
        condition: that the images were tested under.
        measure: values of windows of restored images, in that metric or one that stands for it.
        what: what is measured in windows, in words.
    """

    metric: str
    label: str
    higher_is_better: bool
    condition: Condition
    measure: Measure
    what: str

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.higher_is_better else -1


def by_difference(
    rows: Sequence[Row],
    pair: tuple[str, str],
    ranking: Ranking,
    read_luma: Callable[[str, str], np.ndarray],
    with_median: bool = True,
) -> list[Crop]:
    """Find the images where either recipe wins most, and the median one.

    Args:
        rows: values per image.
        pair: two recipes.
        ranking: by what.
        read_luma: (set, image) -> (H, W) of the reference.
        with_median: whether the median image is looked for.

    Returns:
        Up to three crops.
    """
    images, others = (images_of(rows, name, ranking.condition) for name in pair)
    gaps = {
        key: ranking.sign * (row.values[ranking.metric] - others[key].values[ranking.metric])
        for key, row in images.items()
    }
    ranked = sorted((key for key in gaps if np.isfinite(gaps[key])), key=gaps.__getitem__)
    if not ranked:
        return []
    crops = []
    for key, (winner, loser) in ((ranked[-1], pair), (ranked[0], pair[::-1])):
        if gaps[key] * (1 if winner == pair[0] else -1) > 0:  # else this recipe wins nowhere
            crops.append(_largest_win(key, winner, loser, ranking, read_luma(*key)))
    if with_median:
        key = ranked[len(ranked) // 2]
        crops.append(_median(key, ranking, read_luma(*key)))
    return crops


def _largest_win(
    key: tuple[str, str], winner: str, loser: str, ranking: Ranking, luma: np.ndarray
) -> Crop:
    """Crop the window of an image in which one recipe is ahead of the other most."""
    side = min(SIDE, *luma.shape)
    windows = half_overlapping(luma.shape, side)
    best = windows[0]
    if len(windows) > 1:
        mine, other = (ranking.measure(name, *key, windows, side) for name in (winner, loser))
        gains = ranking.sign * (mine - other)
        best = windows[int(np.where(np.isfinite(gains), gains, -np.inf).argmax())]
    label = f"{ranking.label} at {condition_text(ranking.condition)}"
    rule = (
        f"the image on which {winner} is ahead of {loser} most in {label}; in it, the window in "
        f"which it is ahead most in {ranking.what}"
    )
    title = f"Largest win of {winner} in {ranking.label}"
    return Crop(WIN, title, rule, *key, ranking.condition, *best, side)


def half_overlapping(shape: tuple[int, ...], side: int) -> list[tuple[int, int]]:
    """Tops and lefts of windows that overlap by half and end where the image ends."""
    tops, lefts = (sorted({*range(0, n - side + 1, max(1, side // 2)), n - side}) for n in shape)
    return [(top, left) for top in tops for left in lefts]


def _median(key: tuple[str, str], ranking: Ranking, luma: np.ndarray) -> Crop:
    """Crop the window with most detail of the median image."""
    side = min(SIDE, *luma.shape)
    windows = half_overlapping(luma.shape, side)
    spreads = [float(luma[t : t + side, x : x + side].std()) for t, x in windows]
    best = windows[int(np.argmax(spreads))]
    rule = (
        f"the image whose difference in {ranking.label} at {condition_text(ranking.condition)} is "
        "the median; in it, the window with the largest standard deviation of luma"
    )
    title = f"The median image in {ranking.label}"
    return Crop(MEDIAN, title, rule, *key, ranking.condition, *best, side)


def merge_same(crops: Sequence[Crop]) -> list[Crop]:
    """Join crops of one place: a title and a rule for each, as one image."""
    places: dict[tuple[str, str, int, int, int], Crop] = {}
    for crop in crops:
        place = (crop.set, crop.image, crop.top, crop.left, crop.side)
        first = places.get(place)
        if first is not None:
            crop = replace(
                first,
                title=f"{first.title}; {crop.title[0].lower()}{crop.title[1:]}",
                rule=f"{first.rule}. And: {crop.rule}",
            )
        places[place] = crop
    return list(places.values())
