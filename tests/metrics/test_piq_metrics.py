"""Metrics of piq by name."""

import sys

import pytest
import torch

from restoration.metrics import MetricUnavailable, build_metrics
from restoration.metrics.piq_metrics import PIQ


def images() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 176, 180)
    return (x + 0.1 * torch.randn_like(x)).clamp(0, 1), x


@pytest.mark.parametrize("name", PIQ)
def test_values_are_those_of_piq_image_by_image(name):
    piq = pytest.importorskip("piq")
    prediction, target = images()
    metric = build_metrics([name])[name]
    function = getattr(piq, PIQ[name][0])
    single = [function(a[None], b[None]) for a, b in zip(prediction, target, strict=True)]
    torch.testing.assert_close(metric(prediction, target), torch.stack(single))


@pytest.mark.parametrize("name", PIQ)
def test_the_better_side_is_that_of_the_image_closer_to_the_target(name):
    pytest.importorskip("piq")
    prediction, target = images()
    metric = build_metrics([name])[name]
    worse, better = metric(prediction, target), metric((prediction + target) / 2, target)
    assert bool((better > worse).all()) == metric.higher_is_better


def test_a_grey_channel_is_repeated():
    pytest.importorskip("piq")
    prediction, target = (x[:, :1] for x in images())
    metric = build_metrics(["haarpsi"])["haarpsi"]
    expected = metric(prediction.repeat(1, 3, 1, 1), target.repeat(1, 3, 1, 1))
    torch.testing.assert_close(metric(prediction, target), expected)


def test_without_piq_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "piq", None)
    with pytest.raises(MetricUnavailable, match="HaarPSI is unavailable: .*pip install piq"):
        build_metrics(["haarpsi"])
