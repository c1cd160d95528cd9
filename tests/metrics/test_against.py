"""Predictions against one target: the values of each metric alone, bit by bit, in fewer passes."""

from collections import Counter

import pytest
import torch

from restoration.metrics import Against, Metrics, build_metrics

# VGG and E-VGG on one backbone, LPIPS on another, and what has none
SPECS = [
    {"type": "VGG", "backbone": "embedded"},
    "psnr",
    "lpips",
    {"type": "E-VGG", "backbone": "embedded"},
    "e_mae",
]


@pytest.fixture(scope="module")
def metrics():
    return build_metrics(SPECS)


@pytest.fixture
def passes(metrics):
    """How often each backbone sees images, by name of the first metric on it."""
    found = Counter()
    hooks = [
        metrics[name].module.backbone.register_forward_hook(
            lambda *_, name=name: found.update([name])
        )
        for name in ("vgg", "lpips")
    ]
    yield found
    for hook in hooks:
        hook.remove()


def images(count, channels=3):
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(count, 1, channels, 48, 40, generator=generator)


@pytest.mark.parametrize("channels", [3, 1])
def test_values_are_those_of_each_metric_alone(metrics, channels):
    target, *predictions = images(4, channels)
    against = Against(metrics, target)
    for prediction in predictions:
        values = against.measure(prediction)
        assert list(values) == list(metrics)
        for name, metric in metrics.items():
            assert torch.equal(values[name], metric(prediction, target)), name


def test_one_pass_a_prediction_and_one_for_the_target(metrics, passes):
    target, *predictions = images(4)
    against = Against(metrics, target)
    for prediction in predictions:
        against.measure(prediction)
    assert passes == {"vgg": 4, "lpips": 4}


def test_what_is_kept_is_bounded(metrics, passes):
    target, *predictions = images(3)
    few = Against(metrics, target, most_kept=0)
    values = [few.measure(prediction) for prediction in predictions]
    assert passes == {"vgg": 4, "lpips": 4}, "both images of two pairs"
    assert values == [Against(metrics, target).measure(p) for p in predictions]
    size = sum(f.nbytes for f in metrics["vgg"].module.backbone(target))
    passes.clear()
    some = Against(metrics, target, most_kept=size)
    for prediction in predictions:
        some.measure(prediction)
    assert passes == {"vgg": 3, "lpips": 4}


def test_types_are_kept_apart(metrics):
    target, prediction = images(2)
    against = Against(metrics, target)
    single = against.measure(prediction)
    against.measure(prediction.double())
    assert against.measure(prediction) == single


def test_a_prediction_of_another_size(metrics):
    target, prediction = images(2)
    with pytest.raises(ValueError, match="expected two"):
        Against(metrics, target).measure(prediction[..., 1:])


def test_metrics_on_equal_backbones_share_one():
    one, other = (build_metrics([spec]) for spec in (SPECS[0], SPECS[3]))
    assert one["vgg"].module.backbone is not other["e_vgg"].module.backbone
    Metrics(one | other)
    assert one["vgg"].module.backbone is other["e_vgg"].module.backbone
