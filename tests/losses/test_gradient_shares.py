"""Shares of the gradient at the prediction against autograd by hand."""

import pytest
import torch

import losses
from losses.shares import gradient_norms, shares_of, weights_for

DRAWS = torch.Generator().manual_seed(3)
PREDICTION = torch.rand(2, 3, 32, 32, generator=DRAWS)
TARGET = torch.rand(2, 3, 32, 32, generator=DRAWS)
N = PREDICTION.numel()


def test_gradient_norms_by_hand():
    criterion = losses.build([{"type": "MAE", "weight": 5.0}, {"type": "MSE"}])
    norms = gradient_norms(criterion, PREDICTION, TARGET)
    assert float(norms["MAE"]) == pytest.approx(N**-0.5, rel=1e-5)  # each value pulls with 1 / N
    expected = 2 / N * torch.linalg.vector_norm(PREDICTION - TARGET)
    assert float(norms["MSE"]) == pytest.approx(float(expected))


def test_gradient_norms_of_terms_on_one_backbone_are_those_of_each_alone():
    terms = [{"type": kind, "backbone": "embedded"} for kind in ("VGG", "E-VGG")]
    norms = gradient_norms(losses.build(terms), PREDICTION, TARGET)
    for term in terms:
        alone = gradient_norms(losses.build([term]), PREDICTION, TARGET)[term["type"]]
        assert float(norms[term["type"]]) == pytest.approx(float(alone), rel=1e-5)


def test_every_graph_is_used_once(monkeypatch):
    """A compiled backbone refuses a backward pass that keeps its graph."""
    asked, grad = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **n: asked.append(n) or grad(*a, **n))
    terms = [{"type": kind, "backbone": "embedded"} for kind in ("VGG", "E-VGG")]
    gradient_norms(losses.build(terms), PREDICTION, TARGET)
    assert asked == [{}, {}]


@pytest.mark.slow
def test_gradient_norms_of_compiled_terms():
    kinds = [{"type": kind, "backbone": "embedded"} for kind in ("VGG", "E-VGG")]
    eager, compiled = (
        gradient_norms(losses.build([k | {"compile": c} for k in kinds]), PREDICTION, TARGET)
        for c in (False, True)
    )
    assert {k: float(v) for k, v in compiled.items()} == pytest.approx(
        {k: float(v) for k, v in eager.items()}, rel=1e-3
    )


def test_gradient_norms_leave_everything_as_it_is():
    criterion = losses.build([{"type": "MAE"}, {"type": "PSNR"}])
    network = torch.nn.Conv2d(3, 3, 1)
    prediction = network(PREDICTION)
    with torch.no_grad():
        norms = gradient_norms(criterion, prediction, TARGET)
    assert network.weight.grad is None
    assert not any(norm.requires_grad for norm in norms.values())
    criterion(prediction, TARGET)[0].backward()  # its graph is still there
    assert network.weight.grad is not None


def test_half_precision_loses_no_gradient():
    """One value in 3 million pulls with 3e-7: fp16 has no such number."""
    criterion = losses.build([{"type": "MAE"}])
    prediction = torch.full((1, 3, 1024, 1024), 0.5, dtype=torch.float16)
    norms = gradient_norms(criterion, prediction, torch.zeros(prediction.shape))
    assert float(norms["MAE"]) == pytest.approx(prediction.numel() ** -0.5, rel=1e-4)


def test_a_term_without_gradient_has_the_norm_zero():
    criterion = losses.build([{"type": "MAE"}])
    assert gradient_norms(criterion, TARGET, TARGET)["MAE"] == 0


def test_shares_of_by_hand():
    norms = {"a": torch.tensor(2.0), "b": torch.tensor(3.0), "c": torch.tensor(0.0)}
    shares = shares_of(norms, {"a": 1.0, "b": -2.0, "c": 9.0})
    assert {name: float(share) for name, share in shares.items()} == {"a": 0.25, "b": 0.75, "c": 0}
    assert float(shares_of({"c": torch.tensor(0.0)}, {"c": 1.0})["c"]) == 0


@pytest.mark.parametrize("wanted", [{"b": 0.3}, {"b": 0.3, "c": 0.5}, {}])
def test_weights_for_give_the_shares(wanted):
    norms = {"a": 2.0, "b": 3.0, "c": 0.01}
    numbers = {name: 0.5 for name in norms if name not in wanted}
    weights = weights_for(norms, numbers, wanted)
    assert {name: weights[name] for name in numbers} == numbers
    shares = shares_of({name: torch.tensor(norm) for name, norm in norms.items()}, weights)
    assert {name: float(shares[name]) for name in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("norms", "weights", "wanted", "message"),
    [
        ({"a": 1.0, "b": 1.0}, {"a": 1.0}, {"b": 1.0}, "leave some below 1"),
        ({"a": 1.0, "b": 1.0}, {"a": 0.0}, {"b": 0.5}, "a number other than 0"),
        ({"a": 1.0, "b": 0.0}, {"a": 1.0}, {"b": 0.5}, "expected a gradient of loss b"),
    ],
)
def test_weights_for_raises(norms, weights, wanted, message):
    with pytest.raises(ValueError, match=message):
        weights_for(norms, weights, wanted)
