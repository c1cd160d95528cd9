"""Exports of denoisers: what other programs read computes the same."""

import json
from importlib.util import find_spec

import pytest
import torch
import yaml
from dtmodel import check_package, try_tiles
from safetensors import safe_open
from tiny import TINY

from restoration.archs import build_network, restore
from restoration.cli import main
from restoration.photo.darktable import CARD_FIELDS, complete_card, identify
from restoration.photo.export import export
from restoration.photo.exported import AnySize
from restoration.photo.model import load_denoiser


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    content = {"params": build_network(TINY).state_dict(), "network_g": TINY}
    torch.save(content, tmp_path / "net.pth")
    return tmp_path / "net.pth"


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (17, 40)])
def test_padding_is_that_of_restore(checkpoint, size):
    network = load_denoiser(checkpoint)
    image = torch.rand(1, 3, *size)
    with torch.inference_mode():  # as `restore`: with gradients Restormer sums in another order
        found = AnySize(network)(image)
    assert torch.equal(found, restore(network, image))


def test_safetensors(checkpoint, capsys):
    assert main(["export", str(checkpoint), "--format", "safetensors"]) == 0
    said = capsys.readouterr().out
    assert said.count("differs from torch by 0.0e+00 at most") == 3
    path = checkpoint.with_suffix(".safetensors")
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["network_g"]) == TINY
    expected = load_denoiser(checkpoint).state_dict()
    found = load_denoiser(path).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_half_halves_kernels_alone(checkpoint, tmp_path, capsys):
    out = tmp_path / "half.safetensors"
    command = ["export", str(checkpoint), "--format", "safetensors", "--half", "--out", str(out)]
    assert main(command) == 0
    assert capsys.readouterr().out.count(" dB)") == 3
    with safe_open(out, "pt") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping
            tensor = file.get_tensor(name)
            assert tensor.dtype == (torch.float16 if tensor.ndim > 1 else torch.float32)
    image = torch.rand(1, 3, 24, 32)
    found = restore(load_denoiser(out), image)
    assert 0 < (found - restore(load_denoiser(checkpoint), image)).abs().max() < 1e-3
    first = out.read_bytes()
    assert all(main([*command, "--force"]) == 0 and out.read_bytes() == first for _ in range(5))


def test_a_half_that_is_too_coarse_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr("restoration.photo.export.LOWEST_PSNR", 200)
    with pytest.raises(ValueError, match="match the network with 200 dB or more, got"):
        export(checkpoint, "safetensors", half=True)
    with pytest.raises(ValueError, match="torchscript is written in float32 alone"):
        export(checkpoint, "torchscript", half=True)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_foreign_networks_keep_their_names(tmp_path):
    """A released Restormer and a network of spandrel are read and written as upstream has them."""
    stages = {"enc_blk_nums": [1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1]}
    networks = [TINY]
    if find_spec("spandrel") is not None:
        networks.append({"type": "NAFNet", "width": 4, **stages})
    for network_g in networks:
        state = build_network(network_g).state_dict()
        torch.save({"params": state}, tmp_path / "bare.pth")
        path, _ = export(tmp_path / "bare.pth", "safetensors", force=True)
        with safe_open(path, "pt") as file:
            assert set(file.keys()) == set(state)
            assert all(torch.equal(file.get_tensor(name), state[name]) for name in state)
        load_denoiser(path)


def test_the_card_of_a_model():
    ours = complete_card(None, {})
    assert ours["license"] == "Apache-2.0" and "BSDS500" in ours["training_data"]
    other = complete_card("net.pth", {"license": "MIT"})
    assert other["license"] == "MIT" and other["training_data"] == "not stated"
    assert tuple(other) == CARD_FIELDS
    assert complete_card("restormer_real", {})["training_data"] == "SIDD"
    with pytest.raises(ValueError, match="unknown field of a card 'licence'.*'license'"):
        complete_card(None, {"licence": "MIT"})
    assert identify("net_g_Latest") == "denoise-net-g-latest"


def test_darktable_denoises_colour(tmp_path):
    network_g = TINY | {"inp_channels": 1, "out_channels": 1}
    content = {"params": build_network(network_g).state_dict(), "network_g": network_g}
    torch.save(content, tmp_path / "grey.pth")
    with pytest.raises(ValueError, match="darktable denoises colour"):
        export(tmp_path / "grey.pth", "dtmodel")


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_darktable_opens_the_package(checkpoint, tmp_path, half, capsys):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    (tmp_path / "card.yml").write_text(yaml.safe_dump({"license": "MIT", "notes": "none"}))
    command = ["export", str(checkpoint), "--format", "dtmodel", *(["--half"] if half else [])]
    assert main([*command, "--card", str(tmp_path / "card.yml")]) == 0
    said = capsys.readouterr().out
    assert "the card does not state" in said and "training_data_license" in said
    config, run = check_package(checkpoint.with_suffix(".dtmodel"))
    assert config["id"] == "denoise-net" and config["model_card"]["license"] == "MIT"
    assert config["arch"] == "restormer"
    try_tiles(run)
    image = torch.rand(1, 3, 40, 64)
    difference = torch.from_numpy(run(image.numpy())) - restore(load_denoiser(checkpoint), image)
    assert difference.abs().max() < (1e-3 if half else 1e-4)


def test_torchscript(checkpoint, tmp_path):
    path = tmp_path / "x/net.pt"
    assert main(["export", str(checkpoint), "--format", "torchscript", "--out", str(path)]) == 0
    image = torch.rand(1, 3, 21, 34)
    found = torch.jit.load(str(path))(image)
    assert (found - restore(load_denoiser(checkpoint), image)).abs().max() < 1e-5


@pytest.mark.slow
def test_onnx(checkpoint):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", str(checkpoint), "--format", "onnx"]) == 0
    assert list(checkpoint.parent.glob("*.onnx*")) == [checkpoint.with_suffix(".onnx")]
    assert b".py" not in checkpoint.with_suffix(".onnx").read_bytes(), "no places of this machine"
    session = onnxruntime.InferenceSession(checkpoint.with_suffix(".onnx"))
    image = torch.rand(1, 3, 33, 90)
    (found,) = session.run(["output"], {"input": image.numpy()})
    expected = restore(load_denoiser(checkpoint), image)
    assert (torch.from_numpy(found) - expected).abs().max() < 1e-4


def test_refusals(checkpoint, capsys, monkeypatch):
    checkpoint.with_suffix(".safetensors").write_bytes(b"mine")
    assert main(["export", str(checkpoint), "--format", "safetensors"]) == 2
    assert "exists: --force replaces it" in capsys.readouterr().err
    assert checkpoint.with_suffix(".safetensors").read_bytes() == b"mine"
    monkeypatch.setattr("restoration.photo.onnx_file.find_spec", lambda name: None)
    assert main(["export", str(checkpoint), "--format", "onnx"]) == 2
    assert "pip install onnx onnxscript onnxruntime" in capsys.readouterr().err


def test_what_differs_is_not_kept(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("restoration.photo.export.LARGEST_ERROR", -1)
    assert main(["export", str(checkpoint), "--format", "torchscript"]) == 2
    assert "expected torchscript to differ by at most" in capsys.readouterr().err
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
