"""Losses of the user's own: by import path, by a registered name, as modules, as metrics."""

import sys

import pytest
import torch
from loss_inputs import make_pair
from torch import nn

import losses
from restoration.metrics import build_metrics

SOBEL = """
import torch

class Bias(torch.nn.Module):
    def __init__(self, power=1.0):
        super().__init__()
        self.power = power

    def forward(self, prediction, target):
        return (prediction - target).mean((1, 2, 3)).abs() ** self.power

def scalar(prediction, target):
    return (prediction - target).abs().max()

class Scalar(torch.nn.Module):
    higher_is_better = True
    unit = "dB"
    forward = staticmethod(scalar)

class Needy(torch.nn.Module):
    def __init__(self, strength):
        super().__init__()

class Odd(torch.nn.Module):
    def forward(self, prediction, target):
        return prediction - target

def any_arguments(**options):
    return Bias(**options)

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "guest_losses.py").write_text(SOBEL)
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(losses.TERMS)
    yield "guest_losses"
    sys.modules.pop("guest_losses", None)
    losses.TERMS.clear()
    losses.TERMS.update(before)


def test_by_import_path(module):
    x, y = make_pair()
    expected = (x - y).mean((1, 2, 3)).abs()
    torch.testing.assert_close(losses.build_term("guest_losses:Bias")(x, y), expected.mean())
    for reduction, value in (("none", expected), ("sum", expected.sum())):
        term = losses.build_term("guest_losses:Bias", reduction=reduction)
        torch.testing.assert_close(term(x, y), value)
    squared = losses.build_term("guest_losses:any_arguments", power=2.0)
    torch.testing.assert_close(squared(x, y), expected.square().mean())


def test_a_term_of_ours_by_import_path():
    assert type(losses.build_term("losses.pixel:MAE")) is losses.MAE


def test_a_scalar_is_asked_for_image_by_image(module):
    x, y = make_pair()
    term = losses.build_term("guest_losses:Scalar", reduction="none")
    torch.testing.assert_close(term(x, y), (x - y).abs().amax((1, 2, 3)))


def test_in_a_criterion(module):
    x, y = make_pair()
    criterion = losses.build(
        [
            {"type": "MAE"},
            {"type": "guest_losses:Bias", "weight": 2, "power": 2.0, "name": "bias"},
            {"type": "guest_losses:Scalar", "weight": 0.5},
        ],
        guests=lambda **_: pytest.fail("an import path is no name of a guest"),
    )
    x.requires_grad_()
    total, values = criterion(x, y)
    assert list(values) == ["MAE", "bias", "guest_losses:Scalar"]
    torch.testing.assert_close(
        total, values["MAE"] + 2 * values["bias"] - 0.5 * values["guest_losses:Scalar"]
    )
    total.backward()
    assert x.grad.abs().sum() > 0


def test_a_module_with_a_backbone_of_its_own():
    """It shares nothing, and gets the two images alone."""

    class Perceptual(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = losses.build_backbone("embedded")

        def forward(self, prediction, target):
            return (self.backbone(prediction)[0] - self.backbone(target)[0]).abs().mean()

    x, y = make_pair()
    own = Perceptual()
    terms = {"own": own, "VGG": losses.VGG("embedded")}
    total, values = losses.Criterion(terms, {"own": 1.0, "VGG": 1.0})(x, y)
    torch.testing.assert_close(values["own"], own(x, y))
    torch.testing.assert_close(total, values["own"] + values["VGG"])


def test_a_registered_name(module):
    @losses.register_loss("Twice")
    class Twice(nn.Module):
        def forward(self, prediction, target):
            return 2 * (prediction - target).abs().mean()

    x, y = make_pair()
    torch.testing.assert_close(losses.build([{"type": "Twice"}])(x, y)[0], 2 * losses.MAE()(x, y))
    assert losses.register_loss("Twice", Twice) is Twice
    with pytest.raises(ValueError, match="expected a new name of a loss, got 'MAE', which is"):
        losses.register_loss("MAE", Twice)
    with pytest.raises(ValueError, match="did you mean 'Twice'"):
        losses.build_term("Twise")


def test_a_module_that_is_imported_again_registers_again(module, monkeypatch):
    factory = type("Again", (nn.Module,), {"__module__": "guest", "__qualname__": "Again"})
    twin = type("Again", (nn.Module,), {"__module__": "guest", "__qualname__": "Again"})
    losses.register_loss("Again", factory)
    assert losses.register_loss("Again", twin) is twin


def test_the_target_is_a_constant():
    x, y = (image.requires_grad_() for image in make_pair())
    module = nn.PairwiseDistance()
    module.forward = lambda prediction, target: (prediction - target).abs().mean()
    losses.Criterion({"own": module}, {"own": 1.0})(x, y)[0].backward()
    assert x.grad is not None and y.grad is None


def test_error_map(module):
    x, y = make_pair()
    with pytest.raises(ValueError, match="loss guest_losses:Bias has no error map"):
        losses.build_term("guest_losses:Bias").error_map(x, y)
    own = nn.Identity()
    own.error_map = lambda prediction, target: [((prediction - target).abs(), None)]
    term = losses.guest.as_term(own, "own")
    torch.testing.assert_close(term.error_map(x, y)[0][0], (x - y).abs())


def test_as_a_metric(module):
    x, y = make_pair()
    losses.register_loss("GuestScalar", losses.naming.import_object("guest_losses:Scalar"))
    metric = build_metrics(["guestscalar"])["guestscalar"]
    assert metric.higher_is_better and metric.unit == "dB"
    torch.testing.assert_close(metric(x, y), (x - y).abs().amax((1, 2, 3)))


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"type": "guest_nowhere:Bias"}, "no module 'guest_nowhere': is its folder on"),
        ({"type": "guest_losses:Bios"}, "has no 'Bios'; did you mean 'Bias'"),
        ({"type": "guest_losses:number"}, "expected a class or function, got 3"),
        ({"type": "guest_losses:Bias", "pwer": 2}, "unknown argument 'pwer'.*mean 'power'"),
        ({"type": "guest_losses:Needy"}, "loss guest_losses:Needy: .*missing 1 required"),
        ({"type": "builtins:dict"}, r"expected a torch.nn.Module, got \{\}"),
        ({"type": "torch.nn:L1Loss", "reduction": "none"}, r"expected a scalar or \(2,\) values"),
    ],
)
def test_raises(module, term, message):
    with pytest.raises(ValueError, match=message):
        losses.build_term(**term)(*make_pair())


def test_raises_on_other_answers(module):
    term = losses.build_term("guest_losses:Odd")
    with pytest.raises(ValueError, match=r"loss guest_losses:Odd: expected a scalar or \(2,\)"):
        term(*make_pair())
    with pytest.raises(ValueError, match="expected one image or more"):
        term(torch.rand(0, 3, 8, 8), torch.rand(0, 3, 8, 8))
