"""LPIPS against its own package, E-MAE against its definition; weights made here or skipped."""

import copy
import pickle
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch

import losses
from losses import MaskBank
from restoration.data import read_rgb8
from restoration.metrics import EMae, Lpips, MetricUnavailable, build_metrics

SHARED = Path(__file__).parents[2] / "../shared/weights/enhanced-iqm"


@pytest.fixture(scope="module")
def package() -> lpips.LPIPS:
    """The package's network with a random backbone, the independent truth."""
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)


@pytest.fixture(scope="module")
def backbone_file(package, tmp_path_factory) -> Path:
    """Its backbone as a file with torchvision's names."""
    state = {
        f"features.{name.split('.', 1)[1]}": value
        for name, value in package.net.state_dict().items()
    }
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def metric(backbone_file) -> Lpips:
    return Lpips(weights=backbone_file)


@pytest.fixture(scope="module")
def mask_file(tmp_path_factory) -> Path:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("masks") / "mask.pth"
    torch.save(MaskBank((3,)).state_dict(), path)
    return path


def images(seed: int = 0, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(2, channels, 48, 40, generator=generator)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    return noisy.clamp(0, 1), clean


def test_lpips_parity_with_the_package(metric, package):
    noisy, clean = images()
    with torch.no_grad():
        expected = package(2 * noisy - 1, 2 * clean - 1).flatten()
        wrong_range = package(noisy, clean).flatten()
    got = metric(noisy, clean)
    assert got.shape == (2,)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-8)
    assert ((got - wrong_range).abs() > 1e-3 * expected).all()


def test_lpips_by_name(metric, backbone_file):
    by_name = build_metrics([{"type": "LPIPS", "weights": backbone_file}])["lpips"]
    torch.testing.assert_close(by_name(*images()), metric(*images()), rtol=0, atol=0)
    assert by_name.scale == "version 0.1, alex, input in [-1, 1]"
    assert not by_name.higher_is_better


def test_lpips_batch_equals_singles(metric):
    noisy, clean = images()
    singles = torch.cat([metric(noisy[i : i + 1], clean[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(metric(noisy, clean), singles, rtol=1e-5, atol=1e-8)


def test_lpips_perfect_input_and_no_gradient(metric):
    noisy, clean = images()
    assert metric(clean, clean).tolist() == [0, 0]
    assert not metric(noisy.requires_grad_(), clean).requires_grad


def test_lpips_colours_are_not_swapped(metric):
    noisy, clean = images()
    assert not torch.allclose(metric(noisy, clean), metric(noisy.flip(1), clean.flip(1)), rtol=1e-3)


def test_lpips_computes_the_features_of_a_target_once(backbone_file):
    metric, calls = Lpips(weights=backbone_file), []
    metric.loss.backbone.register_forward_hook(lambda *_: calls.append(1))
    noisy, clean = images(seed=5)
    other = images(seed=6)[1]
    first = [metric(x, clean) for x in (noisy, clean, noisy)]
    assert len(calls) == 4, "three predictions and one target"
    assert torch.equal(first[0], first[2])
    assert torch.equal(metric(noisy, other), metric(noisy, other.clone()))
    clean.mul_(0.5)
    changed = metric(noisy, clean)
    assert torch.equal(changed, metric(noisy, clean.clone())), "a changed target is another one"
    assert not torch.equal(changed, first[0])
    pixels = clean.numpy()  # what writes here no version counter sees
    metric(noisy, clean)
    pixels[:] = 0
    assert torch.equal(metric(noisy, clean), metric(noisy, torch.zeros_like(clean)))
    with torch.inference_mode():
        inside = clean + 0.5
        before = metric(noisy, inside)
        inside.mul_(0.5)
        assert not torch.equal(before, metric(noisy, inside))


def test_lpips_in_threads(metric):
    """Each thread gets the values of its own images."""
    pairs = [images(seed=seed) for seed in range(8)]
    alone = [metric(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda pair: [metric(*pair) for _ in range(4)], pairs)
        for values, expected in zip(together, alone, strict=True):
            assert all(torch.equal(value, expected) for value in values)


def test_lpips_of_two_types(metric):
    noisy, clean = images(seed=7)
    expected = metric(noisy, clean)
    for pair in ((noisy.double(), clean), (noisy, clean.double()), (noisy, clean)):
        torch.testing.assert_close(metric(*pair).float(), expected)


@pytest.mark.parametrize("used", [False, True])
def test_metrics_are_copied_and_pickled(backbone_file, mask_file, used):
    lpips_options = {"type": "lpips", "weights": backbone_file}
    e_mae_options = {"type": "e_mae", "masks": mask_file}
    loss_options = [{"type": "VGG", "backbone": "embedded"}, "mae"]
    built = build_metrics(["psnr", "ssim", lpips_options, e_mae_options, *loss_options])
    for metric in built.values():
        pair = images()
        if used:
            metric(*pair)
        for again in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):  # noqa: S301
            assert torch.equal(again(*pair), metric(*pair))


def test_lpips_grey(metric):
    noisy, clean = images(channels=1)
    rgb = metric(noisy.repeat(1, 3, 1, 1), clean.repeat(1, 3, 1, 1))
    torch.testing.assert_close(metric(noisy, clean), rgb, rtol=0, atol=0)


def test_lpips_raises(metric, tmp_path):
    image = torch.rand(1, 3, 30, 64)
    with pytest.raises(ValueError, match="at least 31x31 pixels for LPIPS, got 30x64"):
        metric(image, image)
    with pytest.raises(ValueError, match="channels"):
        metric(torch.rand(1, 2, 48, 48), torch.rand(1, 2, 48, 48))
    with pytest.raises(ValueError, match="expected two"):
        metric(torch.rand(1, 3, 48, 48), torch.rand(2, 3, 48, 48))
    with pytest.raises(ValueError, match="net in"):
        Lpips(net="resnet")
    other = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(1)}, other)
    with pytest.raises(ValueError, match="torchvision weights of alex"):
        Lpips(weights=other)


def test_lpips_smallest_image(metric):
    image = torch.rand(1, 3, 31, 31)
    assert torch.isfinite(metric(image, 1 - image)).all()


def test_lpips_without_weights_says_where_they_go(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(MetricUnavailable, match="vgg16-397923af.pth") as caught:
        Lpips(net="vgg")
    assert isinstance(caught.value, ValueError)
    assert "restoration weights fetch vgg16" in str(caught.value)
    with pytest.raises(MetricUnavailable, match="nothing.pth"):
        Lpips(weights=tmp_path / "nothing.pth")
    pair = images()
    assert torch.equal(Lpips()(*pair), losses.LPIPS(reduction="none")(*pair)), "AlexNet's ship"


def test_building_leaves_the_random_stream_alone(backbone_file, capsys):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    Lpips(weights=backbone_file)
    torch.testing.assert_close(torch.rand(1), expected, rtol=0, atol=0)
    assert capsys.readouterr().out == ""


def test_e_mae_is_one_hundred_times_the_masked_error(mask_file):
    noisy, clean = images()
    bank = MaskBank((3,))
    bank.load_state_dict(torch.load(mask_file, weights_only=True))
    with torch.no_grad():
        mask = bank.mask_finder_1(torch.cat([clean, noisy], dim=1)).numpy()
    expected = 100 * np.mean(mask * np.abs(noisy.numpy() - clean.numpy()), axis=(1, 2, 3))
    got = EMae(mask_file)(noisy, clean)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)
    torch.testing.assert_close(
        got, 100 * losses.EnhancedMAE(mask_file, reduction="none")(*images())
    )


def test_e_mae_shape_perfect_input_and_singles(mask_file):
    metric = EMae(mask_file)
    noisy, clean = images()
    values = metric(noisy, clean)
    assert values.shape == (2,) and (values > 0).all()
    assert metric(clean, clean).tolist() == [0, 0]
    singles = torch.cat([metric(noisy[i : i + 1], clean[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(values, singles, rtol=1e-5, atol=0)


def test_e_mae_grey(mask_file):
    metric = EMae(mask_file)
    noisy, clean = images(channels=1)
    rgb = metric(noisy.repeat(1, 3, 1, 1), clean.repeat(1, 3, 1, 1))
    torch.testing.assert_close(metric(noisy, clean), rgb, rtol=0, atol=0)


def test_e_mae_raises(mask_file, tmp_path):
    with pytest.raises(MetricUnavailable, match="nothing.pth"):
        EMae(tmp_path / "nothing.pth")
    with pytest.raises(ValueError, match="3 channels"):
        EMae(mask_file)(torch.rand(1, 2, 16, 16), torch.rand(1, 2, 16, 16))


def test_e_mae_golden_value_of_the_authors_weights():
    if not (SHARED / "E_MAE.pth").is_file():
        pytest.skip("the authors' weights and their pair of images are not on this machine")
    reference, distorted = (
        torch.from_numpy(read_rgb8(SHARED / f"{name}.bmp")).permute(2, 0, 1)[None] / 255
        for name in ("ref", "dist")
    )
    metric = EMae(SHARED / "E_MAE.pth")
    assert metric(distorted, reference).item() == pytest.approx(0.32635, abs=1e-4)
    assert metric(reference, distorted).item() == pytest.approx(0.2241, abs=1e-4)  # swapped
