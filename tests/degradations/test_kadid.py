import numpy as np
import pytest

from restoration.data import open_source
from restoration.degradations.distortions import DISTORTIONS, distort
from restoration.degradations.kadid import BEST_IN_THE_MIDDLE, RATED


@pytest.fixture(scope="module")
def photograph():
    return open_source("skimage:chelsea").read(0)[60:188, 100:228]


def errors(photograph, name):
    images = [distort(photograph, name, level, 3, RATED) for level in range(1, 6)]
    assert all(image.shape == photograph.shape and image.dtype == np.uint8 for image in images)
    return [np.abs(image.astype(float) - photograph).mean() for image in images]


def test_the_kinds_are_those_of_the_list():
    assert list(RATED) == list(DISTORTIONS)
    assert all(RATED[name].family == DISTORTIONS[name].family for name in RATED)


@pytest.mark.parametrize("name", sorted({*RATED} - {*BEST_IN_THE_MIDDLE, "color_block"}))
def test_the_error_grows_with_the_level(name, photograph):
    found = errors(photograph, name)
    assert found[4] > 1.1 * found[0]
    assert found[4] >= 0.95 * max(found)


def test_more_blocks_at_higher_levels():
    grey = np.full((384, 512, 3), 128, np.uint8)
    shares = [
        (distort(grey, "color_block", level, 0, RATED) != 128).any(2).mean() for level in (1, 5)
    ]
    assert shares[0] == pytest.approx(2 * 32**2 / (384 * 512), rel=0.01)
    assert 4 * shares[0] < shares[1] <= 5.01 * shares[0]  # some may overlap


@pytest.mark.parametrize("name", BEST_IN_THE_MIDDLE)
def test_some_are_best_in_the_middle(name, photograph):
    found = errors(photograph, name)
    assert found[2] == min(found)
    assert found[0] > found[1] and found[4] > found[3]


def test_noise_has_the_variance_of_the_database():
    grey = np.full((128, 128, 3), 128, np.uint8)
    for level, variance in zip(range(1, 6), (0.001, 0.002, 0.003, 0.005, 0.01), strict=True):
        noise = distort(grey, "white_noise", level, 0, RATED) / 255.0 - 128 / 255
        assert noise.var() == pytest.approx(variance, rel=0.03)


def test_the_usual_table_is_not_changed(photograph):
    usual = distort(photograph, "gaussian_blur", 5)
    assert not np.array_equal(usual, distort(photograph, "motion_blur", 5, among=RATED))
    with pytest.raises(ValueError, match="did you mean 'gaussian_blur'"):
        distort(photograph, "gausian_blur", 1, among=RATED)
