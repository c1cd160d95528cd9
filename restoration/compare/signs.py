"""Signs of differences that somebody found before, counted against the means found here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from losses.naming import nearest
from restoration.compare.options import Expectation
from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.evaluate.rows import AVERAGE, Mean, condition_columns, only_gaussian
from restoration.metrics import known_metrics

AGREES, DISAGREES, NOT_MEASURED, EQUAL = "agrees", "disagrees", "not measured", "equal"


@dataclass(frozen=True)
class Sign:
    """A sign that was found before, and whether the means found here have it too."""

    metric: str
    condition: Condition
    recipe: str
    against: str
    expected: str
    difference: float | None
    outcome: str


def check_signs(
    means: Sequence[Mean],
    expected: Sequence[Expectation],
    reference: str,
    conditions: Sequence[Condition],
) -> list[Sign]:
    """Hold the signs that were found before against the means of the table.

    Args:
        means: per run, set and condition, as `summarize` returns them.
        expected: what was found before.
        reference: whom a recipe is compared with where an expectation does not say.
        conditions: that were tested.

    Returns:
        One Sign per expectation, metric and condition.
    """
    averages = {(m.run, m.condition): m.values for m in means if m.set == AVERAGE}
    signs = []
    for expectation in expected:
        against = expectation.against or reference
        for metric, sign in expectation.signs.items():
            for condition in expected_conditions(expectation, conditions):
                gap = difference_of_means(
                    averages.get((expectation.recipe, condition), {}).get(metric),
                    averages.get((against, condition), {}).get(metric),
                )
                outcome = _outcome(gap, sign)
                signs.append(
                    Sign(metric, condition, expectation.recipe, against, sign, gap, outcome)
                )
    return signs


def expected_conditions(expectation: Expectation, tested: Sequence[Condition]) -> list[Condition]:
    """Conditions that an expectation speaks of."""
    if expectation.sigmas is None:
        return list(tested)
    return [Condition(GAUSSIAN, sigma) for sigma in expectation.sigmas]


def difference_of_means(value: float | None, other: float | None) -> float | None:
    """Value minus other; 0 for equal values, infinite ones too, and None where one is unknown."""
    if value is None or other is None:
        return None
    return 0.0 if value == other else value - other


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
    named = [spec["name"] for spec in specs if isinstance(spec, Mapping) and "name" in spec]
    known = list(dict.fromkeys([*named, *known_metrics()]))
    for number, expectation in enumerate(expected):
        for name in expectation.signs:
            if name not in known:
                raise ValueError(
                    f"`expected.{number}.signs`: unknown metric {name!r}; "
                    f"known: {', '.join(known)}{nearest(name, known)}"
                )


def _outcome(gap: float | None, sign: str) -> str:
    if gap is None:
        return NOT_MEASURED
    if gap == 0:
        return EQUAL
    return AGREES if (gap > 0) == (sign == "higher") else DISAGREES


def plain_signs(signs: Sequence[Sign]) -> list[dict[str, Any]]:
    """Signs as result files hold them."""
    sigma = only_gaussian(sign.condition for sign in signs)
    return [
        {"metric": sign.metric}
        | condition_columns(sign.condition, sigma)
        | {k: v for k, v in asdict(sign).items() if k not in ("metric", "condition")}
        for sign in signs
    ]
