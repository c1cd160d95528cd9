"""A backbone in bf16: values and gradients near those in float32, masks and sums in float32."""

import copy

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import make_pair
from torch import nn

import losses
from losses import EVGG, VGG, build_backbone

# relative; the masks are steep, and on images of random pixels every error is near their edge
TOLERANCE = {"plain": 3e-3, "masked": 1e-2, "mask gradient": 1e-2, "vgg16": 1e-2}


def make(name, files, **more):
    """One term of each kind: the embedded backbone as it ships, and a random VGG-16."""
    if name == "plain":
        return VGG("embedded", **more)
    if name == "vgg16":
        own = {"masks": files / "vgg16_masks.safetensors", "weights": files / "vgg16.safetensors"}
        return EVGG("vgg16", **own, **more)
    return EVGG("embedded", mask_gradient=name == "mask gradient", **more)


def value_and_gradient(term, x, y):
    x = x.clone().requires_grad_()
    value = term(x, y)
    value.sum().backward()
    return value.detach(), x.grad


@pytest.mark.parametrize("name", TOLERANCE)
def test_near_float32(name, files):
    x, y = make_pair(side=32)
    exact = value_and_gradient(make(name, files, reduction="none"), x, y)
    term = make(name, files, reduction="none", precision="bf16")
    value, gradient = value_and_gradient(term, x, y)
    assert not torch.equal(value, exact[0]), "bf16 rounds"
    torch.testing.assert_close(value, exact[0], rtol=TOLERANCE[name], atol=0)
    assert F.cosine_similarity(gradient.flatten(), exact[1].flatten(), dim=0) > 0.998
    assert (value.dtype, gradient.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("name", TOLERANCE)
def test_equal_images(name, files):
    _, y = make_pair(side=32)
    term = make(name, files, reduction="none", precision="bf16")
    assert torch.equal(term(y, y), torch.zeros(2))


def test_small_differences_survive():
    """Which a first convolution in bf16 rounds away: 8 bits, and 1/256 between values near 1."""
    _, y = make_pair(side=32)
    x = y + 1 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    exact = value_and_gradient(VGG("embedded"), x, y)
    value, gradient = value_and_gradient(VGG("embedded", precision="bf16"), x, y)
    # with the first one in bf16 too: 12 % of the value, cosine 0.82
    torch.testing.assert_close(value, exact[0], rtol=0.03, atol=0)
    assert F.cosine_similarity(gradient.flatten(), exact[1].flatten(), dim=0) > 0.93


@pytest.mark.parametrize("given", [torch.bfloat16, torch.float64])
def test_type_of_the_prediction(given, files):
    x, y = make_pair(side=16, dtype=given)
    value, gradient = value_and_gradient(make("masked", files, precision="bf16"), x, y)
    assert value.dtype == (torch.float64 if given == torch.float64 else torch.float32)
    assert gradient.dtype == given


def test_inside_and_outside_autocast(files):
    x, y = make_pair(side=16)
    term = make("masked", files, precision="bf16")
    outside = value_and_gradient(term, x, y)
    with torch.autocast("cpu", torch.bfloat16):
        inside = value_and_gradient(term, x, y)
    assert torch.equal(outside[0], inside[0])
    assert torch.equal(outside[1], inside[1])


def test_masks_read_float32(files):
    x, y = make_pair(side=16)
    term = make("masked", files, precision="bf16")
    read = []
    term.masks.mask_finder_2.last.register_forward_hook(lambda _, given, out: read.append(given))
    *maps, found = term.prepared(x, y)
    assert {m.dtype for kind in maps for m in kind} == {torch.float32}
    assert {m.dtype for m in found} == {read[0][0].dtype} == {torch.float32}
    assert {b.dtype for b in term.masks.buffers()} == {torch.float32}
    assert torch.equal(maps[0][2], maps[0][2].bfloat16().float()), "features that bf16 has rounded"


def test_only_later_convolutions_are_lowered_and_stay_so():
    backbone = build_backbone("vgg16", ["relu1_2", "relu2_2"], "random", precision="bf16")
    wanted = [torch.float32, *[torch.bfloat16] * 3]
    for move in (lambda b: b, lambda b: b.double(), lambda b: b.to(torch.half), copy.deepcopy):
        convs = [m for m in move(backbone).modules() if isinstance(m, nn.Conv2d)]
        assert [conv.weight.dtype for conv in convs] == wanted
    assert backbone.mean.dtype == torch.half, "the buffers of the input follow"
    assert {b.device.type for b in backbone.to("meta").buffers()} == {"meta"}


def test_float32_is_the_body_itself():
    x, _ = make_pair(side=16)
    backbone = build_backbone("vgg16", ["relu1_2", "relu2_2"], "random")
    for found, expected in zip(backbone(x), backbone.body(x), strict=True):
        assert torch.equal(found, expected)
        assert found.is_contiguous()


@pytest.mark.parametrize("pooling", ["avg", "max", "l2"])
def test_every_pooling(pooling):
    x, _ = make_pair(side=16)
    taps, arguments = ["relu1_2", "relu2_2", "relu3_3"], ("random", pooling, True)
    torch.manual_seed(0)
    exact = build_backbone("vgg16", taps, *arguments)(x)
    torch.manual_seed(0)
    found = build_backbone("vgg16", taps, *arguments, precision="bf16")(x)
    for a, b in zip(exact, found, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).norm() < 0.02 * a.norm()


def test_terms_that_disagree_are_kept_apart():
    def built(**second):
        terms = [
            {"type": "VGG", "backbone": "embedded", "precision": "bf16"},
            {"type": "E-VGG", "backbone": "embedded", **second},
        ]
        return losses.build(terms)

    x, y = make_pair(side=16)
    alone, shared = built(), built(precision="bf16")
    assert alone.terms[0].backbone is not alone.terms[1].backbone
    assert shared.terms[0].backbone is shared.terms[1].backbone
    assert torch.equal(alone(x, y)[1]["E-VGG"], EVGG("embedded")(x, y))
    lowered = EVGG("embedded", precision="bf16")(x, y)
    assert torch.equal(shared(x, y)[1]["E-VGG"], lowered)
    assert torch.equal(alone(x, y)[1]["VGG"], shared(x, y)[1]["VGG"])


def test_compile_is_asked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, **given: asked.append(given))
    plain = VGG("embedded")
    assert asked == []
    compiled = EVGG("embedded", compile=True)
    assert asked == [{"dynamic": True}]
    assert not plain.backbone.equals(compiled.backbone)


@pytest.mark.parametrize("make_term", [VGG, EVGG])
def test_unknown_precision(make_term):
    with pytest.raises(ValueError, match="unknown precision 'bf6'; known: float32, bf16; did you"):
        make_term("embedded", precision="bf6")
    with pytest.raises(ValueError, match="unknown argument 'precision' of loss MAE"):
        losses.build([{"type": "MAE", "precision": "bf16"}])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_compiled(precision, files):
    term = make("masked", files, precision=precision, compile=True)
    eager = make("masked", files, precision=precision)
    for side in (32, 48):
        x, y = make_pair(side=side)
        found, expected = value_and_gradient(term, x, y), value_and_gradient(eager, x, y)
        torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=0)
        assert F.cosine_similarity(found[1].flatten(), expected[1].flatten(), dim=0) > 0.999
        assert term(y, y) == 0
