"""Terms on one backbone: one module, one computation, the same numbers as alone."""

import pytest
import torch
from loss_inputs import embedded_masks, make_pair
from safetensors.torch import save_file

import losses


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    file = tmp_path_factory.mktemp("masks") / "masks.safetensors"
    save_file(embedded_masks(gain=2.0), file)
    return file


def pair_of_terms(masks, **more):
    return [
        {"type": "VGG", "backbone": "embedded", "weight": 0.5, **more},
        {"type": "E-VGG", "backbone": "embedded", "weight": 2.0, "masks": masks},
    ]


def counted(backbone, calls):
    backbone.register_forward_hook(lambda *_: calls.append(1))


def test_value_and_gradient_as_alone(masks):
    options = pair_of_terms(masks)
    criterion = losses.build(options)
    x, y = make_pair()
    together = x.clone().requires_grad_()
    total, values = criterion(together, y)
    total.backward()
    alone, sum_alone = x.clone().requires_grad_(), 0.0
    for given in options:
        weight = given.pop("weight")
        value = losses.build_term(**given)(alone, y)
        assert torch.equal(values[given["type"]], value.detach())
        sum_alone = sum_alone + weight * value
    sum_alone.backward()
    torch.testing.assert_close(total, sum_alone)
    torch.testing.assert_close(together.grad, alone.grad)


def test_the_backbone_runs_once_per_image(masks):
    criterion, calls = losses.build(pair_of_terms(masks)), []
    first, second = criterion.terms
    assert first.backbone is second.backbone
    counted(first.backbone, calls)
    criterion(*make_pair())
    assert len(calls) == 2, "the prediction and the target"


def test_other_backbones_are_not_shared(masks):
    criterion = losses.build(pair_of_terms(masks, weights="random"))
    first, second = criterion.terms
    assert first.backbone is not second.backbone
    calls = []
    counted(first.backbone, calls)
    counted(second.backbone, calls)
    criterion(*make_pair())
    assert len(calls) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"pooling": "max"},
        {"pooling": "l2"},
        {"normalize": True},
        {"taps": ["relu1_2"]},
        {"taps": ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]},
    ],
)
def test_equality(files, other):
    file = files / "vgg16.safetensors"
    backbone = losses.build_backbone(weights=file)
    assert backbone.equals(losses.build_backbone(weights=file))
    assert not backbone.equals(losses.build_backbone(weights=file, **other))


def test_names_of_taps(files):
    backbone = losses.build_backbone(
        weights=files / "vgg16.safetensors", taps=["relu2_2", "relu1_2"]
    )
    assert backbone.taps == ("relu1_2", "relu2_2")
    assert losses.build_backbone("embedded").taps == ("tap1", "tap2", "tap3")


def test_half_precision_and_autocast(masks):
    x, y = make_pair()
    plain, _ = losses.build(pair_of_terms(masks))(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        total, values = losses.build(pair_of_terms(masks))(x, y)
    assert {total.dtype, *(v.dtype for v in values.values())} == {torch.float32}
    torch.testing.assert_close(total, plain)
