"""What test sets are spoiled by, and how tables name it."""

import numpy as np
import pytest

from restoration.degradations import Condition, conditions_of_test, evaluation_noise

NOISE = {"type": "gaussian", "sigma": 25}


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({"type": "gaussian", "sigma": [15, 25]}, [("gaussian", 15.0), ("gaussian", 25.0)]),
        (NOISE, [("gaussian", 25.0)]),
        ({"type": "jpeg", "quality": [10, 30]}, [("jpeg quality", 10.0), ("jpeg quality", 30.0)]),
        (
            [NOISE, {"type": "jpeg", "quality": [10, 30]}],
            [("gaussian 25 + jpeg quality", 10.0), ("gaussian 25 + jpeg quality", 30.0)],
        ),
        (
            [{"type": "blur", "sigma": [1, 2]}, NOISE],
            [("blur sigma (then gaussian 25)", 1.0), ("blur sigma (then gaussian 25)", 2.0)],
        ),
    ],
)
def test_conditions_and_their_names(specs, expected):
    found = conditions_of_test(specs)
    assert [one.condition for one in found] == [Condition(*pair) for pair in expected]
    image = np.random.default_rng(0).random((16, 20, 3)).astype(np.float32)
    spoilt = [one.spoil(image) for one in found]
    assert all(s.shape == image.shape and s.dtype == np.float32 for s in spoilt)
    assert len({s.tobytes() for s in spoilt}) == len(found)


def test_gaussian_noise_is_that_of_the_protocol():
    image = np.random.default_rng(0).random((16, 20, 3)).astype(np.float32)
    (condition,) = conditions_of_test(NOISE)
    np.testing.assert_array_equal(condition.spoil(image), evaluation_noise(image, 25))
    assert condition.condition.sigma == 25
    (jpeg,) = conditions_of_test({"type": "jpeg", "quality": 30})
    assert jpeg.condition.sigma is None


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([{"type": "jpeg", "quality": [1, 2]}, {"type": "blur", "sigma": [1, 2]}], "of one degrad"),
        ({**NOISE, "probability": 0.5}, "takes no probability"),
        ({"type": "poisson_gaussian", "shot": 5, "sigma": [0, 5]}, "one number as sigma of pois"),
    ],
)
def test_what_a_test_cannot_be(specs, message):
    with pytest.raises(ValueError, match=message):
        conditions_of_test(specs)
