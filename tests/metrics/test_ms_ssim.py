"""MS-SSIM against piq and a plain NumPy truth."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from restoration.metrics import build_metrics, ms_ssim, ssim


def pair_of_images(height: int = 176, width: int = 192, noise: float = 0.1):
    """Smooth images and noisy copies, (2, 3, H, W) float32."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] / 20
    clean = 0.5 + 0.4 * np.sin(x + y * rng.uniform(0, 2, (2, 3, 1, 1)))
    noisy = np.clip(clean + rng.normal(0, noise, clean.shape), 0, 1)
    return torch.from_numpy(noisy).float(), torch.from_numpy(clean).float()


def truth(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of two (H, W) images in [0, 1], straight from the publication."""
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    product = 1.0
    for number, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mean_x, mean_y, xx, yy, xy = (
            convolve2d(z, window, mode="valid") for z in (x, y, x * x, y * y, x * y)
        )
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        above = 2 * (xy - mean_x * mean_y) + 0.03**2
        structure = above / (xx - mean_x**2 + yy - mean_y**2 + 0.03**2)
        value = (luminance * structure if number == 4 else structure).mean()
        product *= max(value, 0) ** weight
        x, y = (
            np.mean(
                [
                    z[i : len(z) // 2 * 2 : 2, j : z.shape[1] // 2 * 2 : 2]
                    for i in (0, 1)
                    for j in (0, 1)
                ],
                0,
            )
            for z in (x, y)
        )
    return float(product)


@pytest.mark.parametrize(("height", "width"), [(176, 192), (181, 179)])
def test_parity_with_numpy(height, width):
    noisy, clean = pair_of_images(height, width)
    expected = [
        np.mean([truth(a, b) for a, b in zip(x, y, strict=True)])
        for x, y in zip(noisy.double().numpy(), clean.double().numpy(), strict=True)
    ]
    got = ms_ssim(noisy, clean)
    assert got.dtype == torch.float64 and got.shape == (2,)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-10)
    assert 0.1 < expected[0] < 0.99


def test_parity_with_piq():
    piq = pytest.importorskip("piq")
    noisy, clean = (x.double() for x in pair_of_images(176, 208))  # even at every scale
    expected = piq.multi_scale_ssim(noisy, clean, data_range=1.0, reduction="none")
    np.testing.assert_allclose(ms_ssim(noisy, clean).numpy(), expected.numpy(), atol=1e-7)


def test_properties():
    noisy, clean = pair_of_images()
    torch.testing.assert_close(ms_ssim(clean, clean), torch.ones(2, dtype=torch.float64))
    singles = torch.cat([ms_ssim(noisy[i : i + 1], clean[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(ms_ssim(noisy, clean), singles)
    torch.testing.assert_close(ms_ssim(255 * noisy, 255 * clean, 255.0), ms_ssim(noisy, clean))
    assert (ms_ssim(1 - clean, clean) == 0).all(), "a negative structure counts as zero"
    assert (ms_ssim(noisy, clean) > ssim(noisy, clean)).all(), "noise is at the fine scales"


def test_by_name():
    metric = build_metrics(["MS-SSIM"])["ms_ssim"]
    noisy, clean = pair_of_images()
    torch.testing.assert_close(metric(noisy, clean), ms_ssim(noisy, clean))
    assert (metric.label, metric.higher_is_better) == ("MS-SSIM", True)


def test_raises():
    noisy, clean = pair_of_images()
    with pytest.raises(ValueError, match="at least 176x176 pixels for MS-SSIM, got 175x192"):
        ms_ssim(noisy[:, :, 1:], clean[:, :, 1:])
    with pytest.raises(ValueError, match="crop_border"):
        ms_ssim(noisy, clean, crop_border=100)
    with pytest.raises(ValueError, match="shape"):
        ms_ssim(noisy, clean[:1])
