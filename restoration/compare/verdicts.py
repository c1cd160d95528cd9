"""What an estimate allows to say about two recipes, in one of six verdicts.

No verdict claims equality because nothing was found: "equivalent" is shown by tests of its own,
and what neither differs nor is equivalent is inconclusive.
"""

from collections.abc import Sequence

from scipy import special

from restoration.compare.inference import Estimate

BETTER, WORSE, EQUIVALENT = "better", "worse", "equivalent"
INCONCLUSIVE, TOO_FEW, SINGLE_TRAINING = "inconclusive", "too few", "single training"
VERDICTS = (BETTER, WORSE, EQUIVALENT, INCONCLUSIVE, TOO_FEW, SINGLE_TRAINING)
MOST_ERRORS = 10.0  # a mean that has to exceed this many standard errors is out of reach


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction of a family of tests; None (no test) stays None and does not count.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    tests = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        corrected[index] = largest
    return corrected


def enough(num_tests: int, alpha: float = 0.05) -> int:
    """Count the trainings, and the photographs, that can give a verdict at all.

    A t test of n values is never strictly impossible, but its threshold grows without bound as n
    falls and as tests are added: two trainings and 20 tests ask for 500 standard errors.

    Args:
        num_tests: in the family that Holm's correction is over, at least 1.
        alpha: level of the corrected tests.

    Returns:
        The smallest n for which the strictest test of the family asks for at most MOST_ERRORS.
    """
    n = 2
    while special.stdtrit(n - 1, 1 - alpha / (2 * num_tests)) > MOST_ERRORS:
        n += 1
    return n


def verdict(
    estimate: Estimate,
    higher_is_better: bool,
    p: float | None,
    p_equivalent: float | None,
    fewest: int,
    alpha: float = 0.05,
) -> str:
    """Say what the estimate of one difference means.

    Args:
        estimate: recipe minus reference.
        higher_is_better: of the metric.
        p: corrected p-value of no difference; None where there was no test.
        p_equivalent: corrected p-value of a difference beyond the margin; None where there was no
            test.
        fewest: trainings and photographs that can give a verdict, see `enough`.
        alpha: level of the corrected tests.

    Returns:
        One of VERDICTS. A difference that is significant and shown to lie within the margin is
        equivalent: the margin says that it does not matter.
    """
    if estimate.num_trainings < 2:
        return SINGLE_TRAINING
    if p is None or estimate.low is None or estimate.high is None:
        return TOO_FEW
    if estimate.identical or (p_equivalent is not None and p_equivalent < alpha):
        return EQUIVALENT
    if p < alpha and not estimate.low <= 0 <= estimate.high:
        return BETTER if (estimate.mean > 0) == higher_is_better else WORSE
    few = min(estimate.num_trainings, estimate.num_photographs) < fewest
    return TOO_FEW if few else INCONCLUSIVE
