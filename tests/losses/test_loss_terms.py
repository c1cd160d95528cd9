"""One template of tests for every loss term that an option file can name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
import reference
import torch
from conftest import make_pair

import losses
from losses import functional

FROZEN = ("VGG", "E-VGG", "E-MAE", "E-MSE", "E-PSNR", "E-SSIM", "LPIPS")
MASKED = ("E-VGG", "E-MAE", "E-MSE", "E-PSNR", "E-SSIM")


def arrays(state):
    return {name: value.double().numpy() for name, value in state.items()}


def pixel_masks(term, x, y):
    state = arrays(term.masks.state_dict())
    return np.stack([reference.mask(state, 1, b, a) for a, b in zip(x, y, strict=True)])


def masked_pair(term, x, y):
    mask = pixel_masks(term, x, y)
    return mask * x, mask * y


def embedded_taps(term, image):
    body = term.backbone.body
    state = arrays(body.state_dict())
    levels = [
        [(state[f"levels.{n}.{i}.weight"], state[f"levels.{n}.{i}.bias"]) for i in (0, 2)]
        for n in range(len(body.channels))
    ]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return reference.conv_levels((image - mean[:, None, None]) / std[:, None, None], levels)


def feature_reference(term, x, y):
    values = []
    for a, b in zip(x, y, strict=True):
        taps_a, taps_b, masks = embedded_taps(term, a), embedded_taps(term, b), None
        if term.masks is not None:
            state = arrays(term.masks.state_dict())
            pairs = enumerate(zip(taps_b, taps_a, strict=True), start=1)
            masks = [reference.mask(state, k, ref, dist) for k, (ref, dist) in pairs]
        values.append(reference.feature_distance(taps_a, taps_b, masks))
    return np.array(values)


def lpips_reference(term, x, y):
    """The package's own network, its AlexNet filled layer by layer."""
    import lpips
    from conftest import alexnet_features

    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    state = alexnet_features()
    for part in network.net.children():
        for number, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data = state[f"features.{number}.weight"]
                layer.bias.data = state[f"features.{number}.bias"]
    with torch.no_grad():
        pair = [torch.from_numpy(image).float() * 2 - 1 for image in (x, y)]
        return network(*pair).flatten().double().numpy()


def feature_function(term, x, y):
    of_x, of_y = term.features(x, y)
    masks = [None] * len(of_x) if term.masks is None else term.masks(of_y, of_x)
    parts = [
        a.shape[1] * functional.masked_mean((a - b).abs(), mask)
        for a, b, mask in zip(of_x, of_y, masks, strict=True)
    ]
    return sum(parts) / sum(term.backbone.channels)


@dataclass(frozen=True)
class Case:
    """What the template needs to know of a term."""

    reference: Callable
    function: Callable
    arguments: dict = field(default_factory=dict)
    perfect: tuple[float, float] = (0.0, 0.0)  # between these for identical images
    channels: int = 1  # a number of channels that the term refuses; 0 if it takes any
    side: int = 12


PIXEL = {"weights": "pixel.safetensors"}
CASES = {
    "MAE": Case(
        lambda _, x, y: reference.mae(x, y), lambda _, x, y: functional.mae(x, y), channels=0
    ),
    "MSE": Case(
        lambda _, x, y: reference.mse(x, y), lambda _, x, y: functional.mse(x, y), channels=0
    ),
    "Charbonnier": Case(
        lambda _, x, y: reference.charbonnier(x, y, 0.01),
        lambda _, x, y: functional.charbonnier(x, y, 0.01),
        {"eps": 0.01},
        perfect=(0.01, 0.01),
        channels=0,
    ),
    "PSNR": Case(
        lambda _, x, y: reference.psnr(x, y),
        lambda _, x, y: functional.psnr(x, y),
        perfect=(120.0, 120.0),
        channels=0,
    ),
    "SSIM": Case(
        lambda _, x, y: 1 - reference.ssim(x, y),
        lambda _, x, y: 1 - functional.ssim(x, y),
        perfect=(0.0, 1e-6),
        channels=0,
    ),
    "VGG": Case(feature_reference, feature_function, {"backbone": "embedded", "weights": "random"}),
    "E-VGG": Case(
        feature_reference,
        feature_function,
        {"backbone": "embedded", "weights": "random", "masks": "embedded_masks.safetensors"},
    ),
    "E-MAE": Case(
        lambda t, x, y: reference.mae(*masked_pair(t, x, y)),
        lambda t, x, y: functional.mae(t.mask(x, y) * x, t.mask(x, y) * y),
        PIXEL,
    ),
    "E-MSE": Case(
        lambda t, x, y: (pixel_masks(t, x, y) * (x - y) ** 2).mean((1, 2, 3)),
        lambda t, x, y: functional.masked_mean((x - y) ** 2, t.mask(x, y)),
        PIXEL,
    ),
    "E-PSNR": Case(
        lambda t, x, y: reference.psnr(*masked_pair(t, x, y)),
        lambda t, x, y: functional.psnr(t.mask(x, y) * x, t.mask(x, y) * y),
        PIXEL,
        perfect=(120.0, 120.0),
    ),
    "E-SSIM": Case(
        lambda t, x, y: reference.dissimilarity_same(*masked_pair(t, x, y)),
        lambda t, x, y: (
            1 - functional.ssim_map_same(t.mask(x, y) * x, t.mask(x, y) * y).mean((1, 2, 3))
        ),
        PIXEL,
        perfect=(0.0, 0.0218),  # the floor in the deviations: 1e-5 / (1e-5 + C2 / 2) at most
    ),
    "LPIPS": Case(
        lpips_reference,
        lambda t, x, y: t.network(2 * x - 1, 2 * y - 1).flatten(),
        {"weights": "alexnet.pth"},
        side=32,
    ),
}
every_term = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="session")
def make(files):
    """Build a term once per set of arguments."""

    @cache
    def build(name, **more):
        arguments = {
            key: str(files / value) if isinstance(value, str) and "." in value else value
            for key, value in {**CASES[name].arguments, **more}.items()
        }
        torch.manual_seed(0)
        return losses.build_term(name, **arguments)

    return build


def pair_for(name, **more):
    return make_pair(side=CASES[name].side, **more)


def test_every_term_has_a_case():
    assert set(CASES) == set(losses.TERMS)


@every_term
def test_shape(make, name):
    x, y = pair_for(name)
    none, mean, total = (make(name, reduction=r)(x, y) for r in ("none", "mean", "sum"))
    assert none.shape == (2,)
    assert mean.shape == total.shape == ()
    torch.testing.assert_close(mean, none.mean())
    torch.testing.assert_close(total, none.sum())


@every_term
def test_raises(make, name):
    term, (x, y) = make(name), pair_for(name)
    with pytest.raises(ValueError, match="expected two .* of one shape, got .*12.*13|32.*33"):
        term(x, torch.nn.functional.pad(y, (0, 1)))
    with pytest.raises(ValueError, match=r"expected two \(B, C, H, W\) tensors"):
        term(x[0], y[0])
    with pytest.raises(ValueError, match="floating-point images.*uint8"):
        term((x * 255).byte(), (y * 255).byte())
    with pytest.raises(ValueError, match="expected two tensors, got ndarray"):
        term(x.numpy(), y.numpy())
    with pytest.raises(ValueError, match="expected reduction .* got 'median'"):
        make(name, reduction="median")
    if CASES[name].channels:
        with pytest.raises(ValueError, match="expected 3 channels, got 1"):
            term(x[:, :1], y[:, :1])


@every_term
def test_perfect(make, name):
    _, y = pair_for(name)
    low, high = CASES[name].perfect
    value = make(name, reduction="none")(y, y.clone())
    assert (value >= low - 1e-6).all() and (value <= high * (1 + 1e-6) + 1e-9).all()


@every_term
def test_worse_is_worse(make, name):
    x, y = pair_for(name)
    term = make(name, reduction="none")
    near, far = term(y + 0.2 * (x - y), y), term(x, y)
    assert ((far < near) if term.higher_is_better else (far > near)).all()


@every_term
def test_parity(make, name):
    x, y = pair_for(name)
    term = make(name, reduction="none")
    if name == "LPIPS":
        expected, value = CASES[name].reference(term, x.numpy(), y.numpy()), term(x, y)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5)
        return
    x, y = x.double(), y.double()
    expected = CASES[name].reference(term, x.numpy(), y.numpy())
    np.testing.assert_allclose(term(x, y).numpy(), expected, rtol=1e-6, atol=1e-9)
    single = term(x.float(), y.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, rtol=2e-4, atol=1e-7)


@every_term
def test_module_is_function(make, name):
    x, y = pair_for(name)
    term = make(name, reduction="none")
    torch.testing.assert_close(term(x, y), CASES[name].function(term, x, y))


@every_term
def test_gradcheck(make, name):
    side = 31 if name == "LPIPS" else 11
    x, y = make_pair(batch=1, side=side, seed=3, dtype=torch.float64)
    term = make(name, **({"mask_gradient": True} if name in MASKED else {}))
    x.requires_grad_()
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(lambda x: term(x, y), (x,), fast_mode=True, eps=1e-7)


@every_term
def test_batch_is_singles(make, name):
    x, y = pair_for(name, batch=3)
    term = make(name, reduction="none")
    singles = torch.cat([term(x[i : i + 1], y[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(term(x, y), singles)


@every_term
def test_gradient_reaches_the_prediction_only(make, name):
    term, (x, y) = make(name), pair_for(name)
    x.requires_grad_()
    y.requires_grad_()
    term(x, y).backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0
    assert y.grad is None
    assert all(p.grad is None and not p.requires_grad for p in term.parameters())


@every_term
def test_identical_images_give_a_finite_gradient(make, name):
    term, (_, y) = make(name), pair_for(name)
    x = y.clone().requires_grad_()
    term(x, y).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_parts_stay_frozen(make, name):
    term = torch.nn.Sequential(make(name)).train()[0]
    assert list(term.parameters())
    assert not any(module.training for module in term.modules())
    assert not any(parameter.requires_grad for parameter in term.parameters())


@every_term
def test_float32_under_autocast(make, name):
    term, (x, y) = make(name), pair_for(name)
    plain = term(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        value = term(x, y)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, plain, rtol=1e-6, atol=0)


@every_term
def test_half_precision_input_is_computed_in_float32(make, name):
    term, (x, y) = make(name), pair_for(name)
    before = [p.clone() for p in term.parameters()]
    value = term(x.bfloat16(), y)
    torch.testing.assert_close(value, term(x.bfloat16().float(), y))
    assert all(torch.equal(p, q) for p, q in zip(term.parameters(), before, strict=True))


@pytest.mark.parametrize("name", MASKED)
def test_mask_gradient(make, name):
    x, y = pair_for(name)
    gradients, values = [], []
    for mask_gradient in (False, True):
        leaf = x.clone().requires_grad_()
        value = make(name, mask_gradient=mask_gradient)(leaf, y)
        value.backward()
        gradients.append(leaf.grad)
        values.append(value.detach())
    assert torch.equal(*values)
    assert (gradients[0] - gradients[1]).norm() > 1e-3 * gradients[1].norm()


@pytest.mark.parametrize("name", ["E-MAE", "E-MSE"])
def test_without_mask_gradient_the_mask_is_a_constant(make, name):
    x, y = pair_for(name)
    term = make(name, reduction="sum")
    x.requires_grad_()
    term(x, y).backward()
    mask = term.mask(x, y).detach()
    difference = (x - y).detach()
    slope = difference.sign() if name == "E-MAE" else 2 * difference
    torch.testing.assert_close(x.grad, mask * slope / x[0].numel())
