"""Fetching of image sets: every image is checked by its pixels, and what is here stays."""

from dataclasses import replace

import numpy as np
import pytest

from restoration.cli import main
from restoration.data import fetching, known_sets, write_png
from restoration.data.fetching import fetch
from restoration.data.known_sets import DataSet, manifest, pixel_digest


@pytest.fixture
def entry(tmp_path):
    """A set of three images in a folder that stands for a server."""
    files = {}
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (8, 9, 3), dtype=np.uint8)
        write_png(tmp_path / f"server/a {number}.png", image)
        files[f"a {number}.png"] = ("9x8", pixel_digest(image))
    url = (tmp_path / "server").as_uri()
    return DataSet("mine/val", "test", 3, "9x8", "a server", "free", None, files, url=url)


def test_every_image_comes_once(entry, tmp_path, monkeypatch):
    told, asked = [], []
    original = fetching.download
    monkeypatch.setattr(
        fetching, "download", lambda url, *more, **k: asked.append(url) or original(url, *more, **k)
    )
    (tmp_path / "sets/mine/val").mkdir(parents=True)
    (tmp_path / "sets/mine/val/a 1.png").write_bytes(b"half a fi")
    folder = fetch(entry, tmp_path / "sets", lambda *given: told.append(given))
    assert folder == tmp_path / "sets/mine/val"
    assert sorted(p.name for p in folder.iterdir()) == sorted(entry.files)
    assert told == [(1, 3, "a 0.png"), (2, 3, "a 1.png"), (3, 3, "a 2.png")]
    assert len(asked) == 3 and asked[0].endswith("/a%200.png")
    fetch(entry, tmp_path / "sets")
    assert len(asked) == 3, "nothing is asked for twice"


def test_another_image_of_the_name_is_refused(entry, tmp_path):
    write_png(tmp_path / "server/a 1.png", np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="a%201.png is not the recorded image"):
        fetch(entry, tmp_path / "sets")
    assert [p.name for p in (tmp_path / "sets/mine/val").iterdir()] == ["a 0.png"]


def test_a_server_that_is_not_reached(entry, tmp_path):
    (tmp_path / "server/a 2.png").unlink()
    with pytest.raises(ConnectionError, match="cannot fetch .*goes on later, or put the images"):
        fetch(entry, tmp_path / "sets")
    assert len(list((tmp_path / "sets/mine/val").glob("*.png"))) == 2, "what came is kept"


def test_sets_that_are_not_for_everybody(tmp_path):
    entry = manifest()["DIV2K"]
    with pytest.raises(ValueError, match="DIV2K is not fetched: .*Licence: academic research only"):
        fetch(entry, tmp_path)


def test_sets_with_an_address_have_the_checksum_of_every_image():
    fetched = [entry for entry in manifest().values() if entry.url is not None]
    assert {"CBSD68", "Kodak24", "McMaster", "Urban100", "BSDS500/train"} <= {
        entry.name for entry in fetched
    }
    assert all(len(entry.files) == entry.count for entry in fetched)


def test_command(entry, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(known_sets, "manifest", lambda: {"mine/val": entry})
    root = str(tmp_path / "sets")
    assert main(["data", "fetch", "mine/val", "--root", root]) == 0
    said = capsys.readouterr().out
    assert said.startswith("mine/val: a server. Licence: free.")
    assert "3 images in" in said and "checksums agree" in said
    assert main(["data", "list", "--root", root]) == 0
    assert "`restoration data fetch mine/val` brings it" in " ".join(
        capsys.readouterr().out.split()
    )
    monkeypatch.setattr(known_sets, "manifest", lambda: {"mine/val": replace(entry, url=None)})
    assert main(["data", "fetch", "mine/val", "--root", root]) == 2
    assert "mine/val is not fetched: a server" in capsys.readouterr().err
