import pickle
from importlib.util import find_spec
from pathlib import Path

import lmdb
import numpy as np
import pytest
import skimage.data
from PIL import Image

from restoration.data import dataroot, lmdb_source, photographs, sources
from restoration.data.images import write_png


def _random(seed: int, dtype=np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (8 + seed, 12, 3), dtype=dtype)


@pytest.fixture
def folder(tmp_path) -> Path:
    for number in (10, 2, 1):
        write_png(tmp_path / "set" / f"im{number}.png", _random(number))
    write_png(tmp_path / "set" / "sub" / "im3.png", _random(3, np.uint16))
    (tmp_path / "set" / "notes.txt").write_text("not a picture")
    return tmp_path / "set"


def _lmdb(folder: Path, target: Path) -> Path:
    """BasicSR's layout, written with the lmdb package."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    with lmdb.open(str(target), map_size=2**24) as database, database.begin(write=True) as store:
        for name in names:
            store.put(name[:-4].encode(), (folder / name).read_bytes())
    lines = []
    for name in names:
        with Image.open(folder / name) as image:
            lines.append(f"{name} ({image.height},{image.width},3) 1\n")
    (target / "meta_info.txt").write_text("".join(lines))
    return target


def test_folder_is_recursive_and_in_natural_order(folder):
    source = sources.FolderSource(folder)
    assert source.names == ["im1.png", "im2.png", "im10.png", "sub/im3.png"]
    assert len(source) == 4 and source.size(1) == (10, 12)
    np.testing.assert_array_equal(source.read(2), _random(10))
    np.testing.assert_allclose(source.read_float(2), _random(10) / 255, atol=1e-7)
    deep = _random(3, np.uint16)
    np.testing.assert_array_equal(source.read(3), np.rint(deep / 257))
    np.testing.assert_allclose(source.read_float(3), deep / 65535, atol=1e-7)


def test_folder_follows_links(folder, tmp_path):
    write_png(tmp_path / "elsewhere/deep/a.png", _random(0))
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "sub/back").symlink_to(folder, target_is_directory=True)
    (folder / "one.png").symlink_to(tmp_path / "elsewhere/deep/a.png")
    names = sources.FolderSource(folder).names
    assert [n for n in names if "im" not in n] == ["linked/deep/a.png", "one.png"]
    assert len(names) == 6
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    source = sources.FolderSource(folder)
    with pytest.raises(FileNotFoundError, match="gone.png"):
        source.size(source.names.index("gone.png"))


def test_formats_that_are_not_read_are_named(folder, caplog):
    for name in ("a.heic", "b.GIF", "c.ppm", "d.avif", "notes.txt"):
        (folder / name).write_bytes(b"x")
    names = sources.FolderSource(folder).names
    assert not {"a.heic", "b.GIF", "notes.txt"} & set(names)
    assert "4 files of formats not read here: a.heic, b.GIF, c.ppm, ..." in caplog.text


def test_folder_missing_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder.*nowhere"):
        dataroot.open_source(tmp_path / "nowhere")
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(ValueError, match="got none in"):
        dataroot.open_source(str(tmp_path))


def test_lmdb_equals_folder(folder, tmp_path):
    source = dataroot.open_source(_lmdb(folder, tmp_path / "set.lmdb"))
    assert isinstance(source, lmdb_source.LmdbSource)
    files = sources.FolderSource(folder)
    assert sorted(source.names) == sorted(files.names)
    again = lmdb_source.LmdbSource(tmp_path / "set.lmdb")  # a second opening in one process
    for index, name in enumerate(source.names):
        other = files.names.index(name)
        np.testing.assert_array_equal(source.decode(index), files.decode(other))
        np.testing.assert_array_equal(again.read_float(index), files.read_float(other))
        assert source.size(index) == files.size(other)
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    np.testing.assert_array_equal(copy.read(0), source.read(0))


def test_lmdb_errors(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.mdb.*none\.lmdb"):
        dataroot.open_source(tmp_path / "none.lmdb")
    root = _lmdb(folder, tmp_path / "set.lmdb")
    meta = root / "meta_info.txt"
    meta.write_text("missing.png (1,2,3) 1\n")
    with pytest.raises(ValueError, match=r"expected missing\.png in .*set\.lmdb"):
        lmdb_source.LmdbSource(root).read(0)
    meta.write_text("im1.png 9x12\n")
    with pytest.raises(ValueError, match="got 'im1.png 9x12'"):
        lmdb_source.LmdbSource(root)
    meta.write_text("\n")
    with pytest.raises(ValueError, match="empty meta_info"):
        lmdb_source.LmdbSource(root)


@pytest.mark.skipif(find_spec("basicsr") is None, reason="BasicSR is not installed")
def test_make_lmdb_with_the_tool_of_basicsr(folder, tmp_path):
    source = lmdb_source.make_lmdb(folder, tmp_path / "new" / "made.lmdb")
    files = sources.FolderSource(folder)
    assert source.names == files.names
    for index in range(len(files)):
        np.testing.assert_array_equal(source.decode(index), files.decode(index))
        assert source.size(index) == files.size(index)
    with pytest.raises(ValueError, match="expected a new folder"):
        lmdb_source.make_lmdb(folder, tmp_path / "new" / "made.lmdb")


@pytest.mark.parametrize("extra", ["im1.bmp", "größe.png"])
def test_make_lmdb_refuses_keys(folder, tmp_path, extra):
    Image.fromarray(_random(1)).save(folder / extra)
    with pytest.raises(ValueError, match=f"differ without extension, got .*{extra[:-4]}"):
        lmdb_source.make_lmdb(folder, tmp_path / "made.lmdb")
    assert not (tmp_path / "made.lmdb").exists()


@pytest.mark.parametrize("name", sorted(photographs.PHOTOGRAPHS))
def test_photographs_equal_those_of_skimage(name):
    if name.startswith("motorcycle"):
        expected = skimage.data.stereo_motorcycle()[name == "motorcycle_right"]
    else:
        expected = getattr(skimage.data, name)()
    expected = expected if expected.ndim == 3 else np.stack([expected] * 3, 2)
    source = dataroot.open_source(f"skimage:{name}")
    assert source.names == [name] and source.size(0) == expected.shape[:2]
    difference = np.abs(source.read(0).astype(int) - expected)
    assert difference.max() <= (8 if photographs.PHOTOGRAPHS[name].endswith("jpg") else 0)
    assert difference.mean() < 0.5


def test_photographs_unknown_or_absent(monkeypatch, tmp_path):
    assert len(dataroot.open_source("skimage:coffee, astronaut")) == 2
    with pytest.raises(ValueError, match="got 'astronot'; did you mean 'astronaut'"):
        dataroot.open_source("skimage:astronot")
    monkeypatch.setitem(photographs.PHOTOGRAPHS, "coffee", "absent.png")
    with pytest.raises(ValueError, match="expected coffee inside scikit-image"):
        dataroot.open_source("skimage:coffee")


def test_cache_keeps_what_fits(folder, monkeypatch):
    files = sources.FolderSource(folder)
    budget = _random(1).nbytes + _random(2).nbytes
    cached = sources.CachedSource(files, budget)
    assert cached.names == files.names and cached.size(3) == files.size(3)
    first = [cached.read(i) for i in range(4)]
    calls = []
    monkeypatch.setattr(
        files, "decode", lambda i: calls.append(i) or files.__class__.decode(files, i)
    )
    for index in range(4):
        np.testing.assert_array_equal(cached.read(index), first[index])
    assert calls == [2, 3] and cached.used_bytes == budget
    assert not cached.read(0).flags.writeable
    assert cached.read_float(3).dtype == np.float32  # 16 bits are not lost to the cache
    np.testing.assert_allclose(cached.read_float(3), _random(3, np.uint16) / 65535, atol=1e-7)
    assert cached.__getstate__()["_kept"] == {}
    with pytest.raises(ValueError, match="budget_bytes >= 0, got -1"):
        sources.CachedSource(files, -1)


def test_crops_of_a_photograph():
    whole = dataroot.open_source("skimage:chelsea").read(0)  # (300, 451, 3)
    crops = dataroot.open_source("skimage:chelsea@128,rocket")
    assert crops.names == [
        *(f"chelsea_y{top}_x{left}" for top in (0, 128) for left in (0, 128, 256)),
        "rocket",
    ]
    for index, (top, left) in enumerate((t, x) for t in (0, 128) for x in (0, 128, 256)):
        np.testing.assert_array_equal(
            crops.decode(index), whole[top : top + 128, left : left + 128]
        )
        assert crops.size(index) == (128, 128)
    assert crops.size(6) == (427, 640)
    assert dataroot.open_source("skimage:chelsea@300").names == ["chelsea_y0_x0"]


@pytest.mark.parametrize("given", ["chelsea@301", "chelsea@0", "chelsea@", "chelsea@x"])
def test_crops_that_do_not_fit(given):
    with pytest.raises(ValueError, match="chelsea@SIDE of 1 to 300 pixels"):
        dataroot.open_source(f"skimage:{given}")
