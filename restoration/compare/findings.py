"""From values per image to what can be told: differences, verdicts, signs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from restoration.compare import seeds
from restoration.compare.options import Expectation, Statistics
from restoration.compare.signs import Sign, check_signs
from restoration.compare.statistics import Paired, compare, differences, holm
from restoration.degradations.conditions import Condition
from restoration.evaluate.measure import NOISY
from restoration.evaluate.rows import (
    Mean,
    Row,
    condition_columns,
    condition_text,
    conditions_of,
    only_gaussian,
    summarize,
    to_row,
)

BETTER, WORSE = "better", "worse"
UNDECIDED, IDENTICAL, TOO_FEW = "not told apart", "identical", "too few images"
SPLIT = "seeds disagree"


@dataclass(frozen=True)
class Difference:
    """One recipe against the reference: one metric under one condition, all test images.

    `paired` is of the values averaged over the seeds; `by_seed` has every seed's mean difference.
    """

    metric: str
    condition: Condition
    recipe: str
    reference: str
    higher_is_better: bool
    paired: Paired
    by_seed: dict[int, float | None] = field(default_factory=dict)
    p_holm: float | None = None
    verdict: str = UNDECIDED

    @property
    def favourable(self) -> bool:
        """Whether the mean difference points to the better side."""
        return (self.paired.mean > 0) == self.higher_is_better and self.paired.mean != 0

    @property
    def identical(self) -> bool:
        """Whether every difference is exactly zero, for every seed."""
        return self.paired.identical and not any(v != 0 for v in self.by_seed.values())

    @property
    def seeds_agree(self) -> bool:
        """Whether the mean differences of all seeds have one sign."""
        values = self.by_seed.values()
        return len({None if value is None else np.sign(value) for value in values}) <= 1


@dataclass(frozen=True)
class Findings:
    """Everything that a comparison found.

    Attributes:
        rows: values per image, averaged over the seeds.
        trainings: those of every single training, with its seed; the rows where there are no seeds.
        means: over images and over sets, with their spread over several seeds.
        differences: of every recipe to the reference.
        signs: found before, and whether they are here.
    """

    rows: list[Row]
    trainings: list[Row]
    means: list[Mean]
    differences: list[Difference]
    signs: list[Sign]

    @property
    def family(self) -> int:
        """How many tests are corrected together."""
        return sum(difference.paired.p is not None for difference in self.differences)

    @property
    def conditions(self) -> list[Condition]:
        """Everything that the runs were tested under, in order."""
        return conditions_of(self.means)

    def of(self, recipe: str, metric: str) -> list[Difference]:
        """Return the differences of one recipe in one metric, in the order of the conditions."""
        return [d for d in self.differences if (d.recipe, d.metric) == (recipe, metric)]


def images_of(rows: Sequence[Row], run: str, condition: Condition) -> dict[tuple[str, str], Row]:
    """Rows of one run under one condition by (set, image), in the order of the sets."""
    return {
        (row.set, row.image): row for row in rows if (row.run, row.condition) == (run, condition)
    }


def _difference(
    rows: Sequence[Row],
    averaged: Sequence[Row],
    metric: str,
    condition: Condition,
    pair: tuple[str, str],
    higher_is_better: bool,
    how: Statistics,
) -> Difference | None:
    """Compare two runs, or None where they have no images, or no finite difference."""
    images, reference = (images_of(averaged, name, condition) for name in pair)
    if not images:
        return None
    if images.keys() != reference.keys():
        raise ValueError(
            f"expected the same images of {pair[0]} and {pair[1]} at {condition_text(condition)}, "
            f"got {len(images)} and {len(reference)}"
        )
    values = [row.values[metric] for row in images.values()]
    others = [reference[key].values[metric] for key in images]
    if not np.isfinite(differences(values, others)).any():
        return None
    paired = compare(
        values,
        others,
        higher_is_better,
        how.confidence,
        how.resamples,
        how.seed,
        how.min_images,
    )
    by_seed = seeds.mean_differences(rows, metric, condition, pair)
    return Difference(metric, condition, *pair, higher_is_better, paired, by_seed)


def verdict(difference: Difference, alpha: float) -> str:
    """Say what one difference means.

    A side wins only where the corrected test is significant and the interval of the mean excludes
    zero; the two answer different questions, and both have to agree. They are over images: with
    several seeds, the mean differences of all of them must have one sign, too, or the verdict is
    that they disagree.
    """
    low, high = difference.paired.low, difference.paired.high
    if difference.identical:
        return IDENTICAL
    if difference.p_holm is None or low is None or high is None:
        return TOO_FEW
    if difference.p_holm >= alpha or low <= 0 <= high:
        return UNDECIDED
    if not difference.seeds_agree:
        return SPLIT
    return BETTER if difference.favourable else WORSE


def find_differences(
    rows: Sequence[Row | Mapping[str, Any]],
    higher_is_better: Mapping[str, bool],
    reference: str,
    runs: Sequence[str],
    statistics: Statistics | None = None,
) -> list[Difference]:
    """Compare runs with a reference on the same images, whoever measured them.

    All tests are one family for Holm's correction. A pair of runs that shares no finite difference
    under a condition (one of them infinite on every image) is left out.

    Args:
        rows: one per run, seed (where there are several), set, image and condition: `Row`s, or
            flat mappings as per_image.csv has them, with numbers as numbers: {"run", "set",
            "image", "sigma", <metric>: value, ...}, perhaps "seed".
        higher_is_better: by metric that is compared.
        reference: a run.
        runs: the other runs.
        statistics: interval, test and level; the defaults of a comparison if absent.

    Returns:
        One Difference per run, metric and condition.

    Raises:
        ValueError: a row lacks a column, or two runs were not measured on the same images.
    """
    how = statistics or Statistics()
    every = [to_row(row) for row in rows]
    averaged = seeds.average(every)
    compared = [
        _difference(every, averaged, metric, condition, (run, reference), higher, how)
        for run in runs
        for metric, higher in higher_is_better.items()
        for condition in conditions_of(every)
    ]
    finite = [difference for difference in compared if difference is not None]
    corrected = holm([difference.paired.p for difference in finite])
    tested = [replace(d, p_holm=p) for d, p in zip(finite, corrected, strict=True)]
    return [replace(difference, verdict=verdict(difference, how.alpha)) for difference in tested]


def find(
    rows: Sequence[Row],
    higher_is_better: Mapping[str, bool],
    reference: str,
    runs: Sequence[str],
    expected: Sequence[Expectation],
    how: Statistics,
) -> Findings:
    """Average, compare, test and count signs.

    Args:
        rows: one per run, seed (where there are several), set, image and condition, the noisy
            input among them.
        higher_is_better: by metric that was measured.
        reference: the run that the others are compared with.
        runs: the other runs.
        expected: signs that were found before.
        how: interval, test and level.

    Returns:
        The findings.
    """
    averaged = seeds.average(rows)
    means = seeds.add_spread(summarize(averaged), rows)
    restored = [row for row in rows if row.run != NOISY]
    return Findings(
        averaged,
        list(rows),
        means,
        find_differences(restored, higher_is_better, reference, runs, how),
        check_signs(means, expected, reference, conditions_of(restored)),
    )


def plain_differences(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as result files hold them."""
    sigma = only_gaussian(difference.condition for difference in differences)
    return [_plain(difference, sigma) for difference in differences]


def _plain(difference: Difference, sigma: bool) -> dict[str, Any]:
    content = asdict(difference)
    condition, paired, by_seed = (content.pop(key) for key in ("condition", "paired", "by_seed"))
    metric = {"metric": content.pop("metric")} | condition_columns(Condition(**condition), sigma)
    content = metric | content | paired | {"win_rate": difference.paired.win_rate}
    return content | ({"mean_by_seed": by_seed} if by_seed else {})
