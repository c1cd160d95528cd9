"""Metrics by name: what is known, what is refused, and what a table learns about each."""

import pytest
import torch

import losses
from losses import MaskBank
from losses.weights import MANIFEST, git_blob_id
from restoration.metrics import METRICS, Metric, MetricUnavailable, build_metrics, known_metrics
from restoration.metrics import psnr as psnr_function
from restoration.metrics.piq_metrics import PIQ


@pytest.fixture
def mask_file(tmp_path):
    path = tmp_path / "mask.pth"
    torch.save(MaskBank((3,)).state_dict(), path)
    return path


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(3, 3, 24, 32, generator=generator)
    return (clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1), clean


def test_visible_dict():
    assert list(METRICS)[:5] == ["psnr", "ssim", "ms_ssim", "lpips", "e_mae"]
    assert list(METRICS)[5:] == list(PIQ)
    assert known_metrics()[: len(METRICS)] == list(METRICS)
    assert {"vgg", "e_vgg", "mae"} < set(known_metrics())
    assert len(set(known_metrics())) == len(known_metrics())


@pytest.mark.parametrize("name", ["psnr", "PSNR", "calculate_psnr"])
def test_spellings(name, pair):
    metrics = build_metrics([name])
    assert list(metrics) == ["psnr"]
    torch.testing.assert_close(metrics["psnr"](*pair), psnr_function(*pair))


@pytest.mark.parametrize("name", ["e_mae", "e-mae", "E-MAE", "E_MAE"])
def test_spellings_with_a_dash(name, mask_file, pair):
    metrics = build_metrics([{"type": name, "masks": mask_file}])
    loss = losses.EnhancedMAE(mask_file, reduction="none")
    torch.testing.assert_close(metrics["e_mae"](*pair), 100 * loss(*pair))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("psnry", {"type": "psnr", "test_y_channel": True}),
        ("ssimc", {"type": "ssim"}),
        ("lpips-vgg", {"type": "lpips", "net": "vgg"}),
    ],
)
def test_names_of_pyiqa(name, own, pair):
    try:
        (own_metric,) = build_metrics([own]).values()
    except MetricUnavailable as error:
        pytest.skip(str(error))
    (metric,) = build_metrics([name]).values()
    assert metric.name == name.replace("-", "_") and metric.scale == own_metric.scale
    pair = [image.repeat_interleave(2, -1).repeat_interleave(2, -2) for image in pair]
    torch.testing.assert_close(metric(*pair), own_metric(*pair))
    (cropped,) = build_metrics([{"type": "psnry", "crop_border": 4}]).values()
    assert cropped.scale == "dB on Y, data range 1, crop 4"


def test_module_equals_function_and_order_of_names(pair):
    metrics = build_metrics(["ssim", {"type": "psnr", "crop_border": 4}, "mae"])
    assert list(metrics) == ["ssim", "psnr", "mae"]
    torch.testing.assert_close(metrics["psnr"](*pair), psnr_function(*pair, crop_border=4))
    torch.testing.assert_close(metrics["mae"](*pair), (pair[0] - pair[1]).abs().mean((1, 2, 3)))
    for metric in metrics.values():
        assert metric(*pair).shape == (3,)


def test_what_a_table_learns(mask_file):
    metrics = build_metrics(["psnr", "ssim", {"type": "e_mae", "masks": mask_file}, "mae"])
    assert [m.higher_is_better for m in metrics.values()] == [True, True, False, False]
    assert [m.label for m in metrics.values()] == ["PSNR", "SSIM", "E-MAE x100", "MAE"]
    assert metrics["psnr"].scale == "dB on RGB, data range 1, crop 0"
    blob = git_blob_id(mask_file.read_bytes())[:8]
    assert metrics["e_mae"].scale == f"times 100, mask mask.pth, git blob {blob}"
    shipped = MANIFEST["pixel_mask_e_mae"].git_blob[:8]
    told = f"times 100, mask pixel_mask_e_mae, git blob {shipped}"
    assert build_metrics(["e_mae"])["e_mae"].scale == told


def test_two_settings_of_one_metric(pair):
    near = {"type": "psnr", "name": "psnr_255", "data_range": 255}
    metrics = build_metrics(["psnr", near])
    assert [m.label for m in metrics.values()] == ["PSNR", "PSNR (psnr_255)"]
    difference = metrics["psnr_255"](*pair) - metrics["psnr"](*pair)
    torch.testing.assert_close(difference, torch.full((3,), 48.1308, dtype=torch.float64))
    with pytest.raises(ValueError, match="two named 'psnr'"):
        build_metrics(["psnr", "PSNR"])


def test_loss_terms_keep_their_direction(mask_file, pair):
    metrics = build_metrics(
        [{"type": "e-psnr", "masks": mask_file}, {"type": "mse", "reduction": "mean"}]
    )
    assert metrics["e_psnr"].higher_is_better and not metrics["mse"].higher_is_better
    assert metrics["mse"](*pair).shape == (3,)  # one value per image, whatever was asked for


def test_units(mask_file):
    """Of PSNR under any name and of E-PSNR."""
    near = {"type": "psnr", "name": "psnr_y"}
    metrics = build_metrics(["psnr", near, {"type": "e-psnr", "masks": mask_file}, "ssim", "mae"])
    assert [metric.unit for metric in metrics.values()] == ["dB", "dB", "dB", "", ""]
    assert "in dB" in metrics["e_psnr"].scale


@pytest.mark.parametrize("name", ["e_mae", "e-psnr"])
def test_the_former_name_of_masks(name, mask_file, pair):
    with pytest.warns(DeprecationWarning, match="called `masks` now"):
        (former,) = build_metrics([{"type": name, "weights": mask_file}]).values()
    (metric,) = build_metrics([{"type": name, "masks": mask_file}]).values()
    assert torch.equal(former(*pair), metric(*pair))


def test_loss_terms_say_how_they_are_set():
    metrics = build_metrics(["charbonnier", {"type": "Charbonnier", "name": "c", "eps": 0.1}])
    scales = [metric.scale for metric in metrics.values()]
    assert scales == ["value of the loss term", "value of the loss term, eps 0.1"]


def test_feature_loss_as_metric_and_grey(pair):
    options = {"type": "VGG", "backbone": "embedded", "weights": "random"}
    metric = build_metrics([options])["vgg"]
    grey = [image[:, :1] for image in pair]
    rgb = [image.repeat(1, 3, 1, 1) for image in grey]
    assert metric(*pair).shape == (3,)
    torch.testing.assert_close(metric(*grey), metric(*rgb))


def test_no_gradients(pair):
    noisy, clean = pair
    for metric in build_metrics(["psnr", "ssim", "mae"]).values():
        assert not metric(noisy.clone().requires_grad_(), clean).requires_grad


def test_raises(tmp_path):
    with pytest.raises(ValueError, match=r"unknown metric 'pnsr'; known: psnr, .*mean 'psnr'"):
        build_metrics(["pnsr"])
    with pytest.raises(ValueError, match="unknown argument 'crop' of metric ssim; known: data_"):
        build_metrics([{"type": "ssim", "crop": 2}])
    with pytest.raises(ValueError, match="unknown argument 'epsilon'"):
        build_metrics([{"type": "charbonnier", "epsilon": 2}])
    for bad in ({"name": "psnr"}, 3, {"type": 3}):
        with pytest.raises(ValueError, match="name of a metric or a mapping with `type`"):
            build_metrics([bad])
    with pytest.raises(MetricUnavailable, match="nothing.pth"):
        build_metrics([{"type": "e-mse", "masks": tmp_path / "nothing.pth"}])


def test_metric_is_checked():
    metric = Metric("sum", "Sum", False, "", lambda x, y: (x - y).sum())
    with pytest.raises(AssertionError):
        metric(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4))


@pytest.mark.usefixtures("needs_basicsr")
@pytest.mark.parametrize("kind", ["psnr", "ssim"])
def test_luma_against_basicsr(kind):
    basicsr = pytest.importorskip("restoration.common.basicsr").import_basicsr("metrics")
    x, y = (torch.randint(0, 256, (1, 3, 24, 30)) / 255 for _ in range(2))
    (metric,) = build_metrics([{"type": kind, "test_y_channel": True}]).values()
    images = [image[0].permute(1, 2, 0).numpy()[:, :, ::-1] * 255 for image in (x, y)]  # BGR
    calculate = getattr(basicsr, f"calculate_{kind}")
    expected = calculate(*(i.round() for i in images), 0, test_y_channel=True)
    assert metric(x, y).item() == pytest.approx(expected, abs=1e-4)
    assert "(Y)" in metric.label and " Y" in metric.scale
