"""PSNR and SSIM against BasicSR, scikit-image and a plain NumPy truth."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio

from restoration.common import basicsr
from restoration.metrics import psnr, psnr_ssim, ssim, to_uint8_range


def pair_of_images(seed: int = 0, shape: tuple[int, ...] = (2, 40, 33, 3)):
    """Smooth uint8 images and noisy copies, (B, H, W, C)."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, shape[1] * shape[2]).reshape(1, *shape[1:3], 1)
    clean = np.clip(ramp + rng.normal(0, 8, shape), 0, 255).round().astype(np.uint8)
    noisy = np.clip(clean + rng.normal(0, 20, shape), 0, 255).round().astype(np.uint8)
    return noisy, clean


def to_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def ssim_truth(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two (H, W) images in 0..255, straight from the publication."""
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    mean_x, mean_y, xx, yy, xy = (
        convolve2d(z, window, mode="valid") for z in (x, y, x * x, y * y, x * y)
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * (xy - mean_x * mean_y) + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (xx - mean_x**2 + yy - mean_y**2 + c2)
    return float((above / below).mean())


@pytest.mark.usefixtures("needs_basicsr")
@pytest.mark.parametrize("name", ["psnr", "ssim"])
@pytest.mark.parametrize("border", [0, 3])
def test_parity_with_basicsr(name, border):
    metrics = basicsr.import_basicsr("metrics")
    noisy, clean = pair_of_images()
    reference = getattr(metrics, f"calculate_{name}")
    expected = [reference(a, b, crop_border=border) for a, b in zip(noisy, clean, strict=True)]
    function = {"psnr": psnr, "ssim": ssim}[name]
    got = function(to_tensor(noisy), to_tensor(clean), data_range=1.0, crop_border=border)
    # float32 images k / 255: 1e-5 dB; SSIM 1e-7
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5 if name == "psnr" else 1e-7)


def test_psnr_parity_with_skimage():
    noisy, clean = pair_of_images(1)
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(noisy, clean, strict=True)]
    np.testing.assert_allclose(psnr(to_tensor(noisy), to_tensor(clean)).numpy(), expected, 1e-6)


@pytest.mark.parametrize("height", [11, 32, 42, 43, 75, 90])
def test_ssim_parity_with_numpy(height):
    noisy, clean = pair_of_images(2, (2, height, 33, 3))  # one strip, a part, several
    expected = [
        np.mean([ssim_truth(*(i[..., c].astype(float) for i in (a, b))) for c in range(3)])
        for a, b in zip(noisy, clean, strict=True)
    ]
    got = ssim(to_tensor(noisy).double() * 255, to_tensor(clean).double() * 255, data_range=255)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)


def test_float32_maps_are_exact_enough():
    """Flat and bright: the variances are small differences of large squares."""
    generator = torch.Generator().manual_seed(0)
    for level, spread in ((0.9, 1e-3), (0.5, 0.1), (0.02, 0.01)):
        clean = level + spread * torch.rand(1, 3, 150, 140, generator=generator)
        noisy = clean + spread * torch.randn(clean.shape, generator=generator)
        for function, tolerance in ((psnr, 1e-5), (ssim, 1e-7)):
            exact = function(noisy.double(), clean.double())
            torch.testing.assert_close(function(noisy, clean), exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rows", [1, 7, 10**6])
def test_ssim_does_not_depend_on_the_strips(rows, monkeypatch):
    noisy, clean = (to_tensor(i) for i in pair_of_images(3, (1, 90, 33, 3)))
    expected = ssim(noisy, clean)
    monkeypatch.setattr(psnr_ssim, "STRIP_ROWS", rows)
    torch.testing.assert_close(ssim(noisy, clean), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("function", [psnr, ssim])
def test_shape_and_batch_equals_singles(function):
    noisy, clean = (to_tensor(i) for i in pair_of_images())
    batch = function(noisy, clean)
    singles = torch.cat([function(noisy[i : i + 1], clean[i : i + 1]) for i in range(2)])
    assert batch.shape == (2,)
    assert batch[0] != batch[1]
    torch.testing.assert_close(batch, singles, rtol=0, atol=0)


@pytest.mark.parametrize("function", [psnr, ssim])
def test_data_range_is_an_argument(function):
    noisy, clean = (to_tensor(i) for i in pair_of_images())
    unit = function(noisy, clean, data_range=1.0)
    scaled = function(noisy * 255, clean * 255, data_range=255.0)
    torch.testing.assert_close(unit, scaled, rtol=0, atol=1e-5)


@pytest.mark.parametrize("function", [psnr, ssim])
def test_one_bright_pixel_does_not_change_the_range(function):
    noisy, clean = (to_tensor(i) for i in pair_of_images())
    noisy[:, 0, 0, 0] = 1.0
    touched = noisy.clone()
    touched[:, 0, 0, 0] = 1.0001
    change = (function(touched, clean) - function(noisy, clean)).abs()
    assert 0 < change.max() < 1e-3  # a range guessed from the maximum would give 48 dB


@pytest.mark.parametrize("function", [psnr, ssim])
def test_grey_input_equals_three_equal_channels(function):
    noisy, clean = (to_tensor(i)[:, :1] for i in pair_of_images())
    rgb = function(noisy.expand(-1, 3, -1, -1), clean.expand(-1, 3, -1, -1))
    torch.testing.assert_close(function(noisy, clean), rgb, rtol=0, atol=1e-9)


def test_perfect_input():
    _, clean = pair_of_images()
    image = to_tensor(clean)
    assert torch.isinf(psnr(image, image)).all() and (psnr(image, image) > 0).all()
    torch.testing.assert_close(ssim(image, image), torch.ones(2).double(), rtol=0, atol=1e-12)


def test_black_against_white():
    black, white = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    assert psnr(black, white).item() == 0
    assert 0 <= ssim(black, white).item() < 1e-3


def test_inputs_are_left_alone():
    noisy, clean = (to_tensor(i).double() for i in pair_of_images())
    before = noisy.clone(), clean.clone()
    ssim(noisy, clean), psnr(noisy, clean)
    torch.testing.assert_close((noisy, clean), before, rtol=0, atol=0)


def test_ssim_gradient():
    torch.manual_seed(0)
    x, y = torch.rand(2, 1, 1, 12, 12, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: ssim(z, y), (x.requires_grad_(),))


@pytest.mark.parametrize("function", [psnr, ssim])
def test_raises(function):
    image = torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match="expected two"):
        function(image, image[..., :8])
    with pytest.raises(ValueError, match="floating-point"):
        function((image * 255).byte(), (image * 255).byte())
    for bad in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="data_range > 0"):
            function(image, image, data_range=bad)
    for border in (-1, 8):
        with pytest.raises(ValueError, match="crop_border that fits 16x16"):
            function(image, image, crop_border=border)


def test_ssim_raises_for_small_images():
    small = torch.rand(1, 3, 10, 40)
    with pytest.raises(ValueError, match="at least 11x11 pixels for SSIM, got 10x40"):
        ssim(small, small)


def test_to_uint8_range():
    x = torch.tensor([-0.3, 0.0, 0.5 / 255, 0.6 / 255, 1.5 / 255, 1.0, 1.0001])
    expected = torch.tensor([0, 0, 0, 1, 2, 255, 255]) / 255
    torch.testing.assert_close(to_uint8_range(x), expected, rtol=0, atol=0)
    levels = torch.arange(256) / 255
    torch.testing.assert_close(to_uint8_range(levels), levels, rtol=0, atol=0)
    with pytest.raises(ValueError, match="floating-point"):
        to_uint8_range(torch.zeros(3, dtype=torch.uint8))
