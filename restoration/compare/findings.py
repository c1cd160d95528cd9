"""From values per image to what can be told: differences, verdicts, signs."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from restoration.compare import seeds, statistics
from restoration.compare.plan import Expectation, Statistics
from restoration.evaluate.measure import NOISY, Row
from restoration.evaluate.tables import AVERAGE, summarize
from restoration.metrics import known_metrics

BETTER, WORSE = "better", "worse"
UNDECIDED, IDENTICAL, TOO_FEW = "not told apart", "identical", "too few images"
SPLIT = "seeds disagree"
AGREES, DISAGREES, NOT_MEASURED, EQUAL = "agrees", "disagrees", "not measured", "equal"


@dataclass(frozen=True)
class Difference:
    """One recipe against the reference: one metric at one noise level, all test images.

    `paired` is of the values averaged over the seeds; `by_seed` has every seed's mean difference.
    """

    metric: str
    sigma: float
    recipe: str
    reference: str
    higher_is_better: bool
    paired: statistics.Paired
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
class Sign:
    """A sign that was found before, and whether the means found here have it too."""

    metric: str
    sigma: float
    recipe: str
    against: str
    expected: str
    difference: float | None
    outcome: str


@dataclass(frozen=True)
class Findings:
    """Everything that a comparison found.

    Attributes:
        rows: values per image, averaged over the seeds.
        trainings: those of every single training, with its seed; the rows where there are no seeds.
        summary: means over images and sets, with their spread over several seeds.
        differences: of every recipe to the reference.
        signs: found before, and whether they are here.
    """

    rows: list[Row]
    trainings: list[Row]
    summary: list[Row]
    differences: list[Difference]
    signs: list[Sign]

    @property
    def family(self) -> int:
        """How many tests are corrected together."""
        return sum(one.paired.p is not None for one in self.differences)

    def of(self, recipe: str, metric: str) -> list[Difference]:
        """Return the differences of one recipe in one metric, by noise level."""
        found = [d for d in self.differences if (d.recipe, d.metric) == (recipe, metric)]
        return sorted(found, key=lambda d: d.sigma)

    def mean(self, run: str, metric: str, sigma: float, of_set: str = AVERAGE) -> float | None:
        """Value of the table: mean over images, then over sets."""
        return self.summary_of(run, sigma, of_set).get(metric)

    def summary_of(self, run: str, sigma: float, of_set: str = AVERAGE) -> Row:
        """Row of the table; empty where there is none."""
        for row in self.summary:
            if (row["run"], row["sigma"], row["set"]) == (run, sigma, of_set):
                return row
        return {}


def images_of(rows: Sequence[Row], run: str, sigma: float) -> dict[tuple[str, str], Row]:
    """Rows of one run at one noise level by (set, image), in the order of the sets."""
    return {
        (row["set"], row["image"]): row
        for row in rows
        if row["run"] == run and row["sigma"] == sigma
    }


def _difference(
    rows: Sequence[Row],
    averaged: Sequence[Row],
    metric: str,
    sigma: float,
    pair: tuple[str, str],
    higher: bool,
    how: Statistics,
) -> Difference:
    mine, others = (images_of(averaged, name, sigma) for name in pair)
    if not mine:
        return None
    paired = statistics.compare(
        [row[metric] for row in mine.values()],
        [others[key][metric] for key in mine],
        higher,
        how.confidence,
        how.resamples,
        how.seed,
        how.min_images,
    )
    by_seed = seeds.mean_differences(rows, metric, sigma, pair)
    return Difference(metric, sigma, *pair, higher, paired, by_seed)


def verdict(one: Difference, alpha: float) -> str:
    """Say what one difference means.

    A side wins only where the corrected test is significant and the interval of the mean excludes
    zero; the two answer different questions, and both have to agree. They are over images: with
    several seeds, the mean differences of all of them must have one sign, too, or the verdict is
    that they disagree.
    """
    found = one.paired
    if one.identical:
        return IDENTICAL
    if one.p_holm is None or found.low is None or found.high is None:
        return TOO_FEW
    if one.p_holm >= alpha or found.low <= 0 <= found.high:
        return UNDECIDED
    if not one.seeds_agree:
        return SPLIT
    return BETTER if one.favourable else WORSE


def find_differences(
    rows: Sequence[Row],
    metrics: Mapping[str, bool],
    reference: str,
    others: Sequence[str],
    how: Statistics,
) -> list[Difference]:
    """Compare every recipe with the reference; all tests are one family for Holm's correction.

    Args:
        rows: one per run, seed (where there are several), set, image and sigma.
        metrics: whether higher is better, by metric.
        reference: a run.
        others: the other runs.
        how: interval, test and level.

    Returns:
        One Difference per recipe, metric and sigma.
    """
    sigmas = sorted({row["sigma"] for row in rows})
    averaged = seeds.average(rows)
    found = [
        _difference(rows, averaged, metric, sigma, (name, reference), higher, how)
        for name in others
        for metric, higher in metrics.items()
        for sigma in sigmas
    ]
    corrected = statistics.holm([one.paired.p for one in found])
    tested = [replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)]
    return [replace(one, verdict=verdict(one, how.alpha)) for one in tested]


def check_signs(
    summary: Sequence[Row], expected: Sequence[Expectation], reference: str, sigmas: Sequence[float]
) -> list[Sign]:
    """Hold the signs that were found before against the means of the table.

    Args:
        summary: means per run, set and sigma, as `summarize` returns them.
        expected: what was found before.
        reference: whom a recipe is compared with where an expectation does not say.
        sigmas: noise levels that were tested.

    Returns:
        One Sign per expectation, metric and sigma.
    """
    means = {(r["run"], r["sigma"]): r for r in summary if r["set"] == AVERAGE}
    found = []
    for one in expected:
        against = one.against or reference
        for metric, sign in one.signs.items():
            for sigma in one.sigmas or sigmas:
                pair = [means.get((run, sigma), {}).get(metric) for run in (one.recipe, against)]
                gap = None if None in pair else pair[0] - pair[1]
                outcome = _outcome(gap, sign)
                found.append(Sign(metric, sigma, one.recipe, against, sign, gap, outcome))
    return found


def check_expected(
    expected: Sequence[Expectation], specs: Sequence[str | Mapping[str, Any]]
) -> None:
    """Refuse signs of metrics that do not exist: they would pass as "not measured".

    Args:
        expected: what was found before.
        specs: the metrics of the options, measured or not.

    Raises:
        ValueError: an unknown name, with the nearest known one.
    """
    own = [one["name"] for one in specs if isinstance(one, Mapping) and "name" in one]
    known = list(dict.fromkeys([*own, *known_metrics()]))
    for number, one in enumerate(expected):
        for name in one.signs:
            if name not in known:
                near = difflib.get_close_matches(name.lower(), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"`expected.{number}.signs`: unknown metric {name!r}; "
                    f"known: {', '.join(known)}{hint}"
                )


def _outcome(gap: float | None, sign: str) -> str:
    if gap is None:
        return NOT_MEASURED
    if gap == 0:
        return EQUAL
    return AGREES if (gap > 0) == (sign == "higher") else DISAGREES


def find(
    rows: Sequence[Row],
    metrics: Mapping[str, bool],
    columns: Sequence[str],
    reference: str,
    others: Sequence[str],
    expected: Sequence[Expectation],
    how: Statistics,
) -> Findings:
    """Average, compare, test and count signs.

    Args:
        rows: one per run, seed (where there are several), set, image and sigma, the noisy input
            among them.
        metrics: whether higher is better, by metric that was measured.
        columns: metrics of the table, measured or not.
        reference: the run that the others are compared with.
        others: the other runs.
        expected: signs that were found before.
        how: interval, test and level.

    Returns:
        The findings.
    """
    averaged = seeds.average(rows)
    summary = seeds.add_spread(summarize(averaged, list(columns)), rows, list(columns))
    own = [row for row in rows if row["run"] != NOISY]
    sigmas = sorted({row["sigma"] for row in own})
    return Findings(
        averaged,
        list(rows),
        summary,
        find_differences(own, metrics, reference, others, how),
        check_signs(summary, expected, reference, sigmas),
    )


def as_plain(one: Difference) -> dict[str, Any]:
    """Return a difference as JSON's own types."""
    content = asdict(one)
    paired, by_seed = content.pop("paired"), content.pop("by_seed")
    content |= paired | {"win_rate": one.paired.win_rate}
    return content | ({"mean_by_seed": by_seed} if by_seed else {})
