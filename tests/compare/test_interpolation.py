"""Monotone interpolation of many curves, against scipy's of one."""

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from restoration.compare.interpolation import interpolate


@pytest.mark.parametrize("num_points", [2, 3, 4, 7])
def test_values_are_those_of_scipy(num_points):
    draws = np.random.default_rng(num_points)
    x, y = draws.normal(size=(5, 4, num_points)), draws.normal(size=(5, 4, num_points))
    at = draws.uniform(x.min(-1), x.max(-1), (30, 5, 4)).transpose(1, 2, 0)
    found = interpolate(x, y, at)
    for place in np.ndindex(5, 4):
        order = x[place].argsort()
        expected = PchipInterpolator(x[place][order], y[place][order])(at[place])
        np.testing.assert_allclose(found[place], expected, rtol=1e-7, atol=1e-7)


def test_it_goes_through_its_points_and_never_beyond_them():
    draws = np.random.default_rng(0)
    x, y = np.sort(draws.normal(size=(50, 5))), draws.normal(size=(50, 5))
    np.testing.assert_allclose(interpolate(x, y, x), y, atol=1e-6)
    t = np.linspace(0, 1, 20)
    for k in range(4):
        at = x[:, k, None] + t * (x[:, k + 1] - x[:, k])[:, None]
        found = interpolate(x, y, at)
        low, high = y[:, k : k + 2].min(1)[:, None], y[:, k : k + 2].max(1)[:, None]
        assert ((found >= low - 1e-6) & (found <= high + 1e-6)).all()


def test_straight_lines():
    draws = np.random.default_rng(1)
    x, y, at = np.sort(draws.normal(size=6)), draws.normal(size=6), np.linspace(-0.5, 0.5, 9)
    at = at.clip(x[0], x[-1])
    np.testing.assert_allclose(
        interpolate(x, y, at, monotone=False), np.interp(at, x, y), atol=1e-6
    )
    straight = interpolate(x, 2 * x + 1, at)
    np.testing.assert_allclose(straight, 2 * at + 1, atol=1e-6)


def test_points_at_one_place_have_a_finite_curve():
    x, y = np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.5, 2.0])
    found = interpolate(x, y, np.linspace(0, 2, 50))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 2
