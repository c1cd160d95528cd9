"""How a network runs: the options of speed and memory, and networks that know none of them."""

import pytest
import torch
from tiny import TINY
from torch import nn

from restoration.archs import build
from restoration.archs.restormer.kernels import compiled
from restoration.archs.speed import arrange
from restoration.options.training import Train


def test_defaults_are_the_network_s_own():
    recipe = Train(total_iter=1, losses=[{"type": "MAE"}])
    assert (recipe.compile, recipe.channels_last, recipe.checkpointing) == (False, None, "none")
    network = build(**TINY)
    arrange(network)
    assert network.channels_last
    assert not any(block.checkpointed for block in network.blocks())


def test_restormer_takes_every_option():
    network = build(**TINY)
    before = list(network.state_dict())
    arrange(network, compile=True, channels_last=False, checkpointing="all")
    assert not network.channels_last
    assert all(block.checkpointed for block in network.blocks())
    assert all(block.kernels is compiled() for block in network.blocks())
    assert list(network.state_dict()) == before


def test_other_networks_are_arranged_as_a_whole():
    network, seen = nn.Conv2d(3, 3, 1), []
    arrange(network, channels_last=True)
    network.register_forward_hook(lambda module, inputs, out: seen.append(inputs[0]))
    network(torch.rand(1, 3, 4, 4))
    assert seen[0].stride(1) == 1
    with pytest.raises(ValueError, match="checkpointing none for Conv2d.*got all"):
        arrange(network, checkpointing="all")


@pytest.mark.slow
def test_compiled_parts_change_no_gradient():
    torch.manual_seed(0)
    network, x = build(**TINY), torch.rand(2, 3, 16, 16)
    expected = network(x)
    expected.square().mean().backward()
    grads = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    arrange(network, compile=True)
    found = network(x)
    found.square().mean().backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for parameter, grad in zip(network.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-3, atol=1e-6)
