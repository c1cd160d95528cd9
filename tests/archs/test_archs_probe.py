"""Trying networks on a flat image: what passes, and what the errors say."""

import pytest
import torch
from torch import nn

from restoration.archs import build
from restoration.archs.probe import check_network
from restoration.common import basicsr

CPU = torch.device("cpu")


class Answering(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


def fail(x):
    raise AssertionError


@pytest.mark.parametrize("padded", [False, True])
def test_a_grey_guest_that_says_nothing_takes_grey_images(padded):
    check_network(nn.Conv2d(1, 1, 3, padding=1), 1, 20, CPU, padded)


@pytest.mark.parametrize("padded", [False, True])
def test_a_grey_network_of_basicsr_takes_grey_images(padded):
    if basicsr.find_arch("SRVGGNetCompact") is None:
        pytest.skip("BasicSR is not installed")
    arguments = {"num_in_ch": 1, "num_out_ch": 1, "num_feat": 4, "num_conv": 1, "upscale": 1}
    network = build("SRVGGNetCompact", **arguments)
    check_network(network, 1, 20, CPU, padded)
    with pytest.raises(ValueError, match="for images of 3 channels.*got one for 1"):
        check_network(network, 3, 20, CPU, padded)


def test_grey_images_are_repeated_for_colour_networks_when_padded():
    network = nn.Conv2d(3, 3, 3, padding=1)
    check_network(network, 1, 20, CPU, padded=True)
    with pytest.raises(ValueError, match=r"images \(1, 1, 20, 20\), got one that fails"):
        check_network(network, 1, 20, CPU, padded=False)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: (x, x), "returns images, got tuple"),
        (lambda x: x[:, :1], r"keeps \(1, 3, 16, 16\), got \(1, 1, 16, 16\)"),
        (fail, "got one that fails: AssertionError"),
        (lambda x: x.nonsense, "got one that fails: 'Tensor' object has no attribute"),
    ],
)
@pytest.mark.parametrize("padded", [False, True])
def test_what_does_not_fit(answer, message, padded):
    with pytest.raises(ValueError, match=message):
        check_network(Answering(answer), 3, 16, CPU, padded)


def test_every_part_has_its_mode_again():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    network[1].eval()
    for padded in (False, True):
        check_network(network, 3, 16, CPU, padded)
        assert [part.training for part in (network, *network)] == [True, True, False]
