"""BasicSR as a guest: the door to it, and what the plugin offers to its users."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import losses
from losses import MaskBank
from restoration.archs import Restormer, build_network
from restoration.common import basicsr as basicsr_door
from restoration.data import write_png
from restoration.metrics import build_metrics

TINY = {"dim": 8, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1, "heads": [1, 1, 2, 2]}
EMBEDDED = {"backbone": "embedded", "weights": "random"}


@pytest.fixture(scope="module")
def plugin(needs_basicsr):
    from restoration import basicsr_plugin

    return basicsr_plugin


@pytest.fixture
def mask_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mask.pth"
    torch.save(MaskBank((3,)).state_dict(), path)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for number, size in enumerate([(40, 52), (33, 35), (64, 48)]):
        write_png(tmp_path / "images" / f"{number}.png", rng.integers(0, 256, (*size, 3), np.uint8))
    return str(tmp_path / "images")


@pytest.fixture
def elsewhere(monkeypatch):
    """Forget the real BasicSR, so that a package of the test can stand in; restored afterwards."""
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_basicsr(name)}
    basicsr_door._salvage.cache_clear()
    yield monkeypatch
    for name in [name for name in sys.modules if _is_basicsr(name)]:
        del sys.modules[name]
    sys.modules.update(real)
    basicsr_door._salvage.cache_clear()


def _is_basicsr(name: str) -> bool:
    return name.split(".")[0] == "basicsr"


def write_package(root, files):
    for name, text in files.items():
        path = root / "basicsr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


REGISTRY = """
class Registry(dict):
    def __iter__(self):
        return iter(self.items())
    def register(self):
        return lambda cls: self.setdefault(cls.__name__, cls)
ARCH_REGISTRY, LOSS_REGISTRY = Registry(), Registry()
"""
GOOD_ARCH = """
from basicsr.utils.registry import ARCH_REGISTRY
@ARCH_REGISTRY.register()
class Good: pass
@ARCH_REGISTRY.register()
class Suffixed_basicsr: pass
"""


def test_importing_us_does_not_import_basicsr():
    code = (
        "import sys, restoration, losses, restoration.metrics, restoration.archs, restoration.data"
        ", restoration.common.basicsr\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'basicsr']\n"
        "assert 'torchvision.transforms.functional_tensor' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_shim_only_fills_a_gap(monkeypatch):
    monkeypatch.delitem(sys.modules, basicsr_door.SHIM, raising=False)
    assert basicsr_door.install_shim()
    module = sys.modules[basicsr_door.SHIM]
    image = torch.rand(2, 3, 4, 5)
    grey = (image * torch.tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(module.rgb_to_grayscale(image), grey)
    assert not basicsr_door.install_shim()
    assert sys.modules[basicsr_door.SHIM] is module


@pytest.mark.usefixtures("needs_basicsr")
def test_import_basicsr():
    assert basicsr_door.import_basicsr().__version__ == "1.4.2"
    assert basicsr_door.import_basicsr("utils.registry").ARCH_REGISTRY is not None
    with pytest.raises(ValueError, match="cannot import basicsr.nothing"):
        basicsr_door.import_basicsr("nothing")


@pytest.mark.usefixtures("needs_basicsr")
@pytest.mark.parametrize(
    ("name", "arguments", "scale"),
    [
        (
            "SwinIR",
            {
                "img_size": 16,
                "window_size": 8,
                "depths": [1],
                "embed_dim": 8,
                "num_heads": [2],
                "upsampler": "",
                "resi_connection": "1conv",
            },
            1,
        ),
        (
            "RRDBNet",
            {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4},
            4,
        ),
        ("MSRResNet", {"num_feat": 8, "num_block": 1}, 4),
        ("SRVGGNetCompact", {"num_feat": 8, "num_conv": 1, "upscale": 2}, 2),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_architectures_build_and_run(name, arguments, scale):
    network = basicsr_door.find_arch(name)(**arguments)
    with torch.no_grad():
        out = network(torch.rand(1, 3, 16, 16))
    assert out.shape == (1, 3, 16 * scale, 16 * scale)
    assert torch.isfinite(out).all()


def test_a_network_that_cannot_be_built_is_a_mistake_of_the_options():
    """SwinIR raises a RuntimeError, whatever torch was asked for with such sizes."""
    options = {"type": "SwinIR", "img_size": 64, "window_size": 7}
    with pytest.raises(ValueError, match="network_g: shape"):
        build_network(options)


@pytest.mark.usefixtures("needs_basicsr")
def test_losses_are_found():
    loss = basicsr_door.find_loss("CharbonnierLoss")(loss_weight=2.0, eps=1e-6)
    x, y = torch.rand(2, 1, 3, 8, 8)
    torch.testing.assert_close(loss(x, y), 2 * ((x - y) ** 2 + 1e-6).sqrt().mean())
    assert basicsr_door.get_loss("L1Loss") is basicsr_door.find_loss("L1Loss")


@pytest.mark.usefixtures("needs_basicsr")
def test_lookup_miss():
    assert basicsr_door.find_arch("SwinR") is None
    assert basicsr_door.find_loss("L3Loss") is None
    assert basicsr_door.failed_imports() == {}
    assert {"SwinIR", "RRDBNet"} < set(basicsr_door.known_archs())
    with pytest.raises(ValueError, match="got 'L2Los'; did you mean"):
        basicsr_door.get_loss("L2Los")
    with pytest.raises(ValueError, match="loss, got 'zzzz'; known: .*L1Loss"):
        basicsr_door.get_loss("zzzz")


def test_not_installed(elsewhere):
    elsewhere.setitem(sys.modules, "basicsr", None)
    for error in (ModuleNotFoundError, ValueError):
        with pytest.raises(error, match="Python 3.10 to 3.12"):
            basicsr_door.import_basicsr()
    assert basicsr_door.find_arch("SwinIR") is None
    assert basicsr_door.known_archs() == []
    with pytest.raises(ValueError, match="got 'L1Loss'.*BasicSR is not installed"):
        basicsr_door.get_loss("L1Loss")


def test_one_stale_import_spares_the_others(elsewhere, tmp_path):
    write_package(
        tmp_path,
        {
            "__init__.py": "from .archs import *",
            "archs/__init__.py": "from . import good_arch, stale_arch",
            "archs/good_arch.py": GOOD_ARCH,
            "archs/stale_arch.py": "import gone_since",
            "losses/__init__.py": "",
            "utils/__init__.py": "",
            "utils/registry.py": REGISTRY,
        },
    )
    elsewhere.syspath_prepend(str(tmp_path))
    with pytest.raises(
        ValueError, match="cannot import basicsr from .*No module named 'gone_since"
    ):
        basicsr_door.import_basicsr()
    assert basicsr_door.find_arch("Good").__name__ == "Good"
    assert basicsr_door.find_arch("Suffixed").__name__ == "Suffixed_basicsr"
    with pytest.raises(ValueError, match=r"not imported: basicsr.archs.stale_arch \(ModuleNotFo"):
        basicsr_door.get_loss("Stale")
    with pytest.raises(ValueError, match="basicsr.archs.stale_arch: ModuleNotFoundError"):
        build_network({"type": "Stale"})
    assert not any(map(_is_basicsr, sys.modules))  # no half package stays behind


def test_another_package_of_that_name(elsewhere, tmp_path):
    write_package(tmp_path, {"__init__.py": "", "archs/__init__.py": ""})
    elsewhere.syspath_prepend(str(tmp_path))
    assert basicsr_door.find_arch("SwinIR") is None
    with pytest.raises(ValueError, match="basicsr.utils.registry"):
        basicsr_door.get_loss("L1Loss")


def test_everything_is_registered_once(plugin):
    assert {"Restormer", "EVGGLoss", "calculate_e_mae", "DenoisingModel"} <= set(plugin.REGISTERED)
    assert plugin.register() == []
    theirs = {"MAE": "L1Loss", "MSE": "MSELoss", "Charbonnier": "CharbonnierLoss"}
    assert set(losses.TERMS) == set(plugin.LOSS_NAMES) | set(theirs)


def test_build_network(plugin):
    build_network = basicsr_door.import_basicsr("archs").build_network
    network = build_network({"type": "Restormer", **TINY})
    assert type(network) is Restormer
    preset = build_network({"type": "restormer_xs"})
    assert type(preset) is Restormer


def test_loss_in_both_places(plugin, mask_file):
    build_loss = basicsr_door.import_basicsr("losses").build_loss
    prediction, target = torch.rand(2, 2, 3, 16, 16)
    expected = losses.EnhancedMAE(mask_file)(prediction, target)
    options = {"type": "EMAELoss", "masks": mask_file}
    pixel = build_loss({**options, "loss_weight": 0.5})
    torch.testing.assert_close(pixel(prediction, target), 0.5 * expected)
    torch.testing.assert_close(build_loss(options)(prediction, target), expected)
    perceptual, style = build_loss({**options, "perceptual_weight": 2})(prediction, target)
    torch.testing.assert_close(perceptual, 2 * expected)
    assert style is None
    with pytest.raises(ValueError, match="loss_weight or perceptual_weight, got both"):
        build_loss({**options, "loss_weight": 1, "perceptual_weight": 1})
    with pytest.raises(ValueError, match="unknown argument 'layer_weights' of loss E-MAE"):
        build_loss({**options, "layer_weights": {}})


def test_losses_train_the_prediction_only(plugin):
    build_loss = basicsr_door.import_basicsr("losses").build_loss
    loss = build_loss({"type": "VGGFeatureLoss", "perceptual_weight": 1.0, **EMBEDDED})
    prediction = torch.rand(1, 3, 16, 16, requires_grad=True)
    loss(prediction, torch.rand(1, 3, 16, 16))[0].backward()
    assert prediction.grad.abs().sum() > 0
    assert not [p for p in loss.parameters() if p.requires_grad]


def test_higher_is_better_is_turned_around(plugin):
    build_loss = basicsr_door.import_basicsr("losses").build_loss
    target = torch.rand(1, 3, 16, 16)
    loss = build_loss({"type": "PSNRLoss", "loss_weight": 1.0})
    assert loss(target * 0.99, target) < loss(target * 0.9, target) < 0


def test_calculate_metric(plugin, mask_file):
    calculate_metric = basicsr_door.import_basicsr("metrics").calculate_metric
    rng = np.random.default_rng(0)
    bgr = [rng.integers(0, 256, (24, 20, 3), np.uint8) for _ in range(2)]
    rgb = [torch.from_numpy(i[..., ::-1].copy()).permute(2, 0, 1)[None] / 255 for i in bgr]
    expected = build_metrics([{"type": "e-mae", "masks": mask_file}])["e_mae"]
    data = dict(zip(("img", "img2"), bgr, strict=True))
    options = {"type": "calculate_e_mae", "masks": mask_file, "better": "lower"}
    got = calculate_metric(data, {**options, "crop_border": 0})
    assert got == pytest.approx(expected(*rgb).item(), rel=1e-6)
    swapped = expected(*(image.flip(1) for image in rgb)).item()
    assert abs(got - swapped) > 1e-5 * got  # BGR is not read as RGB
    inner = expected(*(image[..., 2:-2, 2:-2] for image in rgb)).item()
    assert calculate_metric(data, {**options, "crop_border": 2}) == pytest.approx(inner, rel=1e-6)
    planes = {name: image.transpose(2, 0, 1) for name, image in data.items()}
    assert calculate_metric(planes, {**options, "input_order": "CHW"}) == pytest.approx(got)
    grey = {name: image[..., 0] for name, image in data.items()}
    assert 0 < calculate_metric(grey, options) < 100


def test_calculate_metric_raises(plugin):
    calculate_metric = basicsr_door.import_basicsr("metrics").calculate_metric
    image = np.zeros((24, 20, 3), np.uint8)
    data, options = {"img": image, "img2": image}, {"type": "calculate_mae"}
    assert calculate_metric(data, options) == 0
    with pytest.raises(ValueError, match="test_y_channel: false for mae"):
        calculate_metric(data, {**options, "test_y_channel": True})
    with pytest.raises(ValueError, match="crop_border that fits 24x20, got 10"):
        calculate_metric(data, {**options, "crop_border": 10})
    with pytest.raises(ValueError, match="HWC or CHW"):
        calculate_metric(data, {**options, "input_order": "WHC"})
    with pytest.raises(ValueError, match="unknown argument 'net'"):
        calculate_metric(data, {**options, "net": "alex"})


def dataset(folder, phase="train", **options):
    build_dataset = basicsr_door.import_basicsr("data").build_dataset
    given = {"type": "GaussianDenoisingDataset", "name": "test", "dataroot_gt": folder}
    return build_dataset({**given, "phase": phase, **options})


def test_dataset_for_training(plugin, folder):
    torch.manual_seed(0)
    data = dataset(folder, gt_size=32, sigma_type="constant", sigma_range=25)
    first, again = data[1], data[1]
    assert len(data) == 3
    assert first["gt_path"] == first["lq_path"] and first["gt_path"].endswith("images/1.png")
    assert first["lq"].shape == first["gt"].shape == (3, 32, 32)
    assert 0 <= first["gt"].min() and first["gt"].max() <= 1
    noise = first["lq"] - first["gt"]
    assert noise.std().item() * 255 == pytest.approx(25, rel=0.05)
    assert not torch.equal(noise, again["lq"] - again["gt"])  # every visit has its own
    torch.manual_seed(0)
    repeated = dataset(folder, gt_size=32, sigma_type="constant", sigma_range=25)[1]
    torch.testing.assert_close(repeated["lq"], first["lq"], rtol=0, atol=0)
    torch.manual_seed(1)  # what torch gives to a worker in another epoch
    other = dataset(folder, gt_size=32, sigma_type="constant", sigma_range=25)[1]
    assert not torch.equal(other["lq"] - other["gt"], noise)


def test_dataset_for_validation(plugin, folder):
    sample = dataset(folder, "val", sigma_test=50)[0]
    assert sample["gt"].shape == (3, 40, 52)
    noise = np.random.RandomState(0).normal(0, 50 / 255, (40, 52, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose((sample["lq"] - sample["gt"]).numpy(), noise, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "gt_size"),
        ({"gt_size": 32, "use_hflip": True}, "geometric_augs"),
        ({"gt_size": 32, "sigma_type": "constant", "sigma_range": [0, 50], "x": 1}, "number"),
        ({"gt_size": 32, "sigma_type": "uniform"}, "random or choice"),
        ({"gt_size": 32, "sigma_range": [50, 0]}, r"\[low, high\]"),
        ({"gt_size": 36}, "at least 36x36 pixels, got 33x35 in 1.png"),
    ],
)
def test_dataset_raises(plugin, folder, options, match):
    with pytest.raises(ValueError, match=match):
        dataset(folder, **options)[1]


def test_dataset_needs_a_folder(plugin, folder):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        dataset(f"{folder}/nowhere", "val")
    with pytest.raises(ValueError, match="expected 'phase'"):
        plugin.GaussianDenoisingDataset({"dataroot_gt": folder})


def model_options(mask_file):
    return {
        "model_type": "DenoisingModel",
        "num_gpu": 0,
        "dist": False,
        "rank": 0,
        "is_train": True,
        "path": {},
        "network_g": {"type": "Restormer", **TINY},
        "train": {
            "optim_g": {"type": "Adam", "lr": 1e-3},
            "scheduler": {"type": "MultiStepLR", "milestones": [10], "gamma": 0.5},
            "pixel_opt": {"type": "EMAELoss", "masks": mask_file, "loss_weight": 1.0},
            "perceptual_opt": {"type": "VGGFeatureLoss", "perceptual_weight": 1.0, **EMBEDDED},
        },
        "val": {
            "metrics": {
                "psnr": {"type": "calculate_psnr", "crop_border": 0},
                "e_mae": {"type": "calculate_e_mae", "masks": mask_file, "better": "lower"},
            }
        },
    }


def test_their_training_loop_runs_on_our_parts(plugin, folder, mask_file):
    torch.manual_seed(0)
    basicsr = basicsr_door.import_basicsr()
    model = basicsr.build_model(model_options(mask_file))
    train, val = dataset(folder, gt_size=32), dataset(folder, "val", sigma_test=25)
    make_loader = torch.utils.data.DataLoader
    before = [p.clone() for p in model.net_g.parameters()]
    model.feed_data(next(iter(make_loader(train, batch_size=2))))
    model.optimize_parameters(1)
    assert set(model.log_dict) == {"l_pix", "l_percep"}
    assert any(not torch.equal(a, b) for a, b in zip(before, model.net_g.parameters(), strict=True))
    model.nondist_validation(make_loader(val), 1, None, save_img=False)
    assert model.metric_results["psnr"] > 15 and model.metric_results["e_mae"] > 0
    assert model.best_metric_results["test"]["e_mae"]["better"] == "lower"
