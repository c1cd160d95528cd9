"""What a training says that it will take, against what it took."""

import re

import pytest
import torch
from tiny import assert_same
from torch import nn

from restoration.common.tensor_memory import LiveTensors
from restoration.data import PatchSchedule
from restoration.train import estimate as module
from restoration.train import prepared
from restoration.train import run as train_recipe
from restoration.train.api import train
from restoration.train.estimate import Estimate, estimate

CPU = torch.device("cpu")
COLOUR = (3, 3)


@pytest.fixture
def trainer(make_options):
    return train_recipe.prepare(make_options(), CPU).trainer


def measured(trainer, batch, side):
    """Bytes that a forward and backward pass really holds at a time."""
    images = torch.rand(batch, 3, side, side)
    with LiveTensors() as live:
        trainer.criterion(trainer.network(images), images.flip(-1))[0].backward()
    trainer.optimizer.zero_grad(set_to_none=True)
    return live.peak


def test_memory_of_the_largest_stage_from_the_smallest_patch(trainer):
    patches = PatchSchedule([2, 2], [4, 2], [32, 64])
    found = estimate(trainer, patches, COLOUR, 0, 4)
    assert found.largest == (2, 64)
    weights = sum(p.numel() * 4 for p in trainer.network.parameters())
    expected = module.SLACK * (measured(trainer, 2, 64) - weights) + 4 * weights
    assert found.bytes == pytest.approx(expected, rel=0.1)


def test_time_is_that_of_all_pixels_that_are_left(trainer, monkeypatch):
    monkeypatch.setattr(module, "_measure", lambda *given: (0, 2.0))  # seconds of 16x16 pixels
    patches = PatchSchedule([2, 3], [4, 1], [16, 32])
    found = estimate(trainer, patches, COLOUR, 0, 10, accumulate=3)
    assert found.seconds == pytest.approx(3 * 2.0 * (2 * 4 + 8 * 4)) and found.steps == 10
    assert estimate(trainer, patches, COLOUR, 1, 2).seconds == pytest.approx(2.0 * 4)
    assert estimate(trainer, patches, COLOUR, 6, 10).seconds == pytest.approx(2.0 * 4 * 4)


def test_a_stage_that_is_never_reached_does_not_count(trainer):
    patches = PatchSchedule([2, 3], [4, 1], [16, 128])
    assert estimate(trainer, patches, COLOUR, 0, 2).largest == (4, 16)


def test_words(monkeypatch):
    found = Estimate(2.5e9, 3600.0, 1800, (8, 128))
    monkeypatch.setattr(module, "free_bytes", lambda device: 2e9)
    said, more = found.lines(CPU)
    assert said == (
        "estimate: 2.5 GB for a step of 8 x 128x128 pixels, 1:00:00 for 1,800 steps (0.50 it/s on "
        "average), without validations and reading"
    )
    assert more.startswith("that is more than the 2.0 GB that are free: lower the batch size")
    monkeypatch.setattr(module, "free_bytes", lambda device: 3e9)
    assert found.lines(CPU) == [said]


def test_nothing_is_left_of_it(trainer):
    """Buffers, gradients and random streams are what they were."""
    trainer.network.add_module("norm", nn.BatchNorm2d(3))
    forward = trainer.network.forward
    trainer.network.forward = lambda x: trainer.network.norm(forward(x) + torch.rand(1) * 0.01)
    before = {name: one.clone() for name, one in trainer.network.state_dict().items()}
    random = torch.get_rng_state()
    estimate(trainer, PatchSchedule([1], [1], [16]), COLOUR, 0, 1)
    assert_same(before, dict(trainer.network.state_dict()))
    assert torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in trainer.network.parameters())


def test_a_training_says_it_and_trains_the_same(make_options, tmp_path, monkeypatch):
    def trained(name):
        train(make_options(), folder=tmp_path / name, tb_folder=tmp_path / "tb", device=CPU)
        return torch.load(tmp_path / name / "models" / "net_g_6.pth", weights_only=True)

    first = trained("with")
    said = (tmp_path / "with" / "train.log").read_text()
    assert re.search(
        r"estimate: \d+ MB for a step of 2 x 16x16 pixels, 0:00:\d\d for 6 steps", said
    )
    monkeypatch.setattr(prepared, "foresee", lambda run: [])
    assert_same(first, trained("without"))


def test_none_for_a_network_that_is_compiled_first(make_options):
    run = train_recipe.prepare(make_options(), CPU)
    assert prepared.foresee(run)
    run.recipe.compile = True
    assert prepared.foresee(run) == []
