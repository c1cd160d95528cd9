"""Patches: where they lie, that nothing is lost, that an interrupted run continues."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from restoration.cli import main
from restoration.data import (
    DenoisingDataset,
    FolderSource,
    LmdbSource,
    make_lmdb,
    patch_store,
    write_png,
)
from restoration.data import cutting as module
from restoration.data.cutting import Cutting, cut, cut_folders
from restoration.degradations import Chain

SMALL = Cutting(size=16, overlap=3, whole=24)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two pictures to cut, two to keep whole, one of them below a subfolder."""
    generator = np.random.default_rng(0)
    shapes = {"a": (40, 31), "b": (25, 60), "c": (24, 90), "deep/a": (10, 10)}
    for name, shape in shapes.items():
        image = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        write_png(tmp_path / "SET" / f"{name}.png", image)
    return tmp_path / "SET"


def files_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.png")}


def run(arguments, capsys) -> tuple[int, str, str]:
    code = main(["data", "prepare", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_patches_by_hand():
    image = np.arange(31 * 40, dtype=np.uint16).reshape(31, 40, 1)
    patches = cut(image, SMALL)
    corners = [(y, x) for y in (0, 13, 15) for x in (0, 13, 24)]
    assert len(patches) == len(corners)
    for patch, (y, x) in zip(patches, corners, strict=True):
        np.testing.assert_array_equal(patch, image[y : y + 16, x : x + 16])
    assert cut(image, Cutting(16, 3, 31))[0] is image, "one side is not longer than 31"
    assert len(cut(np.zeros((2040, 1356, 3), np.uint8), Cutting())) == 5 * 4  # a picture of DIV2K
    assert len(cut(np.zeros((801, 800, 3), np.uint8), Cutting())) == 1


@pytest.mark.parametrize("wrong", [(16, 16, 24), (0, 0, 24), (32, 3, 24), (16, -1, 24)])
def test_cutting_raises(wrong):
    with pytest.raises(ValueError, match="expected 0 <= overlap < size"):
        Cutting(*wrong)


def test_folder(folder, tmp_path):
    seen = []
    result = cut_folders(
        [folder], tmp_path / "out", SMALL, workers=0, on_progress=lambda *a: seen.append(a)
    )
    source, made = FolderSource(folder), FolderSource(tmp_path / "out")
    expected = {
        f"SET/{name[:-4]}-{number:03d}.png": patch
        for index, name in enumerate(source.names)
        for number, patch in enumerate(cut(source.read(index), SMALL))
    }
    assert set(made.names) == set(expected)
    for index, name in enumerate(made.names):
        np.testing.assert_array_equal(made.read(index), expected[name])
    assert (result.pictures, result.patches, result.reused) == (4, len(expected), 0)
    assert seen[-1] == (4, 4, "SET/deep/a")
    assert not (tmp_path / "out.part").exists()
    again = cut_folders([folder], tmp_path / "out", SMALL, workers=0)
    assert again.reused == again.pictures == 4
    assert again.patches == result.patches


def test_decoded_patches_are_the_same_pixels(folder, tmp_path, capsys):
    sizes = ["--size", 16, "--overlap", 3, "--whole", 24, "--workers", 0]
    for name, flags in (("files", []), ("decoded", ["--decoded"])):
        assert run([folder, "--out", tmp_path / name, *sizes, *flags], capsys)[0] == 0
    files, decoded = FolderSource(tmp_path / "files"), FolderSource(tmp_path / "decoded")
    assert [Path(name).stem for name in files.names] == [Path(name).stem for name in decoded.names]
    assert {Path(name).suffix for name in decoded.names} == {".npy"}
    streams = [
        DenoisingDataset(source, 0, Chain({"type": "gaussian", "sigma": 25}))
        for source in (files, decoded)
    ]
    for index in range(len(files)):
        np.testing.assert_array_equal(files.read(index), decoded.read(index))
        assert files.size(index) == decoded.size(index)
        assert not decoded.read(index).flags.writeable
        a, b = (stream[index, 8]["crop"] for stream in streams)
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="an LMDB or decoded images, got both"):
        cut_folders([folder], tmp_path / "x.lmdb", Cutting(16, 3, 24, decoded=True), as_lmdb=True)


def test_processes_make_the_same(folder, tmp_path):
    cut_folders([folder], tmp_path / "alone", SMALL, workers=0)
    cut_folders([folder], tmp_path / "together", SMALL, workers=2)
    assert files_of(tmp_path / "together") == files_of(tmp_path / "alone")


@pytest.mark.skipif(find_spec("basicsr") is None, reason="BasicSR is not installed")
def test_lmdb_equals_that_of_basicsr(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(patch_store, "FIRST_MAP", 2**14)  # too small: it has to grow
    cut_folders([folder], tmp_path / "ours.lmdb", SMALL, as_lmdb=True, workers=0)
    cut_folders([folder], tmp_path / "files", SMALL, workers=0)
    ours = LmdbSource(tmp_path / "ours.lmdb")
    theirs = make_lmdb(tmp_path / "files", tmp_path / "theirs.lmdb")
    meta = [
        (tmp_path / name / "meta_info.txt").read_text() for name in ("ours.lmdb", "theirs.lmdb")
    ]
    assert sorted(meta[0].splitlines()) == sorted(meta[1].splitlines())
    for index, name in enumerate(ours.names):
        other = theirs.names.index(name)
        np.testing.assert_array_equal(ours.decode(index), theirs.decode(other))
        assert ours.size(index) == theirs.size(other) == ours.decode(index).shape[:2]


@pytest.mark.parametrize("target", ["out", "out.lmdb"])
def test_interrupted_run_continues(folder, tmp_path, monkeypatch, target):
    lmdb, whole = target.endswith("lmdb"), tmp_path / f"whole{Path(target).suffix}"
    cut_folders([folder], whole, SMALL, as_lmdb=lmdb, workers=0)

    def stop(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_folders([folder], tmp_path / target, SMALL, as_lmdb=lmdb, workers=0, on_progress=stop)
    assert not (tmp_path / target).exists()
    record = tmp_path / f"{target}.part" / module.RECORD
    record.write_text(record.read_text() + '{"key": "SET/c", "by')  # killed while writing
    cut_again = []
    original = module._cut_file
    monkeypatch.setattr(
        module, "_cut_file", lambda path, how: cut_again.append(path.name) or original(path, how)
    )
    result = cut_folders([folder], tmp_path / target, SMALL, as_lmdb=lmdb, workers=0)
    assert (result.reused, len(cut_again)) == (2, 2)
    if lmdb:
        a, b = LmdbSource(tmp_path / target), LmdbSource(whole)
        assert a.names == b.names
        assert all(np.array_equal(a.decode(i), b.decode(i)) for i in range(len(a)))
    else:
        assert files_of(tmp_path / target) == files_of(whole)


def test_changed_picture_is_cut_again(folder, tmp_path):
    def stop(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_folders([folder], tmp_path / "out", SMALL, workers=0, on_progress=stop)
    write_png(folder / "a.png", np.zeros((40, 31, 3), np.uint8))
    assert cut_folders([folder], tmp_path / "out", SMALL, workers=0).reused == 1
    assert FolderSource(tmp_path / "out").read(0).max() == 0


def test_mistakes(folder, tmp_path, capsys):
    out = tmp_path / "out"
    cutting = ["--size", 16, "--overlap", 3, "--whole", 24, "--workers", 0]
    code, _, error = run([folder, "--out", out, "--lmdb"], capsys)
    assert (code, "ends in .lmdb for an LMDB" in error) == (2, True)
    code, _, error = run([tmp_path / "gone", "--out", out], capsys)
    assert (code, "gone" in error) == (2, True)
    code, _, error = run([folder, folder, "--out", out], capsys)
    assert (code, "names that differ" in error) == (2, True)
    assert not out.exists() and not (tmp_path / "out.part").exists()
    assert run([folder, "--out", out, *cutting], capsys)[0] == 0
    code, _, error = run([folder, "--out", out, *cutting, "--size", 17], capsys)
    assert (code, "made of other images or in another way" in error) == (2, True)
    write_png(folder / "new.png", np.zeros((9, 9, 3), np.uint8))
    assert run([folder, "--out", out, *cutting], capsys)[0] == 2


def test_part_of_other_settings(folder, tmp_path):
    def stop(*progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_folders([folder], tmp_path / "out", SMALL, workers=0, on_progress=stop)
    with pytest.raises(ValueError, match="was begun with .*'size': 16"):
        cut_folders([folder], tmp_path / "out", Cutting(17, 3, 24), workers=0)


def test_unreadable(folder, tmp_path, capsys):
    for name in ("broken", "empty"):
        (folder / f"{name}.png").write_bytes(b"\x89PNG no more"[: 40 * (name == "broken")])
    arguments = ["SET", "--root", tmp_path, "--out", tmp_path / "out", "--workers", 0]
    code, _, error = run(arguments, capsys)
    assert code == 2 and error.count("\n") == 1
    assert "2 images cannot be read" in error
    assert "broken.png" in error and "empty.png" in error and "--skip-unreadable" in error
    assert not (tmp_path / "out").exists()
    code, printed, _ = run([*arguments, "--skip-unreadable"], capsys)
    assert code == 0
    words = " ".join(printed.split())
    assert "4 patches of 4 images, 4 of them from before" in words
    assert "left out, unreadable" in words and "broken.png" in printed.replace("\n", "")
    lines = [json.loads(t) for t in (tmp_path / "out" / module.RECORD).read_text().splitlines()]
    assert [line["key"] for line in lines[1:] if line["patches"] is None] == [
        "SET/broken",
        "SET/empty",
    ]
    code, printed, _ = run([*arguments, "--skip-unreadable"], capsys)
    assert code == 0 and "left out" in printed
