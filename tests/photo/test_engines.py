"""Engines: what may run a denoiser beside torch, and that it answers the same."""

from importlib.util import find_spec

import pytest
import torch
from tiny import TINY

import restoration
from restoration.archs import build_network, restore
from restoration.photo import engines
from restoration.photo.engines import Exported, engine_of, with_engine
from restoration.photo.memory import bytes_per_pixel

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(TINY).eval()


def test_torch_is_the_network_itself(network):
    assert with_engine(network, "torch", CPU) is network and engine_of(network) == "torch"


def test_raises(network, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="openvino needs onnx, .*openvino: pip install"):
        with_engine(network, "openvino", CPU)
    with pytest.raises(ValueError, match="expected the engine torch on cuda, got openvino"):
        with_engine(network, "openvino", torch.device("cuda"))
    with pytest.raises(ValueError, match="unknown engine 'onnxrun'.*did you mean 'onnxruntime'"):
        with_engine(network, "onnxrun", CPU)


def test_a_network_that_cannot_be_exported_leaves_no_file(network, monkeypatch, tmp_path):
    def fails(*arguments):
        raise ValueError("this network cannot be exported")

    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(engines, "find_spec", lambda name: True)
    monkeypatch.setattr(engines, "write_onnx", fails)
    with pytest.raises(ValueError, match="cannot be exported"):
        with_engine(network, "onnxruntime", CPU)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_what_stands_for_a_network(network):
    """Small images are padded, batches are run one by one, the memory is told."""
    seen = []

    def run(image):
        seen.append(tuple(image.shape))
        return restore(network, image)

    exported = Exported(network, "onnxruntime", run)
    image = torch.rand(2, 3, 9, 30)
    assert torch.allclose(restore(exported, image), restore(network, image), atol=1e-6)
    assert seen == [(1, 3, 16, 32)] * 2
    assert engine_of(exported) == "onnxruntime"
    assert bytes_per_pixel(exported, CPU) > 2 * bytes_per_pixel(network, CPU)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_agree(network, monkeypatch, tmp_path, engine):
    for package in (*engines.PACKAGES, engine):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    fast = with_engine(network, engine, CPU)
    for size in ((8, 8), (48, 64), (61, 33)):
        image = torch.rand(1, 3, *size)
        assert (restore(fast, image) - restore(network, image)).abs().max() < 1e-3
    (kept,) = (tmp_path / "engines").iterdir()
    monkeypatch.setattr(engines, "write_onnx", None)  # exported once
    with_engine(network, engine, CPU)
    torch.save({"params": network.state_dict(), "network_g": TINY}, tmp_path / "net.pth")
    pixels = (torch.rand(70, 90, 3) * 255).byte().numpy()
    given = {"model": tmp_path / "net.pth", "device": "cpu", "tile": 48}
    answers = [restoration.denoise(pixels, engine=e, **given) for e in ("torch", engine)]
    assert abs(answers[0].astype(int) - answers[1]).max() <= 1
    assert kept.suffix == ".onnx"
