"""Inference over trainings against NumPy, scipy and simulated comparisons."""

from math import inf, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from restoration.compare.inference import (
    average_groups,
    estimate,
    mean_squares,
    uncertainty_of_both,
    uncertainty_of_photographs,
    uncertainty_of_trainings,
)

D = np.random.default_rng(7).normal(0.2, 1.0, (4, 9)) + np.arange(4)[:, None]


def mean_squares_by_hand(d):
    """Two-way analysis of variance written as sums over cells."""
    num_trainings, num_photographs = d.shape
    grand = sum(map(float, d.ravel())) / d.size
    rows = [float(sum(row)) / num_photographs for row in d]
    columns = [float(sum(column)) / num_trainings for column in d.T]
    trainings = num_photographs * sum((row - grand) ** 2 for row in rows) / (num_trainings - 1)
    photographs = num_trainings * sum((c - grand) ** 2 for c in columns) / (num_photographs - 1)
    rest = sum(
        (d[s, i] - rows[s] - columns[i] + grand) ** 2
        for s in range(num_trainings)
        for i in range(num_photographs)
    )
    return trainings, photographs, rest / ((num_trainings - 1) * (num_photographs - 1))


def test_mean_squares_by_hand():
    squares = mean_squares(D)
    expected = mean_squares_by_hand(D)
    assert (squares.trainings, squares.photographs, squares.rest) == pytest.approx(expected)


def test_mean_squares_estimate_the_components():
    draws = np.random.default_rng(0)
    sizes, found = (0.5, 2.0, 1.0), []
    for _ in range(400):
        training, photograph = draws.normal(0, sizes[0], (6, 1)), draws.normal(0, sizes[1], (1, 8))
        found.append(mean_squares(training + photograph + draws.normal(0, sizes[2], (6, 8))))
    assert np.mean([one.rest for one in found]) == pytest.approx(1.0, rel=0.1)
    assert np.mean([one.trainings for one in found]) == pytest.approx(8 * 0.25 + 1, rel=0.1)
    assert np.mean([one.photographs for one in found]) == pytest.approx(6 * 4.0 + 1, rel=0.1)


def test_uncertainty_of_both_by_hand():
    trainings, photographs, rest = mean_squares_by_hand(D)
    assert trainings > rest  # else this is no test of the sum
    variance = (trainings + max(photographs, rest) - rest) / D.size
    terms = trainings**2 / 3 + photographs**2 / 8 + rest**2 / 24
    both = uncertainty_of_both(D)
    assert both.variance == pytest.approx(variance)
    assert both.df == pytest.approx(variance**2 / (terms / D.size**2))


def test_components_below_zero_count_as_zero():
    """Trainings and photographs whose means agree better than the rest allows."""
    d = np.array([[1.0, -1.0, 0.5, -0.5], [-1.0, 1.0, -0.5, 0.5]])
    squares = mean_squares(d)
    assert (squares.trainings, squares.photographs) == (0, 0)
    assert uncertainty_of_both(d).variance == pytest.approx(squares.rest / d.size)


def test_uncertainty_of_one_source_is_the_paired_t_test():
    for side, uncertainty in (
        (D.mean(1), uncertainty_of_trainings(D)),
        (D.mean(0), uncertainty_of_photographs(D)),
    ):
        test = stats.ttest_1samp(side, 0)
        low, high = test.confidence_interval(0.9)
        assert uncertainty.p(D.mean()) == pytest.approx(test.pvalue)
        assert 2 * uncertainty.half_width(0.9) == pytest.approx(high - low)


def test_equivalence_is_two_one_sided_tests():
    uncertainty, mean = uncertainty_of_photographs(D), 0.3
    se = sqrt(uncertainty.variance)
    below, above = (mean + 2) / se, (mean - 2) / se
    expected = max(stats.t.sf(below, uncertainty.df), stats.t.cdf(above, uncertainty.df))
    assert uncertainty.p_equivalent(mean, 2) == pytest.approx(expected)
    assert uncertainty.p_equivalent(-mean, 2) == pytest.approx(expected)


def test_a_single_training_has_the_paired_t_test_of_the_photographs():
    one = estimate(D[:1], margin=1.0)
    test = stats.ttest_1samp(D[0], 0)
    assert one.p == pytest.approx(test.pvalue)
    assert (one.low, one.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (one.num_trainings, one.num_photographs, one.df) == (1, 9, 8)
    assert (one.p_equivalent, one.low_fixed, one.high_fixed) == (None, None, None)


def test_the_fixed_interval_is_over_the_trainings_alone():
    one = estimate(D)
    low, high = stats.ttest_1samp(D.mean(1), 0).confidence_interval(0.95)
    assert (one.low_fixed, one.high_fixed) == pytest.approx((low, high))


@pytest.mark.parametrize("shape", [(2, 40), (3, 3), (8, 3), (5, 33)])
def test_both_chances_are_never_surer_than_one(shape):
    draws = np.random.default_rng(1)
    for _ in range(50):
        d = draws.normal(0, 1, shape) + draws.normal(0, 0.3, (shape[0], 1)) + 0.5
        one = estimate(d, margin=0.4)
        for alone in (uncertainty_of_trainings(d), uncertainty_of_photographs(d)):
            assert one.high - one.low >= 2 * alone.half_width(0.95) * (1 - 1e-12)
            assert one.p >= alone.p(d.mean())
            assert one.p_equivalent >= alone.p_equivalent(d.mean(), 0.4)


def test_one_photograph_has_no_spread():
    one = estimate(D[:, :1], margin=1.0)
    assert (one.low, one.high, one.df, one.p, one.p_equivalent) == (None,) * 5
    assert one.low_fixed < one.mean < one.high_fixed
    alone = estimate(D[:1, :1])
    assert (alone.mean, alone.low, alone.low_fixed) == (D[0, 0], None, None)


def test_differences_without_spread():
    zero = estimate(np.zeros((3, 5)), margin=0.1)
    assert (zero.low, zero.high, zero.p, zero.p_equivalent) == (0, 0, 1, 0)
    assert zero.identical
    half = estimate(np.full((3, 5), 0.5), margin=0.1)
    assert (half.low, half.high, half.p, half.p_equivalent) == (0.5, 0.5, 0, 1)
    assert not half.identical


def test_trainings_that_cancel_are_not_identical():
    assert not estimate(np.array([[1.0, 1.0], [-1.0, -1.0]])).identical


def test_groups_are_averaged_first():
    groups = ["a", "b", "a", "a", "c", "b", "c", "c", "c"]
    averaged = average_groups(D, groups)
    expected = [D[:, [0, 2, 3]].mean(1), D[:, [1, 5]].mean(1), D[:, [4, 6, 7, 8]].mean(1)]
    np.testing.assert_allclose(averaged, np.stack(expected, 1))
    np.testing.assert_allclose(average_groups(D, range(9)), D)
    with pytest.raises(ValueError, match="one group per image, got 2"):
        average_groups(D, ["a", "b"])


@pytest.mark.parametrize("d", [D[0], np.zeros((0, 3)), np.array([[1.0, nan]]), [[inf, 1.0]]])
def test_estimate_raises(d):
    with pytest.raises(ValueError, match="expected finite differences"):
        estimate(np.asarray(d))
