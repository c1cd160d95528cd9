"""Exports of denoisers: what other programs read computes the same."""

import json

import pytest
import torch
from safetensors import safe_open
from tiny import TINY

from restoration.archs import build_network, restore
from restoration.cli import main
from restoration.photo.export import AnySize
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
    assert torch.equal(AnySize(network)(image), restore(network, image))


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
    monkeypatch.setattr("restoration.photo.export.find_spec", lambda name: None)
    assert main(["export", str(checkpoint), "--format", "onnx"]) == 2
    assert "pip install onnx onnxscript onnxruntime" in capsys.readouterr().err


def test_what_differs_is_not_kept(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("restoration.photo.export.LARGEST_ERROR", -1)
    assert main(["export", str(checkpoint), "--format", "torchscript"]) == 2
    assert "expected torchscript to differ by at most" in capsys.readouterr().err
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
