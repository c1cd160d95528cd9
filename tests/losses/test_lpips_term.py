"""LPIPS: which backbone file it takes, and what it says when there is none."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from loss_inputs import VGG16, WEIGHTS, make_pair
from skimage.io import imread

from losses import DISTS, LPIPS
from losses.weights import MANIFEST, git_blob_id, load_state_dict

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".." / "upstream" / "PerceptualSimilarity" / "imgs"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "losses.json").read_text())


def to_batch(path):
    return torch.from_numpy(imread(path)[:, :, :3]).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def offline(monkeypatch, tmp_path, closed_url):
    """A Hugging Face hub that does not answer, and nothing of it on this machine."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", closed_url)


def test_alexnet_ships(monkeypatch):
    monkeypatch.setattr("socket.socket", lambda *_: pytest.fail("the network was asked"))
    x, y = make_pair(side=45)
    term = LPIPS(reduction="none")
    assert (term(x, y) > 0).all()
    assert term(x, x).tolist() == [0, 0]


def test_vgg_offline_is_told_quickly(offline):
    start = time.perf_counter()
    with pytest.raises(
        FileNotFoundError,
        match="weights fetch vgg16`, or put vgg16-397923af.pth .*BSD-3-Clause",
    ):
        LPIPS("vgg")
    assert time.perf_counter() - start < 5


def test_fetched_weights_are_used(monkeypatch, tmp_path, files):
    file = tmp_path / "cache" / MANIFEST["vgg16"].file
    file.parent.mkdir()
    file.write_bytes((files / "vgg16.safetensors").read_bytes())
    blob = git_blob_id(file.read_bytes())
    monkeypatch.setitem(MANIFEST, "vgg16", replace(MANIFEST["vgg16"], git_blob=blob))
    state = LPIPS("vgg").backbone.body.state_dict()
    assert torch.equal(state["features_28.bias"], load_state_dict("vgg16")["features.28.bias"])
    assert DISTS().backbone.channels == VGG16


@pytest.fixture(scope="module")
def real():
    """Folder of torchvision's ImageNet convolutions."""
    folder = WEIGHTS / "torchvision"
    if not folder.is_dir():
        pytest.skip("torchvision's ImageNet weights are not on this machine")
    return folder


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_golden(net, request):
    """The published example; AlexNet's weights ship."""
    if not PICTURES.is_dir():
        pytest.skip("the pictures of richzhang/PerceptualSimilarity are not on this machine")
    images = {name: to_batch(PICTURES / f"ex_{name}.png") for name in ("ref", "p0", "p1")}
    file = request.getfixturevalue("real") / "vgg16_features.safetensors" if net == "vgg" else None
    term = LPIPS(net, file)
    for name in ("p0", "p1"):
        value = term(images[name], images["ref"]).item()
        assert value == pytest.approx(GOLDEN["lpips"][f"{net} {name}"], abs=5e-5)


@pytest.mark.parametrize("net", ["alex", "vgg", "shipped"])
def test_parity_with_the_package(files, net):
    """Its own network with the same backbone, on images that are no multiple of 32."""
    import lpips

    file = {"alex": files / "alexnet.pth", "vgg": files / "vgg16.safetensors"}.get(net, "alexnet")
    net = "alex" if net == "shipped" else net
    network, state = lpips.LPIPS(net=net, pnet_rand=True, verbose=False), load_state_dict(file)
    layers = {k: state[f"features.{k.split('.', 1)[1]}"] for k in network.net.state_dict()}
    network.net.load_state_dict(layers)
    x, y = (image[..., :37] for image in make_pair(side=45))
    with torch.no_grad():
        expected = network(2 * x - 1, 2 * y - 1).flatten()
    found = LPIPS(net, file, reduction="none")(x, y)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_dead_pixels_have_a_finite_gradient(real):
    """Where all features of a pixel are 0 its length has no slope; the package's is not finite."""
    picture = WEIGHTS.parent / "cases" / "lpips_dead_pixel.png"
    if not picture.is_file():
        pytest.skip("the picture is not on this machine")
    y = to_batch(picture)
    x = (y + 0.01).clamp(0, 1).requires_grad_()
    term = LPIPS(weights=real / "alexnet_features.safetensors")
    with torch.autograd.detect_anomaly(check_nan=True):
        term(x, y).backward()
    assert x.grad.isfinite().all()


def test_dead_features_have_a_finite_gradient(files):
    state = load_state_dict(files / "alexnet.pth")
    dead = {k: torch.full_like(v, 0 if k.endswith("weight") else -1) for k, v in state.items()}
    torch.save(dead, files / "dead.pth")  # every feature is 0
    x, y = make_pair(side=32)
    x.requires_grad_()
    with torch.autograd.detect_anomaly(check_nan=True):
        LPIPS(weights=files / "dead.pth")(x, y).backward()
    assert not x.grad.any()


def test_building_in_threads(files, monkeypatch):
    """It prints nothing, imports no torchvision, and leaves the global random stream alone."""
    stdout, before = sys.stdout, torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        terms = list(pool.map(lambda _: LPIPS(weights=files / "alexnet.pth"), range(8)))
    assert sys.stdout is stdout
    assert torch.equal(torch.random.get_rng_state(), before)
    x, y = make_pair(side=32)
    assert len({term(x, y).item() for term in terms}) == 1


def test_raises(tmp_path, files):
    with pytest.raises(ValueError, match="expected net in .* got 'squeeze'"):
        LPIPS("squeeze")
    with pytest.raises(FileNotFoundError, match="weights file .*nowhere.pth does not exist"):
        LPIPS(weights=tmp_path / "nowhere.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match="wrong.pth: expected torchvision weights of alex"):
        LPIPS(weights=tmp_path / "wrong.pth")
    x, y = make_pair(side=30)
    with pytest.raises(ValueError, match="expected at least 31x31 pixels for LPIPS, got 30x30"):
        LPIPS(weights=files / "alexnet.pth")(x, y)
