"""Judges: what metrics have in common with losses, and which are added."""

from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_comparison

from restoration.compare import judges
from restoration.compare.judges import KINDS, add_judges, canonical, standing, standings
from restoration.compare.plan import load_comparison
from restoration.metrics import (
    Metric,
    MetricUnavailable,
    build_metrics,
    known_metrics,
    open_metrics,
)

MAE = {"type": "MAE"}


def recipes(*terms):
    every = [
        {"name": f"r{k}", "train": {"losses": [MAE, {"type": term}]}}
        for k, term in enumerate(terms)
    ]
    return load_comparison(tiny_comparison("images", recipes=every)).recipes


def text(kind, *terms):
    return standing(kind, kind, recipes(*terms)).text


def test_what_metrics_have_in_common_with_losses():
    assert text("lpips", "VGG", "E-VGG") == (
        "independent: no recipe was trained on it, nor on its kind"
    )
    assert text("psnr", "VGG", "E-VGG") == (
        "no recipe was trained on it, but on its kind: an error of pixels, as MAE of every recipe"
    )
    assert "visual masks of the same kind and teachers, as E-VGG of r1" in text(
        "e_mae", "VGG", "E-VGG"
    )
    assert text("lpips", "LPIPS", "VGG") == "the loss of r0 contains it"
    assert text("e_mae", "E-MAE", "E-MAE") == "the loss of every recipe contains it"
    assert "features of a VGG network, as VGG of r0" in text("dists", "VGG", "MSE")
    assert "structural similarity, as SSIM of r0" in text("ms_ssim", "SSIM", "MSE")
    assert "LPIPS, as E-LPIPS of r0" in text("lpips", "E-LPIPS", "MSE")
    assert "not known here" in text("my_own", "VGG", "E-VGG")


def test_every_metric_has_a_kind():
    assert set(known_metrics()) <= set(KINDS)
    for kind in ("psnr", "ssim", "ms_ssim", "e_mae", "mae"):
        (metric,) = build_metrics([{"type": kind, "name": "mine"}]).values()
        assert canonical(metric.label) == kind


def fake(kind, fails=False):
    """A metric that is there without weights, or cannot measure small images."""

    def function(x, y):
        if fails:
            raise ValueError("too small")
        return (x - y).abs().mean((1, 2, 3))

    return Metric(kind, kind.upper().replace("_", "-"), False, "", function)


@pytest.fixture
def here(monkeypatch):
    """Choose which metrics can be had."""

    def choose(**available):
        def build(names):
            (kind,) = names
            if kind not in available:
                raise MetricUnavailable(f"{kind} is unavailable")
            return {kind: available[kind]}

        monkeypatch.setattr(judges, "build_metrics", build)

    return choose


def added(terms, given=None, metrics=("psnr", "e_mae")):
    source = SimpleNamespace(size=lambda index: (24, 24), names=["0.png"])

    class Set(SimpleNamespace):
        def __len__(self):
            return 1

    sets = {"val": Set(source=source, channels=3)}
    opened = open_metrics(list(metrics))
    found = add_judges(opened, given, recipes(*terms), sets, torch.device("cpu"))
    assert list(found.by_name)[: len(metrics)] == list(metrics)
    return list(found.by_name)[len(metrics) :]


def test_the_first_judge_that_can_be_had_is_added(here):
    here(lpips=fake("lpips"), dists=fake("dists"), milo=fake("milo"))
    assert added(["VGG", "E-VGG"]) == ["lpips"]
    assert added(["LPIPS", "MSE"]) == ["dists"]
    assert added(["LPIPS", "VGG"]) == ["milo"], "one of no loss's kind comes first"
    here(dists=fake("dists"))
    assert added(["LPIPS", "VGG"]) == ["dists"]
    here()
    assert added(["VGG", "E-VGG"]) == []


def test_one_that_cannot_measure_the_images_is_not_added(here):
    here(lpips=fake("lpips", fails=True), ms_ssim=fake("ms_ssim"))
    assert added(["VGG", "E-VGG"]) == ["ms_ssim"]


def test_none_is_added_beside_a_judge_or_where_none_is_wanted(here):
    here(lpips=fake("lpips"))
    assert added(["VGG", "E-VGG"], metrics=("psnr", "ms_ssim")) == [], "MS-SSIM is in no loss"
    assert added(["SSIM", "E-VGG"], metrics=("psnr", "ms_ssim")) == ["lpips"]
    assert added(["VGG", "E-VGG"], metrics=("psnr", "ssim")) == ["lpips"]
    assert added(["VGG", "E-VGG"], given=[]) == []


def test_judges_of_ones_own_choice():
    assert added(["VGG", "E-VGG"], given=["ssim", "psnr"]) == ["ssim"]
    with pytest.raises(
        ValueError, match="`judges`: expected metrics that no recipe was trained on"
    ):
        added(["SSIM", "E-VGG"], given=["ssim"])


def test_no_judge_is_downloaded(monkeypatch):
    from losses.features import published

    def refuse(*arguments, **keys):
        raise AssertionError("a download")

    monkeypatch.setattr(published.urllib.request, "urlopen", refuse)

    def absent(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(published, "resolve", absent)
    added(["VGG", "E-VGG"])


def test_standings_of_measured_metrics():
    found = standings(build_metrics(["psnr", "e_mae"]), recipes("VGG", "E-VGG"))
    assert list(found) == ["psnr", "e_mae"]
    assert not any(one.is_judge for one in found.values())
