"""One template of tests for every loss term that an option file can name."""

import copy

import numpy as np
import pytest
import torch
from cases import CASES, FROZEN, MASKED, pair_for
from loss_inputs import make_pair
from newer import without_a_gpu
from torch._subclasses.fake_tensor import FakeTensorMode

import losses

every_term = pytest.mark.parametrize("name", CASES)


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
    tolerance = CASES[name].tolerance
    np.testing.assert_allclose(term(x, y).numpy(), expected, rtol=tolerance, atol=1e-9)
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
    side = {"LPIPS": 31, "E-LPIPS": 16}.get(name, 11)
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
    assert not list(term.parameters())
    assert all(b.grad is None and not b.requires_grad for b in term.buffers())


@every_term
def test_identical_images_give_a_finite_gradient(make, name):
    term, (_, y) = make(name), pair_for(name)
    x = y.clone().requires_grad_()
    term(x, y).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_parts_stay_frozen(make, name):
    term = torch.nn.Sequential(make(name)).train()[0]
    assert not any(module.training for module in term.modules())
    assert list(term.buffers())
    torch.nn.Sequential(term).requires_grad_(True)
    assert not list(term.parameters())
    assert not any(buffer.requires_grad for buffer in term.buffers())


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
    before = [b.clone() for b in term.buffers()]
    value = term(x.bfloat16(), y)
    torch.testing.assert_close(value, term(x.bfloat16().float(), y))
    assert all(torch.equal(p, q) for p, q in zip(term.buffers(), before, strict=True))


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


def on_gpu(tensor):
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda:0")


@every_term
def test_stays_on_the_gpu_without_waiting_for_it(make, name, monkeypatch):
    """On tensors that only say where they are: a value that is read, or another device, raises."""
    term, pair = copy.deepcopy(make(name)), pair_for(name)
    term(*pair)  # what is made once
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)  # refuses fakes
    with without_a_gpu(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        for module in term.modules():
            for own in (module._parameters, module._buffers):
                for key, value in own.items():
                    own[key] = value if value is None else on_gpu(value)
        assert str(term(*map(on_gpu, pair)).device) == "cuda:0"
