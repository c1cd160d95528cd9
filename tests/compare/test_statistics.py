"""Paired statistics against scipy and against plain NumPy."""

import numpy as np
import pytest
from scipy import stats

from restoration.compare.statistics import (
    bootstrap_interval,
    compare,
    differences,
    holm,
    wilcoxon_p,
)

DRAWS = np.random.default_rng(7)
X = DRAWS.normal(0.2, 1.0, 30)


def bca_by_hand(x, confidence, resamples, seed):
    """BCa of the mean, written from Efron 1987, on the same resamples as scipy draws."""
    n = len(x)
    indices = np.random.default_rng(seed).integers(0, n, (resamples, n))
    means = np.sort(x[indices].mean(1))
    below = ((means < x.mean()).sum() + (means <= x.mean()).sum()) / (2 * resamples)
    z0 = stats.norm.ppf(below)
    left_out = (x.sum() - x) / (n - 1)
    gaps = left_out.mean() - left_out
    a = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = z0 + stats.norm.ppf(tail)
        ends.append(np.quantile(means, stats.norm.cdf(z0 + z / (1 - a * z))))
    return tuple(ends)


@pytest.mark.parametrize("x", [X, np.exp(X), X[:7]], ids=["normal", "skewed", "few"])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_bootstrap_interval_against_numpy(x, confidence):
    found = bootstrap_interval(x, confidence, 4999, seed=3)
    np.testing.assert_allclose(found, bca_by_hand(x, confidence, 4999, 3), rtol=0.02, atol=0.01)
    assert found[0] < x.mean() < found[1]
    assert found == bootstrap_interval(x, confidence, 4999, seed=3)
    assert found != bootstrap_interval(x, confidence, 4999, seed=4)


def test_bootstrap_interval_covers_as_often_as_it_says():
    draws = np.random.default_rng(0)
    hits = 0
    for seed in range(150):
        low, high = bootstrap_interval(draws.normal(1, 1, 25), 0.9, 400, seed)
        hits += low <= 1 <= high
    assert 0.82 <= hits / 150 <= 0.96


def test_bootstrap_interval_of_values_that_do_not_differ():
    assert bootstrap_interval(np.zeros(9)) == (0.0, 0.0)
    assert bootstrap_interval(np.full(9, 0.5)) == (0.5, 0.5)
    assert bootstrap_interval(np.array([0.5])) is None


@pytest.mark.parametrize("n", [6, 13, 30])
def test_wilcoxon_against_scipy(n):
    assert wilcoxon_p(X[:n]) == stats.wilcoxon(X[:n]).pvalue  # no zeros: all methods agree


def test_wilcoxon_by_hand():
    """Six differences of one sign: only 2 of the 2^6 patterns of signs are as extreme."""
    assert wilcoxon_p(np.arange(1.0, 7.0)) == pytest.approx(2 / 64)
    assert wilcoxon_p(np.zeros(8)) == 1.0
    assert wilcoxon_p(np.arange(1.0, 6.0)) is None
    assert wilcoxon_p(np.arange(1.0, 6.0), min_images=5) == pytest.approx(2 / 32)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.03]) == pytest.approx([0.02, None, 0.03])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_against_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = DRAWS.uniform(0, 0.2, 25)
    np.testing.assert_allclose(holm(p.tolist()), multitest.multipletests(p, method="holm")[1])


def test_compare_counts_wins_of_the_better_side():
    values, reference = [3.0, 2.0, 1.0, 5.0], [1.0, 2.0, 2.0, 1.0]
    up = compare(values, reference, higher_is_better=True)
    down = compare(values, reference, higher_is_better=False)
    assert (up.wins, up.ties, up.n, up.p) == (2, 1, 4, None)
    assert up.win_rate == 2.5 / 4
    assert down.win_rate == 1.5 / 4
    assert (up.mean, up.median) == (1.25, 1.0)
    assert up.low < up.mean < up.high


def test_identical_values_cannot_be_told_apart():
    found = compare([1.0, np.inf, 3.0] * 3, [1.0, np.inf, 3.0] * 3, True)
    assert found.identical
    assert (found.mean, found.median, found.low, found.high) == (0, 0, 0, 0)
    assert (found.p, found.win_rate, found.dropped) == (1.0, 0.5, 0)


def test_infinite_values_of_one_side_are_dropped_and_counted():
    found = compare([np.inf, 2.0, 3.0], [1.0, 1.0, 1.0], True)
    assert (found.n, found.dropped, found.mean) == (2, 1, 1.5)


@pytest.mark.parametrize(
    ("values", "reference", "message"),
    [([1.0], [1.0, 2.0], "one length"), ([], [], "one length"), ([np.inf], [1.0], "finite")],
)
def test_compare_raises(values, reference, message):
    with pytest.raises(ValueError, match=message):
        compare(values, reference, True)


def test_differences_of_a_shift():
    np.testing.assert_array_equal(differences([1, 2, np.inf], [0, 2, np.inf]), [1, 0, 0])
