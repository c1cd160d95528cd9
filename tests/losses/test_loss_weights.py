"""The manifest: where files are looked for, fetched from and checked."""

import re

import pytest
import torch
from safetensors.torch import save_file

from losses import weights
from losses.weights import MANIFEST, Weights

CONTENT = b"what git calls a blob"


def add(monkeypatch, url, blob):
    monkeypatch.setitem(MANIFEST, "trial", Weights("trial.pth", "CC0-1.0", "nothing", url, blob))


def test_git_blob_id_is_what_git_computes():
    assert weights.git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert weights.git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_authors_files_match_their_checksums(authors):
    assert weights.git_blob_id((authors / "E_MAE.pth").read_bytes()) == MANIFEST["E_MAE"].git_blob


def test_every_entry_says_where_it_is_from():
    for name, entry in MANIFEST.items():
        assert entry.licence and entry.trained_on, name
        if entry.url:
            assert re.fullmatch("[0-9a-f]{40}", entry.git_blob), name
            assert entry.url.endswith(entry.file), name


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if entry.url is None])
def test_shipped_files_are_loadable(name):
    if not MANIFEST[name].path.is_file():
        pytest.skip(f"{MANIFEST[name].file} has not been made yet")
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


def test_fetch_refuses_other_content(monkeypatch, tmp_path, server):
    server.pages["/trial.pth"] = b"something else"
    add(monkeypatch, f"{server.url}/trial.pth", weights.git_blob_id(CONTENT))
    with pytest.raises(ValueError, match="expected git blob .*, got "):
        weights.fetch("trial")
    assert not list((tmp_path / "cache").glob("*"))


def test_fetch_unreachable(monkeypatch, closed_url, server):
    add(monkeypatch, f"{closed_url}/trial.pth", None)
    with pytest.raises(ConnectionError, match="cannot fetch http.*trial.pth by hand"):
        weights.fetch("trial", timeout=2)
    add(monkeypatch, f"{server.url}/missing.pth", None)
    with pytest.raises(ConnectionError, match="404"):
        weights.fetch("trial", timeout=2)


def test_a_broken_transfer_leaves_nothing(monkeypatch, tmp_path):
    import http.client

    def stop(*_, **__):
        raise http.client.IncompleteRead(b"half")

    add(monkeypatch, "http://127.0.0.1/trial.pth", None)
    monkeypatch.setattr(weights.urllib.request, "urlopen", stop)
    with pytest.raises(ConnectionError, match="cannot fetch"):
        weights.fetch("trial")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("function", [weights.fetch, weights.verify])
def test_unknown_name(function):
    with pytest.raises(ValueError, match="unknown weights 'E_VGGG'; known: .*E_VGG"):
        function("E_VGGG")


def test_missing_files(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pth does not exist .known names"):
        weights.resolve(tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="restoration weights fetch E_LPIPS.*Licence: none"):
        weights.resolve("E_LPIPS")
    monkeypatch.setattr(weights, "PRETRAINED", tmp_path)
    with pytest.raises(FileNotFoundError, match="ships with the package but is missing"):
        weights.resolve("pixel_mask_e_mae")


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
