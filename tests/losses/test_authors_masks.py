"""The enhanced pixel metrics with the authors' released masks on their example pair.

Values of their own files hold E-MAE, E-PSNR, E-SSIM and MILO (tested beside its network). E-MSE,
whose file has no published value, is held by NumPy; E-VGG, E-LPIPS and E-DISTS, whose files are
not at hand, by formula on random masks. No mask of E-FLIP was released.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from skimage.io import imread

import losses
from losses.weights import load_state_dict

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text())


@pytest.fixture(scope="module")
def pair(authors):
    """(distorted, reference), (1, 3, H, W) in [0, 1]."""
    images = [imread(authors / name) for name in ("dist.bmp", "ref.bmp")]
    return [torch.from_numpy(i).permute(2, 0, 1)[None].float() / 255 for i in images]


@pytest.fixture(scope="module")
def crop(pair):
    """The 20x20 piece with the largest error: masks vary there."""
    error = torch.nn.functional.avg_pool2d((pair[0] - pair[1]).abs().mean(1), 20, 8)[0]
    row, column = divmod(int(error.argmax()), error.shape[1])
    window = np.s_[..., 8 * row : 8 * row + 20, 8 * column : 8 * column + 20]
    return [image[window].double() for image in pair]


def close(kind, name, value):
    assert value.item() == pytest.approx(GOLDEN[kind][name], abs=GOLDEN["tolerance"][kind])


def test_golden_distances(authors, pair):
    close("distance", "MAE", losses.MAE()(*pair))
    close("distance", "E-MAE", losses.EnhancedMAE(authors / "E_MAE.pth")(*pair))
    swapped = losses.EnhancedMAE(authors / "E_MAE.pth", order="distorted_first")
    close("distance", "E-MAE, order swapped", swapped(*pair))


def test_golden_decibels(authors, pair):
    close("decibel", "PSNR", losses.PSNR()(*pair))
    close("decibel", "E-PSNR", losses.EnhancedPSNR(authors / "E_PSNR.pth")(*pair))


def test_golden_dissimilarity(authors, pair):
    term = losses.EnhancedSSIM(authors / "E_SSIM.pth")
    close("distance", "E-SSIM", term(*pair))
    assert term(pair[1], pair[1]) == 0


def test_golden_mask(authors, pair):
    term = losses.EnhancedMAE(authors / "E_MAE.pth")
    mask = term.mask(*pair)
    assert mask.shape == (1, 1, *pair[0].shape[2:])
    close("mask", "mean", mask.mean())
    close("mask", "min", mask.min())
    close("mask", "max", mask.max())
    close("mask", "mean of the reference with itself", term.mask(pair[1], pair[1]).mean())


def masked(authors, name, crop, swapped=False):
    state = {k: v.double().numpy() for k, v in load_state_dict(authors / name).items()}
    distorted, original = (image[0].numpy() for image in crop)
    inputs = (distorted, original) if swapped else (original, distorted)
    return reference.mask(state, 1, *inputs)[None], distorted[None], original[None]


@pytest.mark.parametrize("name", ["E_MAE.pth", "E_MSE.pth", "E_PSNR.pth", "E_SSIM.pth"])
@pytest.mark.parametrize("order", ["reference_first", "distorted_first"])
def test_mask_parity(authors, crop, name, order):
    expected, _, _ = masked(authors, name, crop, swapped=order == "distorted_first")
    mask = losses.EnhancedMAE(authors / name, order=order).mask(*crop)
    np.testing.assert_allclose(mask.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert expected.std() > 1e-4  # else this test says little


def test_enhanced_mse_parity(authors, crop):
    mask, x, y = masked(authors, "E_MSE.pth", crop)
    value = losses.EnhancedMSE(authors / "E_MSE.pth")(*crop)
    assert value.item() == pytest.approx(np.mean(mask * (x - y) ** 2), rel=1e-9)


def test_enhanced_ssim_parity(authors, crop):
    mask, x, y = masked(authors, "E_SSIM.pth", crop)
    expected = reference.dissimilarity_same(mask * x, mask * y)[0]
    value = losses.EnhancedSSIM(authors / "E_SSIM.pth")(*crop)
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_scaler_parity(authors):
    state = {k: v.double().numpy() for k, v in load_state_dict(authors / "MAE.pth").items()}
    errors = torch.linspace(0, 1, 7, dtype=torch.float64).view(1, 1, 1, 7)
    scaler = losses.load_scaler(authors / "MAE.pth").double()
    x = errors.numpy()[0, 0]  # (1, 7), one channel
    for layer in (0, 2, 4):
        name = f"scaler_network.model.{layer}"
        x = state[f"{name}.weight"][:, :, 0, 0] @ x + state[f"{name}.bias"][:, None]
        x = np.where(x > 0, x, 0.2 * x) if layer < 4 else 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(scaler(errors).numpy()[0, 0], x, rtol=1e-9)
    assert not list(scaler.parameters())


def test_a_mask_file_without_scaler(files):
    with pytest.raises(ValueError, match="no scaler network"):
        losses.load_scaler(files / "pixel.safetensors")


def test_half_precision_call_of_mask_leaves_the_weights(authors, crop):
    term = losses.EnhancedMAE(authors / "E_MAE.pth")
    x, y = (image.float() for image in crop)
    before = term.mask(x, y)
    assert term.mask(x.bfloat16(), y.bfloat16()).dtype == torch.float32
    assert torch.equal(term.mask(x, y), before)
