"""What networks offer, and what is taken for granted of those that say nothing."""

import inspect

import pytest
from torch import nn

from restoration.archs import ARCHS, Restormer, build, protocol, restormer_xs


class Silent(nn.Module):
    """A network that offers nothing."""


def offering(**members):
    network = Silent()
    protocol.offer(network, **members)
    return network


def test_restormer_offers_what_the_protocol_has():
    network = restormer_xs(dim=8)
    assert protocol.image_channels(network) == 3
    assert protocol.size_multiple(network) == 8
    assert protocol.checkpointing(network) == network.checkpoint
    assert protocol.compiling(network) == network.compile_parts
    assert protocol.arranges_memory(network)
    for name in ("forward", "checkpoint", "compile_parts"):
        offered, wanted = (
            inspect.signature(getattr(c, name)) for c in (Restormer, protocol.Network)
        )
        assert list(offered.parameters) == list(wanted.parameters)


def test_defaults():
    network = Silent()
    assert protocol.image_channels(network) == 3
    assert protocol.image_channels(network, default=5) == 5
    assert protocol.size_multiple(network) == 8
    assert protocol.smallest_side(network) == 1
    assert not protocol.takes_squares(network)
    assert protocol.checkpointing(network) is None
    assert protocol.compiling(network) == network.compile
    assert not protocol.arranges_memory(network)


@pytest.mark.parametrize(
    ("layers", "channels"),
    [
        ([nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3)], 1),
        ([nn.Conv2d(12, 8, 3), nn.Conv2d(1, 8, 3)], 3),  # not the first one
        ([nn.Linear(1, 1), nn.Conv2d(1, 8, 3)], 1),
        ([nn.Linear(1, 1)], 3),
    ],
)
def test_channels_of_a_silent_network(layers, channels):
    assert protocol.image_channels(nn.Sequential(*layers)) == channels


@pytest.mark.parametrize(
    ("members", "multiple"),
    [
        ({"window_size": 8}, 8),
        ({"window_size": 7}, 56),
        ({"window_size": 7, "multiple": 14}, 14),
        ({"window_size": (8, 8)}, 8),
    ],
)
def test_windows_must_fit(members, multiple):
    assert protocol.size_multiple(offering(**members)) == multiple


def test_what_a_network_says_itself_stays():
    network = restormer_xs(dim=8)
    protocol.offer(network, multiple=3, minimum=5)
    assert (network.multiple, network.minimum) == (8, 5)


class Foreign(nn.Module):
    def __init__(self, in_nc=1, window_size=12):
        super().__init__()


def test_arguments_of_the_constructor_tell(monkeypatch):
    monkeypatch.setitem(ARCHS, "Foreign", Foreign)
    network = build("Foreign")
    assert (protocol.image_channels(network), protocol.size_multiple(network)) == (1, 24)
    assert protocol.image_channels(build("Foreign", in_nc=6)) == 6
