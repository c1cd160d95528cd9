"""From values per image to what can be told: differences, verdicts, signs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from restoration.compare import statistics
from restoration.evaluate.protocol import NOISY, Row
from restoration.evaluate.tables import AVERAGE, summarize
from restoration.options_compare import Expectation, Statistics

BETTER, WORSE = "better", "worse"
UNDECIDED, IDENTICAL, TOO_FEW = "not told apart", "identical", "too few images"
AGREES, DISAGREES, NOT_MEASURED, EQUAL = "agrees", "disagrees", "not measured", "equal"


@dataclass(frozen=True)
class Difference:
    """One recipe against the reference: one metric at one noise level, all test images."""

    metric: str
    sigma: float
    recipe: str
    reference: str
    higher_is_better: bool
    paired: statistics.Paired
    p_holm: float | None = None
    verdict: str = UNDECIDED

    @property
    def favourable(self) -> bool:
        """Whether the mean difference points to the better side."""
        return (self.paired.mean > 0) == self.higher_is_better and self.paired.mean != 0


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
    """Everything that a comparison found."""

    rows: list[Row]
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
        for row in self.summary:
            if (row["run"], row["sigma"], row["set"]) == (run, sigma, of_set):
                return row.get(metric)
        return None


def images_of(rows: Sequence[Row], run: str, sigma: float) -> dict[tuple[str, str], Row]:
    """Rows of one run at one noise level by (set, image), in the order of the sets."""
    return {
        (row["set"], row["image"]): row
        for row in rows
        if row["run"] == run and row["sigma"] == sigma
    }


def _difference(
    rows: Sequence[Row],
    metric: str,
    sigma: float,
    pair: tuple[str, str],
    higher: bool,
    how: Statistics,
) -> Difference:
    mine, others = (images_of(rows, name, sigma) for name in pair)
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
    return Difference(metric, sigma, *pair, higher, paired)


def verdict(one: Difference, alpha: float) -> str:
    """Say what one difference means.

    A side wins only where the corrected test is significant and the interval of the mean excludes
    zero; the two answer different questions, and both have to agree.
    """
    found = one.paired
    if found.identical:
        return IDENTICAL
    if one.p_holm is None or found.low is None or found.high is None:
        return TOO_FEW
    if one.p_holm >= alpha or found.low <= 0 <= found.high:
        return UNDECIDED
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
        rows: one per run, set, image and sigma.
        metrics: whether higher is better, by metric.
        reference: a run.
        others: the other runs.
        how: interval, test and level.

    Returns:
        One Difference per recipe, metric and sigma.
    """
    sigmas = sorted({row["sigma"] for row in rows})
    found = [
        _difference(rows, metric, sigma, (name, reference), higher, how)
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
        rows: one per run, set, image and sigma, the noisy input among them.
        metrics: whether higher is better, by metric that was measured.
        columns: metrics of the table, measured or not.
        reference: the run that the others are compared with.
        others: the other runs.
        expected: signs that were found before.
        how: interval, test and level.

    Returns:
        The findings.
    """
    summary = summarize(rows, list(columns))
    own = [row for row in rows if row["run"] != NOISY]
    sigmas = sorted({row["sigma"] for row in own})
    return Findings(
        list(rows),
        summary,
        find_differences(own, metrics, reference, others, how),
        check_signs(summary, expected, reference, sigmas),
    )


def as_plain(one: Difference) -> dict[str, Any]:
    """Return a difference as JSON's own types."""
    content = asdict(one)
    paired = content.pop("paired")
    return content | paired | {"win_rate": one.paired.win_rate}
