"""Error maps, enhanced error maps and masks of one pair, and the figure that shows them."""

from dataclasses import replace

import numpy as np
import pytest
import reference as truth
import torch
from PIL import Image

import losses
from restoration.maps.error_maps import error_maps, has_maps, names_of, pixel_maps
from restoration.maps.figure import color_limit, colored, mask_limit, named_maps, write_maps


@pytest.fixture(scope="module")
def pair():
    """(distorted, reference), (1, 3, 24, 32)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    clean = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bicubic").clamp(0, 1)
    noise = 0.1 * torch.randn(clean.shape, generator=generator)
    return (clean + noise).clamp(0, 1), clean


def test_names():
    assert names_of("mae") == names_of("e-mae") == ("mae", "e-mae")
    assert names_of("milo") == ("mae", "milo")
    assert [n for n in ("psnr", "e-flip", "vgg", "milo", "lpips", "e-dists") if has_maps(n)] == [
        *("psnr", "e-flip", "vgg", "milo")
    ]


@pytest.mark.parametrize("name", ["mae", "mse", "ssim", "flip"])
def test_the_mean_of_a_map_is_the_metric(pair, name):
    """SSIM's own map is full-size, so it is held to the truth of that variant."""
    term = losses.build_term(f"E-{name.upper()}", reduction="none")
    maps = pixel_maps(name, *pair, term)
    assert maps.plain.shape == maps.enhanced.shape == maps.mask.shape == (24, 32)
    assert maps.enhanced.mean() == pytest.approx(term(*pair).item(), rel=1e-5)
    if name == "ssim":
        expected = truth.dissimilarity_same(*(image.double().numpy() for image in pair))[0]
    else:
        expected = losses.build_term(name.upper(), reduction="none")(*pair).item()
    assert maps.plain.mean() == pytest.approx(expected, rel=1e-5)


def test_psnr_from_its_maps(pair):
    term = losses.EnhancedPSNR(reduction="none")
    maps = pixel_maps("psnr", *pair, term)
    for map_, value in ((maps.plain, losses.PSNR()(*pair)), (maps.enhanced, term(*pair))):
        assert -10 * np.log10(np.mean(map_**2)) == pytest.approx(value.item(), rel=1e-4)


def test_scalers_draw_ratings(pair):
    torch.manual_seed(0)
    scaler, other = losses.ScalerNetwork(), losses.ScalerNetwork()
    term = losses.EnhancedMAE()
    raw = pixel_maps("mae", *pair, term)
    scaled = pixel_maps("mae", *pair, term, (scaler, other))
    assert scaled.unit.startswith("quality rating")
    zero = torch.zeros(1, 1, 1, 1)
    for network, before, after in (
        (scaler, raw.plain, scaled.plain),
        (other, raw.enhanced, scaled.enhanced),
    ):
        with torch.no_grad():
            expected = network(torch.from_numpy(before)[None, None]) - network(zero)
        np.testing.assert_allclose(after, expected[0, 0], atol=1e-6)
    half = pixel_maps("mae", *pair, term, (scaler, None))
    np.testing.assert_array_equal(half.plain, raw.plain)
    assert pixel_maps("flip", *pair, losses.EnhancedFLIP(), (scaler, other)).unit == "FLIP error"


@pytest.mark.parametrize("shape", [(1, 3, 64, 90), (1, 3, 321, 481)])
def test_no_error_is_drawn_as_none(shape):
    """Rounding must not become the brightest colour of a map."""
    clean = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    scaler = losses.load_scaler(losses.EnhancedMAE.shipped)
    found = pixel_maps("mae", clean, clean, losses.EnhancedMAE(), (scaler, scaler))
    assert found.unit.startswith("quality rating")
    assert not found.plain.any() and not found.enhanced.any()


def test_a_plain_error_is_not_drawn_with_the_scaler_of_masked_errors(pair):
    """Masked errors are far smaller: that scaler turns plain ones into one flat bright map."""
    torch.manual_seed(0)
    scaler, terms = losses.ScalerNetwork(), {"mae": None, "e-mae": losses.EnhancedMAE()}
    (found,) = error_maps(terms, *pair, {"e-mae": scaler})
    expected = pixel_maps("mae", *pair, terms["e-mae"])
    assert found.unit == "absolute error"
    np.testing.assert_array_equal(found.plain, expected.plain)
    np.testing.assert_array_equal(found.enhanced, expected.enhanced)
    (found,) = error_maps(terms, *pair, {"e-mae": scaler, "mae": losses.ScalerNetwork()})
    assert found.unit.startswith("quality rating")


def test_rows(pair):
    """A metric and its enhanced form share a row; a feature distance has a row per tap."""
    terms = {
        "mae": None,
        "e-mae": losses.EnhancedMAE(),
        "lpips": None,
        "flip": None,
        "e-vgg": losses.EVGG("embedded"),
        "vgg": losses.VGG("embedded"),
    }
    maps = error_maps(terms, *pair)
    assert [one.stem for one in maps] == ["mae", "flip", "vgg_tap1", "vgg_tap2", "vgg_tap3"]
    assert [one.mask is None for one in maps] == [False, True, False, False, False]
    (plain, *_), expected = error_maps({"vgg": terms["vgg"]}, *pair), maps[2]
    np.testing.assert_array_equal(plain.plain, expected.plain)
    assert plain.mask is None
    np.testing.assert_allclose(expected.enhanced, expected.plain * expected.mask, rtol=1e-6)


def test_the_scale_is_common(pair):
    maps = pixel_maps("mae", *pair, losses.EnhancedMAE())
    maps = replace(maps, enhanced=0.2 * maps.plain)
    named = named_maps([maps])
    assert set(named) == {"mae_error", "mae_enhanced", "mae_mask"}
    assert named["mae_error"][1] == named["mae_enhanced"][1] == color_limit(maps)
    faint = replace(maps, enhanced=0.01 * maps.plain)
    assert named_maps([faint])["mae_enhanced"][1] == np.quantile(faint.enhanced, 0.998)
    assert color_limit(faint) == color_limit(maps)
    assert named["mae_mask"][1] == np.quantile(maps.mask, 0.998), "a mask's scale is its own"
    assert mask_limit(pixel_maps("mae", *pair)) == 1, "without a mask"
    assert color_limit(pixel_maps("mae", pair[1], pair[1])) == 1, "identical images: any but 0"


def test_colors():
    import matplotlib

    found = colored(np.array([[0.0, 0.5, 1.0, 9.0]]), 1.0)
    expected = (np.array(matplotlib.colormaps["magma"]([0.0, 0.5, 1.0, 1.0]))[:, :3] * 255).round()
    assert np.abs(found[0] - expected).max() <= 1


@pytest.mark.parametrize("with_masks", [True, False])
def test_files(pair, tmp_path, with_masks):
    terms = {"mae": None, "flip": None} | ({"e-mae": losses.EnhancedMAE()} if with_masks else {})
    maps = error_maps(terms, *pair)
    images = [image[0].permute(1, 2, 0).numpy() for image in reversed(pair)]
    figure = write_maps(tmp_path, "noisy", *images, maps, {"mae": 0.1, "lpips": 0.2})
    assert figure == tmp_path / "noisy.png"
    with Image.open(figure) as drawn:
        assert drawn.width > 600
        assert len(drawn.convert("RGB").getcolors(10**7)) > 100
    stored = np.load(tmp_path / "noisy" / "maps.npz")
    names = {"mae_error", "flip_error"} | ({"mae_enhanced", "mae_mask"} if with_masks else set())
    assert set(stored) == names
    assert {p.stem for p in (tmp_path / "noisy").glob("*.png")} == names
    np.testing.assert_array_equal(stored["mae_error"], maps[0].plain)


def test_raises(pair):
    with pytest.raises(ValueError, match="of one shape"):
        pixel_maps("mae", pair[0], pair[1][:, :, 1:])
