"""Mask networks: what they compute, and how much memory that takes."""

import pytest
import torch

from losses import masks
from losses.masks import MaskNet


@pytest.mark.parametrize("height", [1, 63, 64, 65, 66, 67, 130, 200])
def test_strips_are_the_whole(height, monkeypatch):
    """Without gradients a mask is made by strips of rows; nobody may see where they meet."""
    torch.manual_seed(0)
    net = MaskNet(6, width=8)
    first, second = torch.rand(2, 2, 3, height, 20)
    whole = net(torch.cat([first, second], dim=1))  # with gradients: in one piece
    with torch.no_grad():
        torch.testing.assert_close(net.of_pair(first, second), whole, rtol=0, atol=1e-6)
    assert whole.requires_grad


def test_features_of_a_whole_photograph_are_never_in_memory(monkeypatch):
    rows, compute = [], MaskNet._of_strip
    monkeypatch.setattr(
        MaskNet, "_of_strip", lambda net, a, b: rows.append(a.shape[-2]) or compute(net, a, b)
    )
    with torch.no_grad():
        MaskNet(6, width=2)(torch.rand(1, 6, 500, 8))
    assert max(rows) <= masks.STRIP_ROWS + 2 * masks.REACH and len(rows) == 8
