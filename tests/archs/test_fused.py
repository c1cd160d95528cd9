"""The parts with gradients of their own, against plain maths and finite differences."""

import copy

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from newer import without_a_gpu
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap

from restoration.archs import Restormer
from restoration.archs.restormer.blocks import TransformerBlock, channel_attention, channel_norm
from restoration.archs.restormer.fused_attention import attend
from restoration.archs.restormer.fused_feed_forward import (
    depthwise,
    feed_forward,
    gated_project,
    norm_project,
)

LAYOUTS = [torch.contiguous_format, torch.channels_last]
TINY = {"dim": 8, "num_blocks": (1, 1, 1, 1), "num_refinement_blocks": 1}


def values(*shape, layout=None, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    x = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return (x if layout is None else x.contiguous(memory_format=layout)).requires_grad_()


def plain_block(block, x):
    x = x + block.attn(block.norm1(x))
    return x + block.ffn(block.norm2(x))


def plain(network):
    """The same network, its blocks by the formula."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, TransformerBlock):
            module.forward = plain_block.__get__(module)
    network.channels_last = False
    return network


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biased", [False, True])
def test_norm_project(layout, biased):
    x, scale = values(2, 4, 3, 5, layout=layout), values(4)
    shift = values(4, seed=1) if biased else None
    first, second = values(6, 4, 1, 1), values(3, 4, 1, 1)
    bias, other = (values(6), values(3)) if biased else (None, None)

    def function(*_):
        return norm_project(x, (scale, shift), (first, bias), (second, other))

    features = channel_norm(x, scale, shift)
    for found, weight, b in zip(function(), (first, second), (bias, other), strict=True):
        torch.testing.assert_close(found, F.conv2d(features, weight, b))
    inputs = [t for t in (x, scale, shift, first, second, bias, other) if t is not None]
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_heads", [1, 2])
@pytest.mark.parametrize("biased", [False, True])
def test_attend(layout, num_heads, biased):
    residual, mixed = values(2, 5, 3, 5, layout=layout), values(2, 12, 3, 5, layout=layout)
    temperature, weight = values(num_heads, 1, 1), values(5, 4, 1, 1)
    bias = values(5) if biased else None

    def function(*_):
        return attend(residual, mixed, temperature, (weight, bias))

    expected = residual + F.conv2d(channel_attention(*mixed.chunk(3, 1), temperature), weight, bias)
    torch.testing.assert_close(function(), expected)
    inputs = [t for t in (residual, mixed, temperature, weight, bias) if t is not None]
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biased", [False, True])
def test_gated_project(layout, biased):
    residual = values(2, 3, 3, 4, layout=layout)
    gate, content = (values(2, 4, 3, 4, layout=layout, seed=seed) for seed in (1, 2))
    kernels = [values(4, 1, 3, 3, seed=seed) for seed in (3, 4)]
    weight, biases = values(3, 4, 1, 1), [None] * 3
    if biased:
        biases = [values(4, seed=5), values(4, seed=6), values(3, seed=7)]
    parts = list(zip((*kernels, weight), biases, strict=True))

    def function(*_):
        return gated_project(residual, gate, content, *parts)

    product = F.gelu(depthwise(gate, *parts[0])) * depthwise(content, *parts[1])
    torch.testing.assert_close(function(), residual + F.conv2d(product, *parts[2]))
    inputs = [t for t in (residual, gate, content, *kernels, weight, *biases) if t is not None]
    assert torch.autograd.gradcheck(function, inputs)


def test_groups_of_hidden_channels_change_nothing(monkeypatch):
    monkeypatch.setattr("restoration.archs.restormer.fused_feed_forward.GROUP", 1)
    monkeypatch.setattr("restoration.archs.restormer.fused_feed_forward.SMALLEST_GROUP", 3)
    x, norm = values(1, 4, 5, 6), (values(4), None)
    layers = [values(8, 4, 1, 1), values(8, 4, 1, 1, seed=1)]
    layers += [values(8, 1, 3, 3), values(8, 1, 3, 3, seed=1), values(4, 8, 1, 1)]
    parts = [(layer, values(layer.shape[0], seed=2)) for layer in layers]
    expected = feed_forward(x, norm, *parts)
    with torch.no_grad():
        torch.testing.assert_close(feed_forward(x, norm, *parts), expected)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"LayerNorm_type": "WithBias", "bias": True},
        {"inp_channels": 1, "out_channels": 1},
        {"inp_channels": 6, "dual_pixel_task": True},
        {"dim": 12, "ffn_expansion_factor": 2.66},
    ],
)
def test_network_is_the_straightforward_maths(arguments):
    torch.manual_seed(0)
    network = Restormer(**{**TINY, **arguments})
    other = plain(network)
    x = torch.rand(1, network.inp_channels, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(x), other(x), rtol=0, atol=1e-5)
    found, expected = network(x), other(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    found.square().mean().backward()
    expected.square().mean().backward()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_stay_channels_last_with_one_image(channels):
    network = Restormer(**TINY, inp_channels=channels, out_channels=channels)
    seen = []
    for block in network.blocks():
        block.register_forward_hook(lambda m, inputs, out: seen.extend((inputs[0], out)))
    network(torch.rand(1, channels, 16, 16)).sum().backward()
    assert len(seen) == 2 * len(network.blocks())
    assert all(x.stride(1) == 1 and x.shape[1] > 1 for x in seen)


@pytest.mark.parametrize("which", ["level1", "all"])
def test_checkpointing_changes_no_gradient(which):
    torch.manual_seed(0)
    network, x = Restormer(**TINY), torch.rand(1, 3, 16, 16)
    network(x).square().mean().backward()
    expected = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    network.checkpoint(which)
    assert sum(b.checkpointed for b in network.blocks()) == (3 if which == "level1" else 8)
    network(x).square().mean().backward()
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    with pytest.raises(ValueError, match="one of .*'level1'.*got 'some'"):
        network.checkpoint("some")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_of_half_precision_by_the_same_maths(layout, monkeypatch):
    """Where both depthwise outputs are kept and the kernel is flipped, taken in float64."""
    monkeypatch.setattr("restoration.archs.restormer.fused_feed_forward.REDUCED", (torch.float64,))
    test_gated_project(layout, biased=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_under_autocast_are_those_of_float32(dtype):
    torch.manual_seed(0)
    network, x = Restormer(**TINY), torch.rand(2, 3, 16, 16)
    found = []
    for lowered in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", dtype, enabled=lowered):
            out = network(x)
        out.float().square().mean().backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert F.cosine_similarity(*found, dim=0) > 0.999


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    torch.manual_seed(0)
    network, x = Restormer(**TINY), torch.rand(2, 3, 16, 16)
    expected = network(x)
    with torch.autocast("cpu", dtype):
        found = network(x)
        found.float().square().mean().backward()  # even inside
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_hooked_layers_run_by_themselves():
    network, image = Restormer(**TINY), torch.rand(1, 3, 16, 16)
    expected, seen = network(image), []
    layers = [m for m in network.modules() if type(m).__name__ in ("Conv2d", "Attention")]
    handles = [layer.register_forward_hook(lambda *_: seen.append(1)) for layer in layers]
    torch.testing.assert_close(network(image), expected)
    assert len(seen) == len(layers)
    for handle in handles:
        handle.remove()
    assert torch.equal(network(image), expected)


class Doubled(torch.nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


def test_replaced_and_pruned_layers_are_used():
    torch.manual_seed(0)
    block, x = TransformerBlock(8, 2), torch.rand(1, 8, 5, 6)
    original = block(x)
    layer = Doubled(8, 24, 1, bias=False)
    layer.load_state_dict(block.attn.qkv.state_dict())
    block.attn.qkv = layer
    torch.testing.assert_close(block(x), plain_block(block, x))
    assert not torch.allclose(block(x), original)
    pruned = TransformerBlock(8, 2)
    torch.nn.utils.prune.l1_unstructured(pruned.ffn.project_out, "weight", amount=0.9)
    with torch.no_grad():
        pruned.ffn.project_out.weight_orig.mul_(2)  # the weight is masked anew by a hook
    torch.testing.assert_close(pruned(x), plain_block(pruned, x))


@pytest.mark.parametrize("name", ["attn", "attn.qkv", "norm1", "norm2.body", "ffn", "ffn.dwconv"])
def test_a_layer_whose_instance_has_its_own_forward_runs_it(name):
    """As accelerate's hooks are put: the instance's `forward` wraps the one of the class."""
    torch.manual_seed(0)
    block, x = TransformerBlock(8, 2), torch.rand(1, 8, 5, 6)
    original = block(x)
    layer = block.get_submodule(name)
    forward = layer.forward
    layer.forward = lambda *inputs: 2 * forward(*inputs)
    torch.testing.assert_close(block(x), plain_block(block, x))
    assert not torch.allclose(block(x), original)
    del layer.forward
    assert torch.equal(block(x), original)


def test_hooks_of_all_modules_run():
    block, x, seen = TransformerBlock(8, 2), torch.rand(1, 8, 5, 6), []
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: seen.append(type(module).__name__)
    )
    block(x)
    handle.remove()
    assert {"Attention", "FeedForward", "ChannelNorm", "Conv2d"} <= set(seen)


@pytest.mark.parametrize("checkpointing", ["none", "all"])
def test_gradients_by_torch_func(checkpointing):
    torch.manual_seed(0)
    network, images = Restormer(**TINY), torch.rand(2, 3, 16, 16)
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def loss(weights, image):
        return functional_call(network, weights, (image[None],)).square().mean()

    expected = []
    for image in images:
        network.zero_grad()
        network(image[None]).square().mean().backward()
        expected.append({name: p.grad for name, p in network.named_parameters()})
        network.zero_grad(set_to_none=True)
    network.checkpoint(checkpointing)
    single = grad(loss)(weights, images[0])
    each = vmap(grad(loss), in_dims=(None, 0))(weights, images)
    for name in weights:
        torch.testing.assert_close(single[name], expected[0][name], rtol=1e-3, atol=1e-6)
        for found, gradients in zip(each[name], expected, strict=True):
            torch.testing.assert_close(found, gradients[name], rtol=1e-3, atol=1e-6)


def test_derivatives_taken_forwards():
    torch.manual_seed(0)
    network, image = Restormer(**TINY).double(), torch.rand(1, 3, 8, 8, dtype=torch.float64)
    direction = torch.rand_like(image)
    _, found = jvp(network, (image,), (direction,))
    with torch.no_grad():
        step = 1e-6 * direction
        expected = (network(image + step) - network(image - step)) / 2e-6
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_tracing_keeps_no_python(tmp_path):
    network, image = Restormer(**TINY).eval(), torch.rand(1, 3, 16, 24)
    torch.jit.save(torch.jit.trace(network, torch.rand(1, 3, 16, 16)), tmp_path / "traced.pt")
    torch.testing.assert_close(torch.jit.load(tmp_path / "traced.pt")(image), network(image))


def test_stays_on_the_gpu():
    """On tensors that only say where they are: another device raises, and a value that is read."""
    with without_a_gpu(), FakeTensorMode(), torch.device("cuda:0"), torch.no_grad():
        network, image = Restormer(**TINY), torch.rand(1, 3, 16, 16)
        assert str(network(image).device) == "cuda:0"
        with torch.enable_grad():
            assert network(image).requires_grad
