"""Pure functions: parity with scikit-image and SciPy, edges, errors."""

import numpy as np
import pytest
import reference
import torch
from loss_inputs import make_pair
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from losses import functional


@pytest.fixture
def pair():
    return make_pair(batch=2, side=32, dtype=torch.float64)


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_psnr_against_skimage(pair, data_range):
    x, y = (image * data_range for image in pair)
    expected = [
        peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=data_range)
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(functional.psnr(x, y, data_range), expected, rtol=1e-7)
    np.testing.assert_allclose(reference.psnr(x.numpy(), y.numpy(), data_range), expected)


def test_psnr_never_guesses_the_range():
    y = torch.full((1, 1, 4, 4), 0.5)
    x = y + 0.1
    x[0, 0, 0, 0] = 1.0001
    assert functional.psnr(x, y).item() < 25


def test_ssim_against_skimage(pair):
    expected = [
        structural_similarity(
            a.numpy(),
            b.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=0,
        )
        for a, b in zip(*pair, strict=True)
    ]
    np.testing.assert_allclose(functional.ssim(*pair), expected, rtol=1e-9)
    np.testing.assert_allclose(reference.ssim(*(i.numpy() for i in pair)), expected)


def test_ssim_of_opposites_is_negative():
    wave = torch.sin(torch.arange(32.0)).repeat(32, 1)[None, None] / 2
    assert functional.ssim(0.5 + wave, 0.5 - wave).item() < -0.8


def test_ssim_needs_a_window():
    x = torch.rand(1, 3, 10, 40)
    with pytest.raises(ValueError, match="expected at least 11x11 pixels for SSIM, got 10x40"):
        functional.ssim(x, x)


def test_gaussian_blur_against_scipy(pair):
    blurred = functional.gaussian_blur(pair[0], functional.gaussian_window(), padding=5)
    expected = ndimage.gaussian_filter(
        pair[0].numpy(), 1.5, truncate=5 / 1.5, mode="constant", axes=(2, 3)
    )
    np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-12)


def test_same_size_ssim_has_the_shape_of_the_image(pair):
    value = functional.dissimilarity(*pair, padding=5)
    assert value.shape == pair[0].shape
    expected = reference.dissimilarity_same(*(i.numpy() for i in pair))
    np.testing.assert_allclose(value.mean((1, 2, 3)), expected, rtol=1e-9)


@pytest.mark.parametrize("padding", [0, 5])
def test_ssim_of_flat_images(padding):
    """The usual form cancels: 1 - SSIM of 250 and 251 was -2.6e-4 in float32."""
    x, y = (torch.full((1, 3, 32, 32), level / 255) for level in (250, 251))
    found = functional.dissimilarity(x, y, padding)
    expected = reference.ssim(x.double().numpy(), y.double().numpy())[0]
    assert (found >= 0).all()
    assert found[..., 10:-10, 10:-10].mean().item() == pytest.approx(1 - expected, rel=1e-3)
    assert not functional.dissimilarity(x, x.clone(), padding).any()


def test_reduce_refuses():
    with pytest.raises(ValueError, match="expected reduction .* got 'max'"):
        functional.reduce(torch.ones(2), "max")
