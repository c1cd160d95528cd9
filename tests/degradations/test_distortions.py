import numpy as np
import pytest

from restoration.data import open_source
from restoration.degradations.distortions import DISTORTIONS, distort


@pytest.fixture(scope="module")
def photograph():
    return open_source("skimage:chelsea").read(0)[60:188, 100:228]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_shape_determinism_and_growing_error(name, photograph):
    errors = []
    for level in range(1, 6):
        distorted = distort(photograph, name, level, seed=3)
        assert distorted.shape == photograph.shape and distorted.dtype == np.uint8
        np.testing.assert_array_equal(distorted, distort(photograph, name, level, seed=3))
        errors.append(np.abs(distorted.astype(float) - photograph).mean())
    assert errors[0] > 0
    assert errors[4] > 1.2 * errors[0]
    assert errors[4] >= max(errors) * 0.95


@pytest.mark.parametrize("name", DISTORTIONS)
def test_level_zero_is_the_reference(name, photograph):
    np.testing.assert_array_equal(distort(photograph, name, 0), photograph)


def test_there_are_the_25_of_kadid():
    assert len(DISTORTIONS) == 25


@pytest.mark.parametrize(
    ("name", "level", "match"),
    [
        ("gausian_blur", 1, "did you mean 'gaussian_blur'"),
        ("jpeg", 6, "level"),
        ("jpeg", 0.5, "level"),
    ],
)
def test_bad_input(name, level, match, photograph):
    with pytest.raises(ValueError, match=match):
        distort(photograph, name, level)


def test_bad_image(photograph):
    with pytest.raises(ValueError, match="uint8"):
        distort(photograph / 255.0, "jpeg", 1)
