"""FLIP against its authors' package on photographs, and its gradient where roots have none."""

import flip_evaluator
import numpy as np
import pytest
import torch
from skimage import data

import losses
from losses.flip import PIXELS_PER_DEGREE, flip, flip_map

PHOTOGRAPHS = {"astronaut": data.astronaut, "coffee": data.coffee, "chelsea": data.chelsea}


def distorted(image, kind):
    noise = np.random.default_rng(0).normal(0, 0.1, image.shape)
    return {
        "noise": np.clip(image + noise, 0, 1),
        "blur": (image + np.roll(image, 1, 0) + np.roll(image, 1, 1)) / 3,
        "other colours": image[:, :, ::-1],
    }[kind]


def batch(image):
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("kind", ["noise", "blur", "other colours"])
@pytest.mark.parametrize("pixels_per_degree", [None, 30.0])
def test_parity_on_photographs(name, kind, pixels_per_degree):
    image = PHOTOGRAPHS[name]()[60:180, 80:240].astype(np.float32) / 255
    other = np.ascontiguousarray(distorted(image, kind), np.float32)
    setting = {} if pixels_per_degree is None else {"ppd": pixels_per_degree}
    expected, mean, _ = flip_evaluator.evaluate(
        image, other, "LDR", applyMagma=False, parameters=setting
    )
    found = flip_map(batch(other), batch(image), pixels_per_degree or PIXELS_PER_DEGREE)
    np.testing.assert_allclose(found[0, 0].numpy(), expected[:, :, 0], atol=1e-4)
    assert found.mean().item() == pytest.approx(mean, abs=1e-4)


def test_the_papers_screen():
    assert pytest.approx(67.0206, abs=1e-4) == PIXELS_PER_DEGREE


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("step", [0.0, 1e-9, 1e-7, 1e-5, 0.1])
def test_gradients_are_finite(level, step):
    """Flat images, equal ones and almost equal ones: all roots meet 0 somewhere."""
    y = torch.full((1, 3, 12, 12), level)
    noise = torch.rand(y.shape, generator=torch.Generator().manual_seed(0))
    x = (y + step * (noise - 0.5)).requires_grad_()
    value = flip(x, y)
    value.sum().backward()
    assert value.isfinite().all()
    assert x.grad.isfinite().all()
    if torch.equal(x, y):
        assert value == 0


def test_gradients_outside_the_range():
    x = torch.linspace(-0.5, 1.5, 3 * 144).view(1, 3, 12, 12).requires_grad_()
    flip(x, torch.zeros_like(x)).sum().backward()
    assert x.grad.isfinite().all()


def test_symmetry_and_range():
    x, y = (torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    there, back = flip_map(x, y), flip_map(y, x)
    assert there.shape == (2, 1, 9, 9)
    torch.testing.assert_close(there, back)
    assert (there >= 0).all()
    assert (there <= 1).all()


def test_it_can_be_descended():
    y = batch(data.astronaut()[60:92, 80:112] / 255)
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    x = (y + 0.1 * noise).clamp(0, 1).requires_grad_()
    before, optimizer = flip(x, y).item(), torch.optim.Adam([x], lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        flip(x, y).sum().backward()
        optimizer.step()
    assert flip(x, y).item() < 0.6 * before


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan")])
def test_raises(value, files):
    with pytest.raises(ValueError, match="expected pixels_per_degree > 0, got"):
        losses.FLIP(value)
    with pytest.raises(ValueError, match="expected pixels_per_degree > 0, got"):
        losses.EnhancedFLIP(files / "pixel.safetensors", pixels_per_degree=value)
