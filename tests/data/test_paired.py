"""Pairs of images: matched by name, cut and turned alike, mixed, or refused."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch

from restoration.data import (
    CachedSource,
    Mixing,
    PairedDataset,
    PairedSource,
    make_lmdb,
    open_pairs,
    write_png,
)
from restoration.degradations import BatchDegradation

SIZES = {"a.png": (20, 30), "deep/b.png": (24, 18), "deep/c.png": (16, 40), "d.v2.png": (22, 22)}


def picture(name: str, size: tuple[int, int]) -> np.ndarray:
    seed = sum(name.encode())
    return np.random.default_rng(seed).integers(0, 200, (*size, 3), dtype=np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Clean images, and partners that are brighter by 50."""
    for name, size in SIZES.items():
        image = picture(name, size)
        write_png(tmp_path / "gt" / name, image)
        write_png(tmp_path / "lq" / name, image + np.uint8(50))
    return tmp_path


def dataset(folders, **options) -> PairedDataset:
    sources = open_pairs(str(folders / "gt"), str(folders / "lq"))
    return PairedDataset(PairedSource(*sources), 3, **options)


def test_pairs_are_cut_and_turned_alike(folders):
    pairs = dataset(folders)
    assert len(pairs) == 4
    for index in range(60):
        sample = pairs[index, 12]
        assert set(sample) == {"crop", "input_crop"}
        assert sample["input_crop"].dtype == torch.uint8
        assert torch.equal(sample["input_crop"], sample["crop"] + 50)
    turned = {pairs.draw(index).symmetry for index in range(60)}
    assert turned == set(range(8))


def test_a_pair_depends_on_seed_and_number_only(folders):
    first, second = dataset(folders), dataset(folders)
    for index in (9, 0, 33):
        for key, value in first[index, 8].items():
            assert torch.equal(value, second[index, 8][key])


def test_mixup_of_pairs(folders):
    pairs = dataset(folders, mixing=Mixing(identity=False))
    samples = [pairs[index, 12] for index in range(8)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    degraded, clean = BatchDegradation(None)(batch, "cpu")
    torch.testing.assert_close(degraded, clean + 50 / 255)  # whatever the weight
    assert (batch["lam"] != 1).all()
    lam = batch["lam"].view(-1, 1, 1, 1)
    expected = lam * batch["crop"] / 255 + (1 - lam) * batch["partner_crop"] / 255
    torch.testing.assert_close(clean, expected)


@pytest.mark.parametrize("template", ["{}_noisy", "lq-{}"])
def test_names_by_template_and_other_extensions(folders, template):
    for name in SIZES:
        path = folders / "lq" / name
        path.rename(path.with_name(template.format(path.stem) + ".bmp"))
        image = cv2.imread(str(folders / "gt" / name))
        cv2.imwrite(str(path.with_name(template.format(path.stem) + ".bmp")), image)
    clean, degraded = open_pairs(str(folders / "gt"), str(folders / "lq"), template)
    assert clean.names == sorted(SIZES, key=clean.names.index) and len(degraded) == 4
    for index in range(4):
        np.testing.assert_array_equal(clean.read(index), degraded.read(index))


@pytest.mark.skipif(find_spec("basicsr") is None, reason="BasicSR is not installed")
def test_lmdb_pairs(folders):
    for side in ("gt", "lq"):
        make_lmdb(folders / side, folders / f"{side}.lmdb")
    from_folders = dataset(folders)
    sources = open_pairs(str(folders / "gt.lmdb"), str(folders / "lq.lmdb"))
    from_lmdb = PairedDataset(PairedSource(*(CachedSource(s, 10**6) for s in sources)), 3)
    for index in range(8):
        for key, value in from_folders[index, 8].items():
            assert torch.equal(value, from_lmdb[index, 8][key])


def test_missing_partner_is_named(folders):
    (folders / "lq" / "deep/b.png").unlink()
    (folders / "lq" / "a.png").unlink()
    message = r"none for 2 of 4: a\.png \(as a\.\*\), deep/b\.png \(as deep/b\.\*\)"
    with pytest.raises(ValueError, match=message):
        open_pairs(str(folders / "gt"), str(folders / "lq"))


def test_two_partners_are_named(folders):
    write_png(folders / "x.png", picture("x", (20, 30)))
    (folders / "x.png").rename(folders / "lq" / "a.bmp")
    with pytest.raises(ValueError, match=r"one partner of a\.png in .*lq, got a\.bmp, a\.png"):
        open_pairs(str(folders / "gt"), str(folders / "lq"))


def test_another_size_is_named(folders):
    write_png(folders / "lq" / "a.png", picture("a", (20, 31)))
    with pytest.raises(ValueError, match=r"20x30 \(height x width\) in a\.png and 20x31"):
        dataset(folders).check_sizes(8)


def test_template_needs_one_place(folders):
    for template in ("noisy", "{}{}"):
        with pytest.raises(ValueError, match="expected one {} in filename_tmpl"):
            open_pairs(str(folders / "gt"), str(folders / "lq"), template)


def test_partners_without_a_clean_image_are_said(folders, caplog):
    write_png(folders / "lq" / "extra.png", picture("extra", (20, 20)))
    open_pairs(str(folders / "gt"), str(folders / "lq"))
    assert "1 of 5 images of" in caplog.text and "extra.png" in caplog.text
