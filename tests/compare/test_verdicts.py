"""Verdicts by hand, and how often they are right where few trainings meet few photographs."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from restoration.compare.inference import estimate
from restoration.compare.verdicts import enough, holm, verdict

TRIALS, NUM_IMAGES, IMAGE_SD = 400, 33, 0.1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.03]) == pytest.approx([0.02, None, 0.03])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_against_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(7).uniform(0, 0.2, 25)
    np.testing.assert_allclose(holm(p.tolist()), multitest.multipletests(p, method="holm")[1])


def test_enough_by_hand():
    assert stats.t.isf(0.025, 1) == pytest.approx(12.7, abs=0.01)  # two trainings, one test
    assert stats.t.isf(0.025, 2) == pytest.approx(4.3, abs=0.01)
    assert enough(1) == 3
    assert enough(20) == 4
    assert enough(1, alpha=0.1) == 2
    assert [enough(count) for count in (1, 10, 100, 1000)] == sorted(
        enough(count) for count in (1, 10, 100, 1000)
    )


def judge(d, margin=None, higher_is_better=True, num_tests=1):
    """Verdict of a family that has this test alone, or as its smallest."""
    one = estimate(np.asarray(d, float), margin=margin)
    p, p_equivalent = (
        None if value is None else min(1.0, num_tests * value)
        for value in (one.p, one.p_equivalent)
    )
    return verdict(one, higher_is_better, p, p_equivalent, enough(num_tests))


def differences(draws, mean, sd, shape, image_sd=IMAGE_SD):
    """Differences of two recipes that are trained `shape[0]` times each."""
    training = draws.normal(0, sd, (2, shape[0], 1))
    image = draws.normal(0, image_sd, (2, *shape))
    return mean + (training + image)[0] - (training + image)[1]


def test_verdicts_by_hand():
    small = np.array([[0.01, -0.01, 0.0], [-0.01, 0.0, 0.01], [0.0, 0.01, -0.01]])
    assert judge(small + 1) == "better"
    assert judge(small + 1, higher_is_better=False) == "worse"
    assert judge(small - 1) == "worse"
    assert judge(small, margin=0.05) == "equivalent"
    assert judge(small) == "inconclusive"
    assert judge(small[:2, :2]) == "too few"
    assert judge(small[:1] + 1) == "single training"
    assert judge(small[:, :1] + 1) == "too few"


def test_a_difference_within_the_margin_is_equivalent_even_if_it_is_significant():
    d = np.full((3, 5), 0.01) + np.arange(15).reshape(3, 5) * 1e-5
    assert judge(d) == "better"
    assert judge(d, margin=0.05) == "equivalent"
    assert judge(d, margin=0.005) == "better"


def test_no_spread():
    assert judge(np.zeros((2, 2))) == "equivalent"
    assert judge(np.full((2, 2), 0.5), margin=0.1) == "better"
    assert judge(np.zeros((1, 9))) == "single training"


def test_too_few_depends_on_numbers_alone():
    """What cannot be decided is too few where the family asks for more trainings or images."""
    d = differences(np.random.default_rng(0), 0.0, 0.2, (3, 33))
    assert judge(d, num_tests=1) == "inconclusive"
    assert judge(d, num_tests=24) == "too few"
    d = differences(np.random.default_rng(0), 0.0, 0.2, (5, 33))
    assert judge(d, num_tests=24) == "inconclusive"


@pytest.mark.parametrize("shape", [(2, 33), (3, 33), (5, 33), (3, 6), (5, 3), (10, 3)])
@pytest.mark.parametrize("sd", [0.0, 0.05, 0.2])
def test_images_that_suit_one_side_are_chance_too(shape, sd):
    """Few trainings or few photographs: Satterthwaite's approximation alone is wrong too often."""
    draws = np.random.default_rng(2024)
    false = covered = 0
    for _ in range(TRIALS):
        d = differences(draws, 0.0, sd, shape, 0.02) + draws.normal(0, IMAGE_SD, (1, shape[1]))
        one = estimate(d, margin=0.05)
        covered += one.low <= 0 <= one.high
        false += judge(d, margin=0.05) in ("better", "worse")
    assert false / TRIALS <= 0.05 + 2 * sqrt(0.05 * 0.95 / TRIALS)
    assert covered / TRIALS >= 0.93


@pytest.mark.parametrize("num_trainings", [2, 3, 5])
def test_a_much_worse_network_is_never_called_equal(num_trainings):
    """3.9 dB below on each of six images, one of three tests."""
    draws = np.random.default_rng(3)
    found = [
        judge(differences(draws, -3.9, 0.05, (num_trainings, 6)), 0.05, num_tests=3)
        for _ in range(100)
    ]
    assert set(found) <= {"worse", "too few"}
    assert num_trainings == 2 or found.count("worse") >= 90


def test_equal_losses_with_little_chance_are_equivalent():
    draws = np.random.default_rng(4)
    d = [differences(draws, 0.0, 0.01, (5, NUM_IMAGES), image_sd=0.03) for _ in range(100)]
    assert [judge(one, margin=0.05) for one in d].count("equivalent") >= 95
    assert [judge(one + 0.05, margin=0.05) for one in d].count("equivalent") <= 10
