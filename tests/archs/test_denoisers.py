"""Denoisers by name, and checkpoints that say what they are: in tests and in trainings."""

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from tiny import TINY, tiny_options

import restoration
from restoration.archs import build_network, load_network, restore
from restoration.archs.denoisers import DENOISERS, GAUSSIAN, NETWORKS, PHOTO, find_file
from restoration.archs.described import describe, with_network
from restoration.archs.restormer.arguments import find_arguments
from restoration.cli import main
from restoration.data import open_source, write_png
from restoration.degradations import build_degradation
from restoration.metrics import psnr
from restoration.options.load import validate
from restoration.train.run import initial_network

NOISE = 25 / 255


SIDE = 96


def noisy_photograph():
    """A crop of a photograph that no training saw, (H, W, 3) float32, and its clean version."""
    clean = open_source("skimage:chelsea").read_float(0)[60 : 60 + SIDE, 100 : 100 + SIDE]
    noise = np.random.default_rng(0).normal(0, NOISE, clean.shape)
    return (clean + noise).astype(np.float32), clean


def quality(image, clean):
    pair = [torch.from_numpy(a).permute(2, 0, 1)[None] for a in (image.clip(0, 1), clean)]
    return float(psnr(*pair))


def test_the_shipped_denoiser_denoises():
    noisy, clean = noisy_photograph()
    found = restoration.denoise(noisy, GAUSSIAN, engine="torch")
    assert found.dtype == np.float32 and found.shape == noisy.shape
    assert quality(found, clean) > quality(noisy, clean) + 9
    stored = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
    found = restoration.denoise(stored, GAUSSIAN, engine="torch")
    assert found.dtype == np.uint8 and found.shape == stored.shape
    assert quality(found.astype(np.float32) / 255, clean) > quality(noisy, clean) + 9


def test_noise_of_cameras_is_for_the_default():
    """White noise is what the other one knows; coarse noise looks like texture to it."""
    clean = noisy_photograph()[1]
    settings = {"sigma": 12, "chroma": 0.5, "grain": 0.9, "chroma_grain": 2, "dark": 0}
    degradation = build_degradation("camera", **settings)
    noisy = degradation.spoil(clean, degradation.draw([0.0] * 5))
    gains = [
        quality(restoration.denoise(noisy, model, engine="torch"), clean) - quality(noisy, clean)
        for model in (None, PHOTO, GAUSSIAN)
    ]
    assert gains[0] == gains[1] > max(3, gains[2] + 2)


@pytest.mark.parametrize("name", [GAUSSIAN, PHOTO])
def test_the_shipped_files_are_small_and_half(name):
    path = find_file(name)
    assert path.stat().st_size < 1.7e6
    assert describe(name)["type"] == "restormer_xs"
    with safe_open(path, "pt") as file:
        tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118  # no mapping
    assert all(t.dtype == (torch.float16 if t.ndim > 1 else torch.float32) for t in tensors)
    assert sum(t.numel() for t in tensors) == 785_032


def test_released_denoisers_have_networks():
    for name in set(DENOISERS) - {GAUSSIAN, PHOTO}:
        with torch.device("meta"):
            network = build_network(NETWORKS[name])
        assert network.inp_channels == (1 if "gray" in name else 3)
        assert DENOISERS[name].sources[0].url.startswith("https://github.com/swz30/Restormer/")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"bias": True, "LayerNorm_type": "WithBias", "ffn_expansion_factor": 2.5},
        {"inp_channels": 6, "dual_pixel_task": True, "ffn_expansion_factor": 2},
    ],
)
def test_a_restormer_is_recognised(change):
    network = build_network(TINY | change)
    found = find_arguments({name: t.shape for name, t in network.state_dict().items()})
    build_network(found).load_state_dict(network.state_dict())
    assert find_arguments({"body.weight": (3, 3)}) is None


def test_bare_checkpoints_of_a_restormer_say_enough(tmp_path):
    network = build_network(TINY)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"params": state}, tmp_path / "bare.pth")
    found = build_network(describe(tmp_path / "bare.pth"))
    load_network(found, tmp_path / "bare.pth")
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(restore(found, image), restore(network, image))


def test_fine_tuning_is_one_option(pictures):
    given = tiny_options(pictures(2, side=64)) | {"name": "tuned"}
    given["path"] = {"pretrain_network_g": GAUSSIAN}
    del given["network_g"]
    options = with_network(validate(given))
    assert options.network_g["type"] == "restormer_xs"
    state = initial_network(options).state_dict()
    with safe_open(find_file(GAUSSIAN), "pt") as file:
        assert all(torch.equal(state[k], file.get_tensor(k).float()) for k in file.keys())  # noqa: SIM118


def test_a_training_from_a_checkpoint_needs_no_network(pictures, tmp_path):
    torch.save({"params": build_network(TINY).state_dict(), "network_g": TINY}, tmp_path / "a.pth")
    given = tiny_options(pictures(2, side=24)) | {
        "name": "tuned",
        "path": {"pretrain_network_g": str(tmp_path / "a.pth")},
        "train": {"total_iter": 1, "losses": [{"type": "MAE"}]},
    }
    del given["network_g"]
    checkpoint = restoration.train(given, folder=tmp_path / "tuned", tb_folder=tmp_path / "tb")
    assert torch.load(checkpoint, weights_only=True)["network_g"] == TINY
    written = yaml.safe_load((tmp_path / "tuned/options.yml").read_text())
    assert written["network_g"] == TINY


def test_a_network_that_nobody_describes(pictures, tmp_path):
    given = tiny_options(pictures(1)) | {"name": "none"}
    del given["network_g"]
    with pytest.raises(ValueError, match="option `network_g` is missing"):
        validate(given)
    torch.save({"params": {"what": torch.zeros(3)}}, tmp_path / "a.pth")
    given["path"] = {"pretrain_network_g": str(tmp_path / "a.pth")}
    with pytest.raises(ValueError, match="does not say what its network is"):
        with_network(validate(given))


def test_a_test_of_a_denoiser_by_name(tmp_path):
    (tmp_path / "set").mkdir()
    write_png(tmp_path / "set/a.png", (noisy_photograph()[1] * 255).round().astype(np.uint8))
    report = restoration.test(
        {
            "name": "shipped",
            "datasets": {"mine": {"dataroot_gt": str(tmp_path / "set"), "sigma_test": 25}},
            "runs": {"xs": {"pretrain_network_g": GAUSSIAN}},
            "val": {"metrics": ["psnr"]},
        },
        folder=tmp_path / "shipped",
        device="cpu",
    )
    values = {mean.run: mean.values["psnr"] for mean in report.means if mean.set == "mine"}
    assert values["xs"] > values["noisy"] + 9


def test_the_demo_takes_a_denoiser(tmp_path, monkeypatch):
    """Nothing is trained; the options are those of a test of the denoiser."""
    seen = []
    monkeypatch.setattr("restoration.cli.demo.train", None)
    monkeypatch.setattr("restoration.cli.demo.test", lambda options, **more: seen.append(options))
    monkeypatch.setattr("restoration.cli.demo.print_report", lambda report, console: None)
    assert main(["demo", "--model", GAUSSIAN, "--out", str(tmp_path)]) == 0
    (checkpoint,) = seen[0].checkpoints(seen[0].name).values()
    assert str(checkpoint.pretrain_network_g) == GAUSSIAN and not checkpoint.network_g
