"""Losses of BasicSR as terms: its perceptual loss with every key, Charbonnier by its two names."""

import pytest
import torch
import torch.nn.functional as F

from restoration.common import basicsr
from restoration.options.training import from_basicsr
from restoration.train.criterion import build_criterion

LAYERS = {"conv1_2": 1.0, "conv2_2": 0.5}


@pytest.fixture(autouse=True, scope="module")
def installed():
    try:
        basicsr.import_basicsr()
    except basicsr.BasicsrUnavailable:
        pytest.skip("BasicSR is not installed")


@pytest.fixture
def vgg(monkeypatch):
    """Random weights in the place of torchvision's downloads."""
    from torchvision.models import vgg as models

    for name in ("vgg16", "vgg16_bn"):
        build = getattr(models, name)
        monkeypatch.setattr(models, name, lambda pretrained=False, build=build: build())


def perceptual(**more):
    return {"type": "PerceptualLoss", "layer_weights": LAYERS, "vgg_type": "vgg16", **more}


def pair():
    x, y = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return x.requires_grad_(), y


def distance(criterion, x, y):
    if criterion == "fro":
        return (x - y).norm()
    return F.l1_loss(x, y) if criterion == "l1" else F.mse_loss(x, y)


@pytest.mark.parametrize("criterion", ["l1", "l2", "fro"])
def test_every_criterion(vgg, criterion):
    x, y = pair()
    built = build_criterion([perceptual(criterion=criterion)])
    total, values = built(x, y)
    network = built.terms[0].loss.vgg
    of_x, of_y = network(x), network(y)
    expected = sum(w * distance(criterion, of_x[k], of_y[k]) for k, w in LAYERS.items())
    torch.testing.assert_close(total, expected)
    assert values["PerceptualLoss"] == total.detach()
    total.backward()
    assert x.grad.abs().sum() > 0 and x.grad.isfinite().all()
    assert not list(built.requires_grad_(True).parameters())


@pytest.mark.parametrize("vgg_type", ["vgg16", "vgg16_bn"])
def test_types(vgg, vgg_type):
    assert build_criterion([perceptual(vgg_type=vgg_type)])(*pair())[0] > 0


@pytest.mark.parametrize("beside", [[], [{"type": "MAE"}]])
def test_weights_of_zero(vgg, beside):
    x, y = pair()
    total, values = build_criterion([perceptual(perceptual_weight=0), *beside])(x, y)
    assert values["PerceptualLoss"] == 0
    total.backward()
    assert bool(x.grad.any()) == bool(beside)


def test_style_alone(vgg):
    total, _ = build_criterion([perceptual(perceptual_weight=0, style_weight=1.0)])(*pair())
    assert total > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"vgg_type": "vgg17"}, "unknown vgg_type 'vgg17'; known: vgg11, .*; did you mean 'vgg1"),
        ({"criterion": "l3"}, "unknown criterion 'l3'; known: l1, l2, fro"),
        ({"layer_weights": {"conv9_9": 1.0}}, "unknown layer 'conv9_9'"),
        ({"layer_weights": {}}, r"expected layer_weights such as .* got \{\}"),
        ({"colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_raises(vgg, more, message):
    with pytest.raises(ValueError, match=f"loss PerceptualLoss of BasicSR: .*{message}"):
        build_criterion([perceptual(**more)])


def test_weights_that_cannot_be_downloaded(vgg, monkeypatch):
    from torchvision.models import vgg as models

    def offline(pretrained):
        raise OSError("no network")

    monkeypatch.setattr(models, "vgg16", offline)
    with pytest.raises(FileNotFoundError, match="PerceptualLoss of BasicSR needs weights.*no netw"):
        build_criterion([perceptual()])


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ({"type": "Charbonnier"}, lambda d: (d.square() + 1e-3**2).sqrt().mean()),
        ({"type": "Charbonnier", "eps": 0.1}, lambda d: (d.square() + 0.1**2).sqrt().mean()),
        ({"type": "CharbonnierLoss"}, lambda d: (d.square() + 1e-12).sqrt().mean()),
        ({"type": "CharbonnierLoss", "eps": 0.1}, lambda d: (d.square() + 0.1).sqrt().mean()),
    ],
)
def test_charbonnier_means_one_thing_by_each_name(term, expected):
    """`Charbonnier` is Restormer's and `CharbonnierLoss` BasicSR's, in `losses` and `pixel_opt`."""
    x, y = pair()
    for given in (term, from_basicsr(term)):
        total, _ = build_criterion([given])(x, y)
        torch.testing.assert_close(total, expected(x - y), rtol=1e-5, atol=0)
