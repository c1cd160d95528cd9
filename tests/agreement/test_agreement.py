import numpy as np
import pytest
from scipy import stats

from restoration.agreement.bootstrap import draw_counts, interval, resampled_statistics
from restoration.agreement.statistics import agreement, fit_curve, logistic

TRUTH = (4.6, 1.2, 30.0, 5.0)


def numpy_logistic(x, b1, b2, b3, b4):
    """The formula as the VQEG's report states it, value by value."""
    return np.array([(b1 - b2) / (1 + np.exp(-(v - b3) / abs(b4))) + b2 for v in x])


@pytest.fixture
def data():
    rng = np.random.default_rng(4)
    quality = rng.uniform(10, 50, 120).round(0)  # with ties
    scores = (logistic(quality, *TRUTH) + rng.normal(0, 0.4, 120)).round(1)
    return quality, scores


def test_logistic_is_the_formula():
    x = np.linspace(-3, 80, 50)
    np.testing.assert_allclose(logistic(x, *TRUTH), numpy_logistic(x, *TRUTH), rtol=1e-12)
    np.testing.assert_array_equal(logistic(x, *TRUTH), logistic(x, *TRUTH[:3], -TRUTH[3]))


def test_logistic_far_outside_is_its_limits_without_a_warning():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(logistic(np.array([-1e9, 1e9]), *TRUTH), [1.2, 4.6])


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e5])
@pytest.mark.parametrize("shift", [0.0, -200.0])
def test_fit_recovers_the_parameters(scale, shift):
    x = np.linspace(5, 60, 60)
    scores = numpy_logistic(x, *TRUTH)
    curve = fit_curve(scale * (x + shift), scores)
    b1, b2, b3, b4 = TRUTH
    assert curve.converged and curve.rises
    wanted = (b1, b2, scale * (b3 + shift), scale * b4)
    np.testing.assert_allclose(curve.parameters, wanted, rtol=1e-5)


def test_fit_of_a_falling_metric_with_a_long_tail():
    x = np.exp(np.random.default_rng(0).normal(0, 1.5, 200))
    scores = numpy_logistic(-x, 5, 1, -2, 0.8)
    curve = fit_curve(x, scores)
    assert curve.converged and not curve.rises
    np.testing.assert_allclose(curve(x), scores, atol=1e-5)


@pytest.mark.parametrize("rate", [-1.5, 1.5])
def test_a_limit_that_runs_away_is_held(rate):
    """An exponential has one bend: a free fit would send the other limit to infinity."""
    x = np.linspace(0, 3, 60)
    scores = np.exp(rate * x) / np.exp(rate * x).max()
    curve = fit_curve(x, scores)
    assert curve.converged and curve.rises == (rate > 0)
    assert np.sqrt(((curve(x) - scores) ** 2).mean()) < 0.02
    assert max(abs(p) for p in curve.parameters[:2]) < 12


def test_values_that_lie_close_but_for_a_few():
    """Their spread is that of the few, so that the others' is below the narrowest width."""
    draw = np.random.default_rng(129)
    values, scores = np.r_[draw.normal(0, 1e-3, 57), 1, 2, 5], draw.random(60)
    curve = fit_curve(values, scores)
    assert np.isfinite(curve(values)).all()
    assert np.square(curve(values) - scores).sum() <= np.square(scores - scores.mean()).sum()


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        (np.ones(20), np.linspace(1, 5, 20)),
        (np.linspace(0, 1, 20), np.full(20, 3.0)),
        (np.arange(4.0), np.array([1.0, 2, 4, 3])),
    ],
)
def test_without_a_fit_it_says_so_and_draws_the_line(values, scores):
    curve = fit_curve(values, scores)
    assert not curve.converged
    if np.ptp(values):
        slope, offset = np.polyfit(values, scores, 1)
        np.testing.assert_allclose(curve.parameters, (offset, slope), atol=1e-12)
    else:
        np.testing.assert_allclose(curve(values), scores.mean())


def test_no_start_that_converges_is_said(data, monkeypatch):
    def never(*_, **__):
        raise RuntimeError("Optimal parameters not found")

    monkeypatch.setattr("restoration.agreement.statistics.curve_fit", never)
    assert not fit_curve(*data).converged


def test_parity_with_scipy(data):
    quality, scores = data
    found = agreement(quality, scores)
    predicted = numpy_logistic(quality, *found.curve.parameters)
    assert found.plcc == pytest.approx(stats.pearsonr(predicted, scores)[0], rel=1e-12)
    assert found.srocc == pytest.approx(stats.spearmanr(quality, scores)[0], rel=1e-12)
    assert found.krcc == pytest.approx(stats.kendalltau(quality, scores)[0], rel=1e-12)
    assert found.rmse == pytest.approx(np.sqrt(((predicted - scores) ** 2).mean()), rel=1e-12)


def test_perfect_agreement(data):
    quality, _ = data
    found = agreement(quality, numpy_logistic(quality, *TRUTH))
    assert found.plcc == pytest.approx(1) and found.srocc == pytest.approx(1)
    assert found.rmse < 1e-6


def test_disagreement_is_negative_in_every_correlation(data):
    quality, scores = data
    found = agreement(-quality, scores)
    assert max(found.plcc, found.srocc, found.krcc) < -0.5
    assert found.plcc == pytest.approx(-agreement(quality, scores).plcc, abs=1e-6)


def test_a_constant_metric_has_no_correlation():
    found = agreement(np.ones(9), np.arange(9.0))
    assert found.plcc is found.srocc is found.krcc is None
    assert found.rmse == pytest.approx(np.arange(9).std())


@pytest.mark.parametrize(
    ("values", "scores", "match"),
    [
        (np.ones(3), np.ones(4), "two"),
        (np.ones((2, 2)), np.ones((2, 2)), "two"),
        (np.array([1.0, np.inf, 2]), np.ones(3), "finite"),
    ],
)
def test_bad_input(values, scores, match):
    with pytest.raises(ValueError, match=match):
        agreement(values, scores)


# ------------------------------------------------------------------ bootstrap


def test_counts_are_draws_with_replacement():
    counts = draw_counts(7, 50, seed=1)
    assert counts.shape == (50, 7) and (counts.sum(1) == 7).all()
    np.testing.assert_array_equal(counts, draw_counts(7, 50, seed=1))
    assert (counts != draw_counts(7, 50, seed=2)).any()
    assert abs(draw_counts(7, 4000, seed=0).mean(0) - 1).max() < 0.06


@pytest.mark.parametrize("chunk", [4_000_000, 500])
def test_bootstrap_equals_a_loop_over_resamples(data, chunk, monkeypatch):
    """Every resample is laid out pair by pair and given to scipy."""
    monkeypatch.setattr("restoration.agreement.bootstrap.CHUNK", chunk)
    quality, scores = data
    groups = np.random.default_rng(0).integers(0, 9, len(quality))  # groups of unlike size
    predicted = agreement(quality, scores).curve(quality)
    counts = draw_counts(9, 25, seed=3)
    found = resampled_statistics(quality, predicted, scores, groups, counts)
    for number, row in enumerate(counts):
        rows = np.concatenate([np.tile(np.flatnonzero(groups == g), n) for g, n in enumerate(row)])
        x, p, y = quality[rows], predicted[rows], scores[rows]
        wanted = {
            "plcc": stats.pearsonr(p, y)[0],
            "srocc": stats.spearmanr(x, y)[0],
            "krcc": stats.kendalltau(x, y)[0],
            "rmse": np.sqrt(((p - y) ** 2).mean()),
        }
        for name, value in wanted.items():
            assert found[name][number] == pytest.approx(value, rel=1e-9), name


def test_interval_is_the_percentiles_of_what_is_defined():
    samples = np.append(np.arange(101.0), [np.nan] * 5)
    assert interval(samples, 0.9) == pytest.approx((5, 95))
    assert interval(np.full(10, np.nan)) is None


def test_a_resample_without_the_pairs_of_a_category_is_left_out():
    """A category that only some references have: its statistics are NaN there, not an error."""
    x = np.arange(6.0)
    counts = np.array([[2, 0], [0, 2]])
    found = resampled_statistics(x, x, x + 1, np.zeros(6, int), counts)
    assert found["srocc"][0] == pytest.approx(1) and np.isnan(found["srocc"][1])
    assert np.isnan(found["krcc"][1]) and np.isnan(found["plcc"][1]) and np.isnan(found["rmse"][1])
