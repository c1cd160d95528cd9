"""Restormer against slow NumPy truths, the released weights' names, and its own promises."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax

from restoration.archs import Restormer, restormer_s, restormer_xs
from restoration.archs.restormer.blocks import (
    Attention,
    ChannelNorm,
    FeedForward,
    TransformerBlock,
    channel_attention,
    channel_norm,
)

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden" / "restormer_state_dict.json").read_text()
)
TINY = {"dim": 8, "num_blocks": (1, 1, 1, 1), "num_refinement_blocks": 1}
TOLERANCE = {"rtol": 0, "atol": 1e-10}  # float64


def tiny(**kwargs):
    torch.manual_seed(0)
    return randomised(Restormer(**{**TINY, **kwargs}))


def randomised(module):
    """Weights that hide nothing: scales are not 1, shifts are not 0."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if parameter.dim() in (1, 3):
            noise = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.data.add_(noise - 0.5)
    return module


def images(*shape, dtype=torch.float32, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Independent references: one pixel, one channel, one head at a time.


def numpy_norm(x, weight, bias=None):
    out = np.empty_like(x)
    for b, h, w in np.ndindex(x.shape[0], *x.shape[2:]):
        pixel = x[b, :, h, w]
        deviation = np.sqrt(np.var(pixel) + 1e-5)
        if bias is None:
            out[b, :, h, w] = pixel / deviation * weight
        else:
            out[b, :, h, w] = (pixel - pixel.mean()) / deviation * weight + bias
    return out


def numpy_conv1x1(x, weight):
    return np.einsum("bchw,oc->bohw", x, weight[:, :, 0, 0])


def numpy_depthwise(x, weight):
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros_like(x)
    for c, h, w in np.ndindex(x.shape[1:]):
        window = padded[:, c, h : h + 3, w : w + 3]
        out[:, c, h, w] = (window * weight[c, 0]).sum((1, 2))
    return out


def numpy_mdta(x, weights, num_heads):
    mixed = numpy_depthwise(numpy_conv1x1(x, weights["qkv.weight"]), weights["qkv_dwconv.weight"])
    channels = x.shape[1]
    query, key, value = mixed[:, :channels], mixed[:, channels : 2 * channels], mixed[:, -channels:]
    out = np.empty_like(value)
    per_head = channels // num_heads
    for b, n in np.ndindex(x.shape[0], num_heads):
        first = n * per_head
        for i in range(first, first + per_head):
            scores = []
            for j in range(first, first + per_head):
                q, k = query[b, i].ravel(), key[b, j].ravel()
                scores.append(q @ k / np.linalg.norm(q) / np.linalg.norm(k))
            attention = softmax(np.array(scores) * weights["temperature"][n, 0, 0])
            out[b, i] = np.einsum("j,jhw->hw", attention, value[b, first : first + per_head])
    return numpy_conv1x1(out, weights["project_out.weight"])


def numpy_gdfn(x, weights):
    both = numpy_depthwise(numpy_conv1x1(x, weights["project_in.weight"]), weights["dwconv.weight"])
    gate, content = np.split(both, 2, axis=1)
    gelu = gate * 0.5 * (1 + erf(gate / np.sqrt(2)))
    return numpy_conv1x1(gelu * content, weights["project_out.weight"])


def numpy_weights(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("biased", [False, True])
def test_channel_norm_matches_numpy(biased):
    x = images(2, 5, 3, 4, dtype=torch.float64) * 3 - 1
    weight, bias = images(5, dtype=torch.float64, seed=1), images(5, dtype=torch.float64, seed=2)
    bias = bias if biased else None
    expected = numpy_norm(x.numpy(), weight.numpy(), None if bias is None else bias.numpy())
    np.testing.assert_allclose(channel_norm(x, weight, bias).numpy(), expected, **TOLERANCE)


@pytest.mark.parametrize("kind", ["BiasFree", "WithBias"])
def test_channel_norm_module_equals_function(kind):
    module, x = randomised(ChannelNorm(6, kind)), images(1, 6, 4, 4)
    assert torch.equal(module(x), channel_norm(x, module.weight, module.bias))
    assert (module.bias is None) == (kind == "BiasFree")


def test_channel_norm_with_bias_matches_torch():
    x, module = images(2, 6, 4, 5), randomised(ChannelNorm(6, "WithBias"))
    expected = torch.nn.functional.layer_norm(
        x.permute(0, 2, 3, 1), (6,), module.weight, module.bias
    ).permute(0, 3, 1, 2)
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_attention_matches_numpy(num_heads):
    torch.manual_seed(0)
    module = randomised(Attention(8, num_heads).double())
    x = images(2, 8, 4, 6, dtype=torch.float64)
    expected = numpy_mdta(x.numpy(), numpy_weights(module), num_heads)
    np.testing.assert_allclose(module(x).detach().numpy(), expected, **TOLERANCE)


def test_channel_attention_of_one_channel_per_head_returns_the_value():
    query, key, value = (images(2, 4, 3, 3, seed=seed) for seed in range(3))
    torch.testing.assert_close(channel_attention(query, key, value, torch.ones(4, 1, 1)), value)


def test_feed_forward_matches_numpy():
    torch.manual_seed(0)
    module = FeedForward(6, 2.66).double()
    assert module.project_out.in_channels == 15  # int(15.96)
    x = images(2, 6, 5, 4, dtype=torch.float64)
    expected = numpy_gdfn(x.numpy(), numpy_weights(module))
    np.testing.assert_allclose(module(x).detach().numpy(), expected, **TOLERANCE)


def test_block_matches_numpy():
    torch.manual_seed(0)
    block = randomised(TransformerBlock(8, 2).double())
    x = images(1, 8, 4, 4, dtype=torch.float64)
    norm1, norm2 = block.norm1.body.weight.detach().numpy(), block.norm2.body.weight.detach()
    expected = x.numpy()
    expected = expected + numpy_mdta(numpy_norm(expected, norm1), numpy_weights(block.attn), 2)
    expected = expected + numpy_gdfn(numpy_norm(expected, norm2.numpy()), numpy_weights(block.ffn))
    np.testing.assert_allclose(block(x).detach().numpy(), expected, **TOLERANCE)


@pytest.mark.parametrize("kind", ["BiasFree", "WithBias"])
def test_block_gradcheck(kind):
    torch.manual_seed(0)
    block = randomised(TransformerBlock(4, 2, 1.5, True, kind).double())
    x = images(1, 4, 3, 3, dtype=torch.float64).requires_grad_()
    names = [name for name, _ in block.named_parameters()]

    def function(x, *parameters):
        return torch.func.functional_call(block, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(function, (x, *block.parameters()))


def test_every_parameter_gets_a_gradient():
    network = tiny()
    network(images(1, 3, 16, 16)).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_state_dict_matches_the_released_weights():
    with torch.device("meta"):
        network = Restormer()
    state = network.state_dict()
    lines = "".join(f"{name} {tuple(tensor.shape)}\n" for name, tensor in state.items())
    assert sum(p.numel() for p in network.parameters()) == GOLDEN["num_parameters"]
    assert len(state) == GOLDEN["num_tensors"]
    for name, shape in GOLDEN["shapes"].items():
        assert list(state[name].shape) == shape
    assert hashlib.sha256(lines.encode()).hexdigest() == GOLDEN["sha256"]


def test_convolutions_have_biases_on_request_only():
    names = {name for name, _ in tiny().named_parameters()}
    assert not any(name.endswith("bias") for name in names)
    added = {name for name, _ in tiny(bias=True).named_parameters()} - names
    assert "encoder_level1.0.attn.qkv_dwconv.bias" in added
    assert {"output.bias", "reduce_chan_level2.bias"} <= added
    assert not any(name.startswith(("patch_embed", "down", "up")) for name in added)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (16, 24)])
def test_shape(channels, size):
    network = tiny(inp_channels=channels, out_channels=channels)
    assert network(images(2, channels, *size)).shape == (2, channels, *size)


def test_output_is_a_residual():
    network = tiny()
    torch.nn.init.zeros_(network.output.weight)
    x = images(1, 3, 16, 16)
    assert torch.equal(network(x), x)


def test_dual_pixel_has_the_residual_in_the_features():
    network = tiny(inp_channels=6, dual_pixel_task=True)
    assert "skip_conv.weight" in network.state_dict()
    x = images(1, 6, 16, 16)
    before = network(x)
    assert before.shape == (1, 3, 16, 16)
    seen = []
    network.output.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(x)
    skipped = network.skip_conv(network.patch_embed(x))
    torch.nn.init.zeros_(network.skip_conv.weight)
    network(x)
    torch.testing.assert_close(seen[0] - seen[1], skipped, rtol=1e-4, atol=1e-5)
    torch.nn.init.zeros_(network.output.weight)
    assert not network(x).any()


def test_batch_equals_singles():
    network, x = tiny(), images(3, 3, 16, 16)
    singles = torch.cat([network(one[None]) for one in x])
    torch.testing.assert_close(network(x), singles, rtol=1e-5, atol=1e-5)


def test_sizes_must_be_multiples():
    network = tiny()
    assert network.multiple == 8
    with pytest.raises(ValueError, match="multiples of 8, got 15x16"):
        network(images(1, 3, 15, 16))
    with pytest.raises(ValueError, match="multiples of 8, got 16x20"):
        network(images(1, 3, 16, 20))


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (3, 16, 16)])
def test_channels_must_fit(shape):
    with pytest.raises(ValueError, match=re.escape(f"(B, 3, H, W), got {shape}")):
        tiny()(images(*shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 7}, "dim to be even and at least 2, got 7"),
        ({"num_blocks": (1, 1, 1)}, r"num_blocks to be 4 numbers in \[0, 1000\], got \[1, 1, 1\]"),
        ({"num_blocks": (1, 1, 1, -1)}, r"num_blocks to be 4 numbers in \[0, 1000\]"),
        ({"heads": (1, 2, 4)}, "heads to be 4 numbers >= 1"),
        ({"heads": (3, 2, 4, 8)}, "heads that divide the channels, got 3 for 8"),
        ({"num_refinement_blocks": -1}, r"num_refinement_blocks in \[0, 1000\], got -1"),
        ({"ffn_expansion_factor": 0.01}, "ffn_expansion_factor"),
        ({"LayerNorm_type": "biasfree"}, "BiasFree.*got 'biasfree'"),
        ({"inp_channels": 0}, "channels >= 1, got 0"),
        ({"inp_channels": 6}, "equal to inp_channels without dual_pixel_task, got 6 and 3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Restormer(**{**TINY, **arguments})


@pytest.mark.parametrize(("preset", "limit"), [(restormer_s, 6e6), (restormer_xs, 2.5e6)])
def test_presets_are_small_and_take_overrides(preset, limit):
    with torch.device("meta"):
        assert sum(p.numel() for p in preset().parameters()) < limit
    network = preset(dim=8, inp_channels=1, out_channels=1)
    assert network.patch_embed.proj.weight.shape == (8, 1, 3, 3)


def test_smallest_preset_learns():
    torch.manual_seed(0)
    network = restormer_xs(dim=8)
    clean = images(1, 3, 16, 16).mean((2, 3), keepdim=True).expand(-1, -1, 16, 16)
    noisy = clean + 0.2 * torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(30):
        loss = (network(noisy) - clean).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
