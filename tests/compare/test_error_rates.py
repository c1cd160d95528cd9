"""How often `find_differences` is right, in simulated comparisons whose truth is known.

Every training of either recipe lies off by chance with a standard deviation of its own, and so
does every image of it: what two recipes with the same loss give.
"""

from math import sqrt

import numpy as np
import pytest

from restoration.compare import find_differences
from restoration.evaluate import Row

TRIALS, NUM_IMAGES, IMAGE_SD = 400, 33, 0.1


def compared(draws, gap, training_sd, num_seeds):
    """Difference of two recipes that are simulated once."""
    shape = (2, num_seeds, NUM_IMAGES)  # (run, seed, image)
    values = 30 + draws.normal(0, training_sd, (*shape[:2], 1)) + draws.normal(0, IMAGE_SD, shape)
    values[1] += gap
    rows = [
        Row(run, "s", f"{image}", "gaussian", 25.0, {"psnr": values[r, seed, image]}, seed)
        for r, run in enumerate(("reference", "recipe"))
        for seed in range(num_seeds)
        for image in range(NUM_IMAGES)
    ]
    (one,) = find_differences(rows, {"psnr": True}, "reference", ["recipe"])
    return one


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("training_sd", [0.05, 0.2])
def test_equal_losses_seldom_win_and_intervals_cover_the_truth(training_sd, num_seeds):
    draws = np.random.default_rng(2024)
    every = [compared(draws, 0.0, training_sd, num_seeds) for _ in range(TRIALS)]
    false = sum(one.verdict in ("better", "worse") for one in every) / TRIALS
    covered = sum(one.estimate.low <= 0 <= one.estimate.high for one in every) / TRIALS
    assert false <= 0.05 + 2 * sqrt(0.05 * 0.95 / TRIALS)
    assert 0.93 <= covered <= 0.98
    assert "equivalent" not in [one.verdict for one in every] or training_sd == 0.05


def test_half_a_decibel_is_found():
    draws = np.random.default_rng(2)
    verdicts = [compared(draws, 0.5, 0.05, 3).verdict for _ in range(TRIALS)]
    assert verdicts.count("better") >= 0.8 * TRIALS
    assert "worse" not in verdicts


def test_one_training_never_wins():
    draws = np.random.default_rng(1)
    assert {compared(draws, 0.5, 0.2, 1).verdict for _ in range(30)} == {"single training"}
