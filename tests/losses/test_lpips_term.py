"""LPIPS: which backbone file it takes, and what it says when there is none."""

import time

import pytest
import torch
from conftest import alexnet_features, make_pair

from losses import LPIPS
from losses.features import published


@pytest.fixture
def hub(tmp_path, monkeypatch, closed_url):
    """An empty folder of torch hub, and a server that does not answer."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for net in published.TORCHVISION_URLS:
        monkeypatch.setitem(published.TORCHVISION_URLS, net, f"{closed_url}/{net}.pth")
    return tmp_path / "hub"


def test_offline_is_told_quickly(hub):
    start = time.perf_counter()
    with pytest.raises(
        FileNotFoundError,
        match="alexnet.pth of alexnet .* could not be downloaded .*FILE",
    ):
        LPIPS()
    assert time.perf_counter() - start < 5


def test_the_cached_file_is_used(hub, files):
    cached = published.cached_torchvision_file("alexnet")
    cached.parent.mkdir(parents=True)
    cached.write_bytes((files / "alexnet.pth").read_bytes())
    state = LPIPS().backbone.body.state_dict()
    assert torch.equal(state["features.3.weight"], alexnet_features()["features.3.weight"])


def test_download(hub, files, server, monkeypatch):
    url = f"{server.url}/net.pth"
    server.pages["/net.pth"] = (files / "alexnet.pth").read_bytes()
    monkeypatch.setitem(published.TORCHVISION_URLS, "alexnet", url)

    assert published.torchvision_file("alexnet") == hub / "checkpoints" / "net.pth"
    assert (hub / "checkpoints" / "net.pth").read_bytes() == server.pages["/net.pth"]


def test_download_with_a_wrong_checksum(hub, server, monkeypatch):
    server.pages["/net-00000000.pth"] = b"not these"
    monkeypatch.setitem(published.TORCHVISION_URLS, "alexnet", f"{server.url}/net-00000000.pth")
    with pytest.raises(FileNotFoundError, match="net-00000000.pth .* could not be downloaded"):
        published.torchvision_file("alexnet")


def test_raises(tmp_path, files):
    with pytest.raises(ValueError, match="expected net in .* got 'squeeze'"):
        LPIPS("squeeze")
    with pytest.raises(FileNotFoundError, match="LPIPS backbone .*nowhere.pth does not exist"):
        LPIPS(weights=tmp_path / "nowhere.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match="wrong.pth: expected torchvision weights of alex"):
        LPIPS(weights=tmp_path / "wrong.pth")
    x, y = make_pair(side=30)
    with pytest.raises(ValueError, match="expected at least 31x31 pixels for LPIPS, got 30x30"):
        LPIPS(weights=files / "alexnet.pth")(x, y)
