"""The compact mask network beside the released one: formula, files, sizes."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from losses import (
    CompactMaskNet,
    ContextMaskNet,
    EnhancedMAE,
    MaskBank,
    MaskNet,
    load_masks,
    masks,
)

KINDS = [MaskNet, CompactMaskNet, ContextMaskNet]


def drawn(kind, *args, **kwargs):
    """A network with weights that all matter: a context's last layer begins at zero."""
    torch.manual_seed(0)
    network = kind(*args, **kwargs)
    if isinstance(network, ContextMaskNet):
        for parameter in network.context[-1].parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return network


def by_hand(network, first, second):
    """The formula on the state dict, for even sides, with the pair copied together."""
    w = network.state_dict()
    x = F.conv2d(torch.cat([first, second], 1), w["conv1.0.weight"], w["conv1.0.bias"], 2, 1).relu()
    for n in range(len(network.blocks)):
        if n == 2 and isinstance(network, ContextMaskNet):
            means = x.flatten(2).mean(2)
            inner = (means @ w["context.0.weight"].T + w["context.0.bias"]).clamp_min(0)
            answer = inner @ w["context.2.weight"].T + w["context.2.bias"]
            x = x * (1 + answer[:, :24, None, None]) + answer[:, 24:, None, None]
        y = F.conv2d(x, w[f"blocks.{n}.0.weight"], w[f"blocks.{n}.0.bias"], 1, 1, groups=24)
        x = x + torch.einsum("oi,bihw->bohw", w[f"blocks.{n}.1.weight"][..., 0, 0], y).add(
            w[f"blocks.{n}.1.bias"].view(1, -1, 1, 1)
        ).clamp_min(0)
    mask = torch.einsum("i,bihw->bhw", w["last.weight"][0, :, 0, 0], x) + w["last.bias"]
    mask = 1 / (1 + (-mask).exp())
    # bilinear by two: 3/4 of the near pixel and 1/4 of the next, edges repeated
    for axis in (1, 2):
        n = mask.shape[axis]
        before = torch.cat([mask.narrow(axis, 0, 1), mask.narrow(axis, 0, n - 1)], axis)
        after = torch.cat([mask.narrow(axis, 1, n - 1), mask.narrow(axis, n - 1, 1)], axis)
        pair = torch.stack([0.75 * mask + 0.25 * before, 0.75 * mask + 0.25 * after], axis + 1)
        mask = pair.flatten(axis, axis + 1)
    return mask[:, None]


@pytest.mark.parametrize("kind", [CompactMaskNet, ContextMaskNet])
def test_parity_by_hand(kind):
    network = drawn(kind, 6)
    first, second = torch.rand(2, 2, 3, 16, 20)
    torch.testing.assert_close(network.of_pair(first, second), by_hand(network, first, second))


@pytest.mark.parametrize("kind", [CompactMaskNet, ContextMaskNet])
@pytest.mark.parametrize("size", [(16, 16), (17, 16), (15, 19), (2, 2)])
def test_a_mask_has_the_size_of_its_pair(kind, size):
    network = drawn(kind, 6)
    first, second = torch.rand(2, 1, 3, *size)
    mask = network.of_pair(first, second)
    assert mask.shape == (1, 1, *size)
    assert mask.min() > 0 and mask.max() < 1
    torch.testing.assert_close(network(torch.cat([first, second], 1)), mask)


def test_it_is_small():
    assert [sum(p.numel() for p in kind(6).parameters()) for kind in KINDS] == [41025, 4873, 7513]


def test_a_context_sees_what_is_far_away():
    """An error in a corner changes the mask in the other one, which no other network sees."""
    reference, near, far = torch.rand(1, 3, 96, 96), *torch.zeros(2, 1, 3, 96, 96)
    far[..., 64:, 64:] = 0.5
    for kind in KINDS:
        network = drawn(kind, 6)
        masks = [network.of_pair(reference, reference + error) for error in (near, far)]
        same = torch.equal(*(mask[..., :16, :16] for mask in masks))
        assert same == (kind is not ContextMaskNet)


@pytest.mark.parametrize("kind", [CompactMaskNet, ContextMaskNet])
def test_gradients(kind):
    network = drawn(kind, 2, width=4).double()
    first, second = torch.rand(2, 1, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network.of_pair, (first, second))


@pytest.mark.parametrize("networks", ["compact", ["compact", "three_conv"], ["context", "compact"]])
def test_a_file_says_what_its_networks_are(networks, tmp_path):
    torch.manual_seed(0)
    bank = MaskBank((4, 8), networks=networks)
    file = tmp_path / "masks.safetensors"
    save_file(bank.state_dict(), file)
    maps = [[torch.rand(1, 4, 8, 8), torch.rand(1, 8, 4, 4)] for _ in range(2)]
    loaded = load_masks(file, (4, 8))
    for one, other in zip(bank(*maps), loaded(*maps), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_files_in_half_precision_compute_in_float32(tmp_path):
    torch.manual_seed(0)
    state = {
        name: value.half()
        for name, value in MaskBank((3,), networks="compact").state_dict().items()
    }
    save_file(state, tmp_path / "half.safetensors")
    term = EnhancedMAE(masks=tmp_path / "half.safetensors")
    x, y = torch.rand(2, 1, 3, 16, 16)
    assert term.masks.mask_finder_1.conv1[0].weight.dtype == torch.float32
    assert 0 < term(x, y) < (x - y).abs().mean()
    assert term(x, x) == 0


def test_bad_input():
    with pytest.raises(ValueError, match="did you mean 'compact'"):
        MaskBank((3,), networks="compct")
    with pytest.raises(ValueError, match="expected 2 mask networks"):
        MaskBank((3, 4), networks=["compact"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("height", [1, 63, 64, 65, 66, 67, 131, 200])
def test_strips_are_the_whole(height, kind):
    """Without gradients a mask is made by strips of rows; nobody may see where they meet."""
    net = drawn(kind, 6, width=8)
    first, second = torch.rand(2, 2, 3, height, 21)
    whole = net(torch.cat([first, second], dim=1))  # with gradients: in one piece
    with torch.no_grad():
        torch.testing.assert_close(net.of_pair(first, second), whole, rtol=0, atol=1e-6)
    assert whole.requires_grad


@pytest.mark.parametrize("kind", [MaskNet, CompactMaskNet])
def test_features_of_a_whole_photograph_are_never_in_memory(monkeypatch, kind):
    rows, compute = [], kind.of_strip
    monkeypatch.setattr(
        kind, "of_strip", lambda net, a, b: rows.append(a.shape[-2]) or compute(net, a, b)
    )
    net = kind(6, width=2)
    with torch.no_grad():
        net(torch.rand(1, 6, 500, 8))
    assert max(rows) <= masks.STRIP_ROWS + 2 * net.reach and len(rows) == 8
