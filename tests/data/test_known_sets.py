"""Checksums of pixels: what they see, what they do not, and what a comparison names."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from restoration.cli import main
from restoration.data import FolderSource, open_source, read_image, write_png
from restoration.data.known_sets import (
    DataSet,
    compare,
    digests_of,
    find_entry,
    manifest,
    pixel_digest,
    set_digest,
)

ROOT = Path(__file__).parents[2]
DATASETS = ROOT / "datasets"
USERS_OWN = ("datasets/own_pictures",)  # what options/test/own_pictures.yml restores


def entry_of(folder: Path) -> DataSet:
    digests = digests_of(FolderSource(folder))
    files = {name: ("24x24", digest) for name, digest in digests.items()}
    return DataSet("own", "test", len(files), "24x24", "", "", set_digest(digests.values()), files)


def test_known_sets():
    tests = {name: entry.count for name, entry in manifest().items() if entry.kind == "test"}
    assert tests == {
        "Set12": 12,
        "BSD68": 68,
        "CBSD68": 68,
        "Kodak24": 24,
        "McMaster": 18,
        "Urban100": 100,
        "Urban100_full": 100,
        "BSDS500/val": 100,
        "PolyU/real": 100,
        "PolyU/mean": 100,
    }
    training = {name: entry.count for name, entry in manifest().items() if entry.kind == "train"}
    assert training == {
        "BSDS500/train": 200,
        "BSDS500/test": 200,
        "BSD400": 400,
        "DIV2K": 800,
        "Flickr2K": 2650,
        "WED": 4744,
        "DFWB": None,
    }
    without_checksums = {"DIV2K", "Flickr2K", "WED", "DFWB"}
    for name, entry in manifest().items():
        assert entry.source and entry.licence and entry.sizes
        assert len(entry.files) == (0 if name in without_checksums else entry.count)
        assert (entry.digest is None) == (name in without_checksums)
    with pytest.raises(ValueError, match="got 'CBDS68'; did you mean 'CBSD68'"):
        find_entry("CBDS68")


def test_sets_that_are_made_of_others():
    sets = manifest()
    parts = sets["BSDS500/train"], sets["BSDS500/test"]
    assert sets["BSD400"].parts == tuple(part.name for part in parts)
    assert sets["BSD400"].files == parts[0].files | parts[1].files
    assert set(sets["DFWB"].parts) == {"DIV2K", "Flickr2K", "WED", *sets["BSD400"].parts}
    assert " ".join(sets["DFWB"].parts) in sets["DFWB"].source  # the command that makes it


def test_nothing_to_train_on_is_tested_on():
    numbers = {
        name: {Path(file).stem for file in manifest()[name].files}
        for name in ("BSD400", "BSDS500/val", "CBSD68")
    }
    assert not numbers["BSD400"] & numbers["CBSD68"]
    assert numbers["CBSD68"] < numbers["BSDS500/val"]


def data_roots(content) -> Iterator[str]:
    """Every value of a key `dataroot...`, at any depth of an option file."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key.startswith("dataroot"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from data_roots(value)
    elif isinstance(content, list):
        for item in content:
            yield from data_roots(item)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "options").rglob("*.yml")), ids=lambda file: file.stem
)
def test_every_folder_of_an_option_file_is_a_known_set(file):
    for root in data_roots(yaml.safe_load(file.read_text(encoding="utf-8"))):
        if root.startswith("skimage:") or root in USERS_OWN:
            continue
        folder, _, name = root.partition("/")
        assert folder == "datasets" and name in manifest(), root


def test_option_files_name_folders():
    """The check above passes on a file without any: prove that it finds those that there are."""
    content = yaml.safe_load((ROOT / "options/compare/vgg_vs_evgg.yml").read_text("utf-8"))
    assert "datasets/CBSD68" in set(data_roots(content))


def test_a_missing_folder_says_where_sets_come_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="DFWB, which is not one; `restoration data list`"):
        open_source(tmp_path / "DFWB")


def test_digest_sees_pixels_and_nothing_else(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", image)
    Image.fromarray(image).save(tmp_path / "b.tif")
    Image.fromarray(image).save(tmp_path / "c.png", optimize=True)
    assert {pixel_digest(read_image(p)) for p in tmp_path.iterdir()} == {pixel_digest(image)}
    other = image.copy()
    other[0, 0, 0] ^= 1
    variants = (other, image[:, :, ::-1], image.reshape(6, 8, 3), image.astype(np.uint16))
    assert len({pixel_digest(np.asarray(one)) for one in (image, *variants)}) == 5
    # by hand, with hashlib alone: the record does not move when the code does
    assert pixel_digest(np.zeros((1, 2, 3), np.uint8)) == "0029accb13f781e5"


def test_set_digest_ignores_order():
    assert set_digest(["a", "b"]) == set_digest(["b", "a"]) != set_digest(["a"])


def test_compare(pictures):
    folder = pictures(6, seed=5)
    entry = entry_of(folder)
    assert compare(entry, digests_of(FolderSource(folder))).complete
    (folder / "0.png").rename(folder / "zero.png")  # no mistake
    write_png(folder / "1.png", np.zeros((24, 24, 3), np.uint8))
    (folder / "2.png").unlink()
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:90])
    (folder / "twice.png").write_bytes((folder / "4.png").read_bytes())
    found = compare(entry, digests_of(FolderSource(folder)))
    assert (found.missing, found.altered) == (["2.png"], ["1.png"])
    assert (found.unreadable, found.renamed) == (["3.png"], ["zero.png"])
    assert found.extra == ["twice.png"]
    assert not found.complete


def test_compare_without_checksums(pictures):
    folder = pictures(2)
    entry = DataSet("own", "train", 2, "", "", "", None, {})
    digests = digests_of(FolderSource(folder))
    assert compare(entry, digests).complete
    assert not compare(entry, {"0.png": digests["0.png"]}).complete
    assert compare(entry, {**digests, "1.png": None}).unreadable == ["1.png"]
    patches = replace(entry, count=None)
    assert compare(patches, digests).complete
    assert compare(patches, {"0.png": digests["0.png"]}).complete
    assert not compare(patches, {**digests, "1.png": None}).complete


@pytest.mark.parametrize("name", [n for n, e in manifest().items() if e.files])
def test_recorded_sizes_and_duplicates(name):
    files = manifest()[name].files
    assert max(Counter(digest for _, digest in files.values()).values()) == 1
    assert all(int(side) > 0 for size, _ in files.values() for side in size.split("x"))


@pytest.mark.skipif(not (DATASETS / "Set12").is_dir(), reason="datasets/Set12 is not here")
def test_set12_is_as_recorded():
    source = FolderSource(DATASETS / "Set12")
    assert compare(manifest()["Set12"], digests_of(source)).complete
    for index, name in enumerate(source.names):
        height, width = source.size(index)
        assert manifest()["Set12"].files[name][0] == f"{width}x{height}"


# ------------------------------------------------------------------ command line


def small_manifest(monkeypatch, **entries):
    monkeypatch.setattr("restoration.data.known_sets.manifest", lambda: entries)


def test_verify(pictures, tmp_path, monkeypatch, capsys):
    folder = pictures(3, seed=6)
    small_manifest(monkeypatch, own=entry_of(folder))
    root = tmp_path / "root"
    root.mkdir()
    assert main(["data", "verify", "--root", str(root)]) == 2
    assert "got none of own" in capsys.readouterr().err
    (root / "own").symlink_to(folder)
    assert main(["data", "verify", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "own: 3 images, checksums agree\n"
    (folder / "1.png").unlink()
    assert main(["data", "verify", "own", "--root", str(root)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "own: expected 3 images, got 2; 1 missing: 1.png\n"
    assert printed.err == "restoration: error: not as recorded: own\n"
    assert main(["data", "verify", "onw", "--root", str(root)]) == 2
    assert "did you mean 'own'" in capsys.readouterr().err


def test_list(tmp_path, capsys):
    for folder in ("BSDS500/train", "WED", "DFWB"):
        write_png(tmp_path / folder / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert main(["data", "list", "--root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split("│")[0].strip(): line for line in lines if "│" in line}
    assert set(cells) == set(manifest())
    assert "1 of 4744" in cells["WED"] and "not recorded" in cells["WED"]
    assert "1 of 200" in cells["BSDS500/train"] and "1 patches" in cells["DFWB"]
    assert manifest()["BSD400"].digest in cells["BSD400"] and " no " in cells["BSD400"]
    assert manifest()["Set12"].digest in cells["Set12"]
    assert any(line.startswith("Kodak24: ") and "Licence" in line for line in lines)
