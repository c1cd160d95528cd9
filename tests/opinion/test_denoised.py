"""Outputs of denoisers as kinds of distortion."""

import numpy as np
import pytest
import torch

from restoration.archs import build_network
from restoration.degradations.distortions import choose_kinds, distort, family_of
from restoration.degradations.kadid import RATED
from restoration.opinion import calibrated
from restoration.opinion.calibrated import Calibration
from restoration.opinion.denoised import FILTERS, SIGMAS, denoised_kinds
from restoration.opinion.distorted import DistortedPairs
from restoration.opinion.open import draw_opinions, read_photographs

OURS = ("gaussian", "bilateral", "nlm", "denoise_color_xs")
COFFEE = "skimage:coffee"


@pytest.fixture(scope="module")
def photographs():
    return read_photographs([COFFEE], 64)


@pytest.fixture(scope="module")
def cut(photographs):
    return np.ascontiguousarray(photographs[f"{COFFEE}/coffee"][150:214, 250:314])


def error(image, other):
    return np.abs(image.astype(float) - other).mean()


@pytest.mark.parametrize("denoiser", OURS)
def test_less_noise_is_left_than_there_was_and_more_at_higher_levels(cut, denoiser):
    kinds = denoised_kinds([denoiser])
    ((kind, entry),) = kinds.items()
    assert (kind, family_of(kind)) == (f"denoised_by_{denoiser}", "denoised")
    seeds = range(4)
    found = [[error(distort(cut, kind, n, s, kinds), cut) for s in seeds] for n in (2, 5)]
    low, high = np.mean(found, axis=1)
    assert low < high
    noise = 255 * entry.strengths[4] * np.sqrt(2 / np.pi)
    assert high < 0.9 * noise
    assert np.array_equal(distort(cut, kind, 3, 1, kinds), distort(cut, kind, 3, 1, kinds))


def test_filters_are_told_too_little_and_too_much_noise(cut, monkeypatch):
    told = []
    monkeypatch.setitem(FILTERS, "told", lambda noisy, sigma: told.append(sigma) or noisy)
    kinds = denoised_kinds(["told"])
    for seed in range(40):
        distort(cut, "denoised_by_told", 3, seed, kinds)
    ratio = np.array(told) / (255 * SIGMAS[2])
    assert 0.6 < ratio.min() < 0.75 and 1.3 < ratio.max() < 1.6


def test_a_network_that_was_trained_here_is_a_denoiser(cut, tmp_path):
    options = {"type": "restormer_xs"}
    network = build_network(options)
    path = tmp_path / "early.pth"
    torch.save({"params": network.state_dict()}, path)
    kinds = denoised_kinds([str(path)])
    assert distort(cut, "denoised_by_early", 2, 0, kinds).shape == cut.shape


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["bilatral"], FileNotFoundError, "did you mean 'bilateral'"),
        (["nlm", "nlm"], ValueError, "different names"),
    ],
)
def test_what_is_no_denoiser(names, error, message):
    with pytest.raises(error, match=message):
        denoised_kinds(names)


def test_they_are_rated_as_denoised_photographs_with_their_error():
    levels = np.linspace(1, 5, 41)
    kinds = np.array(["denoise"] * 41 + ["denoised_by_nlm"] * 3)
    error = np.concatenate([levels, [1.5, 3, 4.5]])  # the level of "denoise" is its error
    drawn = np.concatenate([levels, [5, 5, 5]])  # of other noise: no say in the rating
    scores = calibrated.rate(kinds, drawn, [-error])
    np.testing.assert_allclose(scores[41:], calibrated.opinion("denoise", [1.5, 3, 4.5]), atol=0.02)
    with pytest.raises(ValueError, match="rated beside the kind denoise"):
        calibrated.rate(kinds[41:], drawn[41:], [-error[41:]])


def test_tables_have_them_beside_the_other_kinds(photographs):
    named = {"denoisers": ["gaussian", "bilateral"], "num_references": 2, "size": 64}
    rated = draw_opinions(photographs, num_versions=54, by_people=Calibration(), **named)
    assert set(rated.kinds) == {*RATED, "denoised_by_gaussian", "denoised_by_bilateral"}
    only = draw_opinions(photographs, num_versions=4, distortions=["denoised"], **named)
    assert set(only.kinds) == {"denoised_by_gaussian", "denoised_by_bilateral"}


def test_pairs_to_judge_metrics_with():
    pairs = DistortedPairs(
        COFFEE, ["denoised", "jpeg"], ["gaussian"], [3.0], size=48, by_family=True
    )
    assert pairs.categories == ("compression", "denoised")
    assert pairs.distorted[1] == "coffee:denoised_by_gaussian:3"
    assert not np.array_equal(pairs.read_distorted(1), pairs.read_reference(1))
    assert pairs.fingerprint(0) != pairs.fingerprint(1)
    with pytest.raises(ValueError, match="people rated no outputs of denoisers"):
        DistortedPairs(COFFEE, denoisers=["gaussian"], rated=True)


def test_kinds_by_the_names_of_families():
    available = [*RATED, "denoised_by_nlm"]
    assert choose_kinds(["denoised"], available) == ["denoised_by_nlm"]
    assert choose_kinds(None, available) == available
    with pytest.raises(ValueError, match="did you mean 'denoised'"):
        choose_kinds(["denoisd"], available)
