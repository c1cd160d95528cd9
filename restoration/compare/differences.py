"""From values per image to differences of recipes, each with what can be said about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from losses.naming import nearest
from restoration.compare.crossed import Crossed, cross
from restoration.compare.inference import Estimate, average_groups, estimate
from restoration.compare.options import Statistics
from restoration.compare.photographs import photograph_of
from restoration.compare.verdicts import INCONCLUSIVE, enough, holm, verdict
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import Row, condition_columns, conditions_of, only_gaussian, to_row


@dataclass(frozen=True)
class Difference:
    """One recipe against the reference: one metric under one condition, all test images.

    Attributes:
        metric: name.
        condition: that the images were tested under.
        recipe: a run.
        reference: the run that it is compared with.
        higher_is_better: of the metric.
        margin: differences below it do not matter; None where the metric has none.
        estimate: mean difference, intervals and p-values.
        by_seed: mean difference of every pair of trainings; empty where neither run has seeds.
        num_images: with a finite difference.
        dropped: images without one (infinite for one of the two).
        wins: images on which the recipe is better, in the mean over the trainings.
        ties: images on which both are equal.
        p_holm: corrected p-value of no difference; None where there is no test.
        p_equivalent_holm: corrected p-value of a difference beyond the margin.
        fewest: trainings and photographs that a family of that many tests needs for a verdict.
        verdict: one of `verdicts.VERDICTS`.
    """

    metric: str
    condition: Condition
    recipe: str
    reference: str
    higher_is_better: bool
    margin: float | None
    estimate: Estimate
    by_seed: dict[int, float]
    num_images: int
    dropped: int
    wins: int
    ties: int
    p_holm: float | None = None
    p_equivalent_holm: float | None = None
    fewest: int = 2
    verdict: str = INCONCLUSIVE

    @property
    def win_rate(self) -> float:
        """Share of images on which the recipe is better; a tie counts one half."""
        return (self.wins + 0.5 * self.ties) / self.num_images

    @property
    def key(self) -> tuple[str, str, Condition]:
        """Recipe, metric and condition: what it is about."""
        return self.recipe, self.metric, self.condition

    @property
    def tested(self) -> bool:
        """Whether it counts in its family of tests: several trainings, and a p-value."""
        return self.estimate.num_trainings > 1 and self.estimate.p is not None


def find_differences(
    rows: Sequence[Row | Mapping[str, Any]],
    higher_is_better: Mapping[str, bool],
    reference: str,
    runs: Sequence[str],
    statistics: Statistics | None = None,
) -> list[Difference]:
    """Compare runs with a reference on the same images, whoever measured them.

    A claim is about trainings of the recipes on photographs of this kind: seeds and photographs are
    both chance. Runs without several seeds get an interval over photographs and no verdict. A pair
    that shares no finite difference under a condition is left out.

    Args:
        rows: one per run, seed (where there are several), set, image and condition: `Row`s, or
            flat mappings as per_image.csv has them, with numbers as numbers: {"run", "set",
            "image", "sigma", <metric>: value, ...}, perhaps "seed".
        higher_is_better: by metric that is compared.
        reference: a run.
        runs: the other runs.
        statistics: levels, margins, families of tests and groups of images; the defaults of a
            comparison if absent.

    Returns:
        One Difference per run, metric and condition. Its verdict is "better", "worse",
        "equivalent" (shown to lie within the margin), "inconclusive", "too few" (so few trainings
        or photographs that no test can be significant) or "single training".

    Raises:
        ValueError: a row lacks a column, a run has no rows, a primary metric is not compared, or
            two runs were not measured on the same images with the same seeds.
    """
    how = statistics or Statistics()
    check_primary(how.primary, higher_is_better)
    every = [to_row(row) for row in rows]
    known = list(dict.fromkeys(row.run for row in every))
    for run in (reference, *runs):
        if run not in known:
            raise ValueError(f"expected a run of {', '.join(known)}, got {run!r}")
    under = {
        condition: [row for row in every if row.condition == condition]
        for condition in conditions_of(every)
    }
    compared = [
        _difference(some, metric, (run, reference), higher, how)
        for run in runs
        for metric, higher in higher_is_better.items()
        for some in under.values()
    ]
    return _judge([difference for difference in compared if difference is not None], how)


def check_primary(primary: Iterable[str] | None, metrics: Iterable[str]) -> None:
    """Refuse primary metrics that are not measured: their family would be empty.

    Args:
        primary: names, see `Statistics`.
        metrics: that are measured.

    Raises:
        ValueError: a name among `primary` is not among `metrics`.
    """
    known = list(metrics)
    for name in primary or []:
        if name not in known:
            raise ValueError(
                f"`statistics.primary`: expected metrics that are measured ({', '.join(known)}), "
                f"got {name!r}{nearest(name, known)}"
            )


def _difference(
    rows: Sequence[Row], metric: str, pair: tuple[str, str], higher: bool, how: Statistics
) -> Difference | None:
    """Compare two runs under the one condition of the rows; None without a finite difference."""
    crossed = cross(rows, metric, *pair)
    finite = np.isfinite(crossed.d).all(0)
    if not finite.any():
        return None
    averaged = crossed.d[:, finite].mean(0)
    by_photograph = _by_photograph(crossed, finite, how.group)
    margin = how.margins.get(metric)
    single = crossed.num_trainings == 1
    return Difference(
        metric=metric,
        condition=rows[0].condition,
        recipe=pair[0],
        reference=pair[1],
        higher_is_better=higher,
        margin=margin,
        estimate=estimate(
            by_photograph.mean(0, keepdims=True) if single else by_photograph,
            how.confidence,
            margin,
        ),
        by_seed={
            seed: float(mean)
            for seed, mean in zip(crossed.seeds, by_photograph.mean(1), strict=True)
            if seed is not None
        },
        num_images=int(finite.sum()),
        dropped=int((~finite).sum()),
        wins=int(((averaged > 0) if higher else (averaged < 0)).sum()),
        ties=int((averaged == 0).sum()),
    )


def _by_photograph(crossed: Crossed, finite: np.ndarray, group: str) -> np.ndarray:
    """Finite differences with the crops of each photograph averaged, (trainings, photographs)."""
    images = [image for image, kept in zip(crossed.images, finite, strict=True) if kept]
    groups = [(of_set, photograph_of(name, group)) for of_set, name in images]
    return average_groups(crossed.d[:, finite], groups)


def families(
    differences: Sequence[Difference], primary: Sequence[str] | None
) -> list[list[Difference]]:
    """Differences whose tests are corrected together: of the primary metrics, then of the others.

    Args:
        differences: all of a comparison; those of single trainings belong to no family.
        primary: names of metrics; all if None.

    Returns:
        One family, or two; a family may be empty.
    """
    several = [difference for difference in differences if difference.estimate.num_trainings > 1]
    if primary is None:
        return [several]
    return [
        [difference for difference in several if (difference.metric in primary) is first]
        for first in (True, False)
    ]


def _judge(differences: Sequence[Difference], how: Statistics) -> list[Difference]:
    """Correct the tests of every family, and give every difference its verdict."""
    corrected = {}
    for family in families(differences, how.primary):
        p_values = holm([difference.estimate.p for difference in family])
        p_equivalents = holm([difference.estimate.p_equivalent for difference in family])
        fewest = enough(max(1, sum(difference.tested for difference in family)), how.alpha)
        for difference, p, p_equivalent in zip(family, p_values, p_equivalents, strict=True):
            corrected[difference.key] = replace(
                difference, p_holm=p, p_equivalent_holm=p_equivalent, fewest=fewest
            )
    judged = [corrected.get(difference.key, difference) for difference in differences]
    return [replace(difference, verdict=_verdict(difference, how.alpha)) for difference in judged]


def _verdict(difference: Difference, alpha: float) -> str:
    return verdict(
        difference.estimate,
        difference.higher_is_better,
        difference.p_holm,
        difference.p_equivalent_holm,
        difference.fewest,
        alpha,
    )


def plain_differences(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as result files hold them."""
    sigma = only_gaussian(difference.condition for difference in differences)
    return [_plain(difference, sigma) for difference in differences]


def _plain(difference: Difference, sigma: bool) -> dict[str, Any]:
    content = asdict(difference)
    condition, numbers, by_seed = (content.pop(key) for key in ("condition", "estimate", "by_seed"))
    metric = {"metric": content.pop("metric")} | condition_columns(Condition(**condition), sigma)
    content = metric | {"n": content.pop("num_images")} | content | numbers
    content |= {"win_rate": difference.win_rate}
    return content | ({"mean_by_seed": by_seed} if by_seed else {})
