"""Optimisers: torch's, timm's, and users' own; keys without effect are errors; exact resume."""

import copy

import pytest
import torch
from torch import nn

from restoration.options.training import Optimizer, Scheduler, Train
from restoration.train.learning_rate import (
    SCHEDULES,
    build_own_schedule,
    build_schedule,
    register_scheduler,
)
from restoration.train.optimizer import OPTIMIZERS, build_optimizer, register_optimizer

KINDS = ["AdamW", "Adam", "SGD", "Muon", "adan", "Lion", "torch.optim:RMSprop"]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm([8, 6, 6]), nn.Conv2d(8, 3, 3))


def take_steps(module: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        module(image).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_descends_and_resumes_exactly(kind):
    module = network()
    optimizer = build_optimizer(module, Optimizer(type=kind, lr=1e-3))
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in module.parameters()}
    before = copy.deepcopy(module.state_dict())
    take_steps(module, optimizer, range(3))
    assert all(not torch.equal(before[n], v) for n, v in module.state_dict().items())
    again = network()
    other = build_optimizer(again, Optimizer(type=kind, lr=1e-3))
    again.load_state_dict(copy.deepcopy(module.state_dict()))
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    take_steps(module, optimizer, range(3, 6))
    take_steps(again, other, range(3, 6))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_sgd_has_momentum():
    module, twin = network(), network()
    options = Optimizer(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=True)
    ours = build_optimizer(module, options)
    theirs = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9, nesterov=True)
    take_steps(module, ours, range(4))
    take_steps(twin, theirs, range(4))
    for a, b in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "AdmW"}, "did you mean 'AdamW'"),
        ({"type": "SGD", "betas": [0.9, 0.99]}, "betas has no effect on SGD"),
        ({"type": "AdamW", "momentum": 0.9}, "momentum has no effect on AdamW"),
        ({"type": "AdamW", "lrr": 1e-3}, "lrr has no effect on AdamW; did you mean 'lr'"),
        ({"type": "AdamW", "epss": 1e-8}, "epss has no effect on AdamW; did you mean 'eps'"),
        ({"type": "Lion", "nesterov": True}, "nesterov has no effect on Lion"),
        ({"type": "AdamW", "betas": [0.9]}, "AdamW: "),
        ({"type": "torch.optim:Nothing"}, "has no 'Nothing'"),
    ],
)
def test_what_an_optimizer_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(network(), Optimizer(**options))


@pytest.mark.parametrize("betas", [[0.9, 1.0], [-0.1, 0.9], [1.5, 0.9]])
def test_betas_out_of_range(betas):
    with pytest.raises(ValueError, match=r"betas in \[0, 1\)"):
        Optimizer(betas=betas)


def test_ones_own_optimizer_and_schedule(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "Signed", None)
    monkeypatch.setitem(SCHEDULES, "halving", None)
    del OPTIMIZERS["Signed"], SCHEDULES["halving"]

    @register_optimizer("Signed")
    class Signed(torch.optim.SGD):
        def __init__(self, params, lr, weight_decay, strength=1.0):
            super().__init__(params, lr * strength, weight_decay=weight_decay)

    optimizer = build_optimizer(network(), Optimizer(type="Signed", lr=0.1, strength=2.0))
    assert optimizer.defaults["lr"] == 0.2
    with pytest.raises(ValueError, match="strenght has no effect on Signed; did you mean 'stren"):
        build_optimizer(network(), Optimizer(type="Signed", lr=0.1, strenght=2.0))

    @register_scheduler("halving")
    def halving(base, every):
        return lambda step: base * 0.5 ** (step // every)

    scheduler = Scheduler(type="halving", every=10)
    rate = build_own_schedule("halving", 0.8, 2, **scheduler.arguments)
    assert [rate(step) for step in (0, 1, 2, 10, 25)] == [0.4, 0.8, 0.8, 0.4, 0.2]
    with pytest.raises(ValueError, match="halving: .*unexpected keyword"):
        build_own_schedule("halving", 0.8, evry=3)
    with pytest.raises(ValueError, match="got 'halfing'; did you mean 'halving'"):
        build_own_schedule("halfing", 0.8)
    with pytest.raises(ValueError, match="unknown option `gama`; did you mean 'gamma'"):
        Scheduler(type="MultiStepLR", milestones=[5], gama=0.5)


def test_true_cosine_is_torchs():
    options = Train(
        total_iter=40,
        losses=[{"type": "MAE"}],
        optim_g={"lr": 1e-3},
        scheduler={"type": "TrueCosineAnnealingLR", "T_max": 30, "eta_min": 1e-6},
    )
    rate = build_schedule(options.scheduler.type, options.optim_g.lr, **options.scheduler.arguments)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30, 1e-6)
    for step in range(30):
        assert rate(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()
    with pytest.raises(ValueError, match="T_max has no effect"):
        Scheduler(type="ConstantLR", T_max=5)
