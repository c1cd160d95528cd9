import cv2
import numpy as np
import pytest
import torch

from restoration.data import (
    CachedSource,
    DenoisingDataset,
    FolderSource,
    Mixing,
    symmetric,
    write_png,
)
from restoration.degradations import Chain

BLIND, CONSTANT = (Chain({"type": "gaussian", "sigma": sigma}) for sigma in ([0, 50], 25))


@pytest.fixture
def folder(tmp_path):
    for number, (height, width) in enumerate([(20, 30), (16, 40), (25, 18)]):
        image = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        write_png(tmp_path / f"{number}.png", image)
    return tmp_path


def test_sample_is_uint8_and_matches_its_draw(folder):
    source = FolderSource(folder)
    dataset = DenoisingDataset(source, seed=5, chain=BLIND)
    assert len(dataset) == 3
    for index in range(20):
        sample, chosen = dataset[index, 8], dataset.draw(index)
        assert set(sample) == {"crop", "parameters", "seeds"}
        assert sample["crop"].dtype == torch.uint8 and sample["crop"].shape == (3, 8, 8)
        assert sample["parameters"].item() == pytest.approx(50 * chosen.uniform)
        assert sample["seeds"].item() == chosen.noise_seed
        image = source.read(chosen.image)
        top = int(chosen.top * (image.shape[0] - 7))
        left = int(chosen.left * (image.shape[1] - 7))
        crop = symmetric(image[top : top + 8, left : left + 8], chosen.symmetry)
        np.testing.assert_array_equal(sample["crop"].permute(1, 2, 0), crop)


def test_crops_reach_every_place_equally(tmp_path):
    places = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)
    write_png(tmp_path / "a.png", places)
    dataset = DenoisingDataset(FolderSource(tmp_path), 0, CONSTANT, geometric_augs=False)
    corners = [dataset[k, 3]["crop"][0, 0, 0].item() for k in range(5600)]
    counts = np.array([corners.count(value) for value in places[:4, :7].ravel()])
    assert counts.sum() == 5600  # no crop starts elsewhere
    assert np.abs(counts / 200 - 1).max() < 0.3


def test_whole_image_as_crop_does_not_alias_the_cache(folder):
    source = CachedSource(FolderSource(folder), 10**6)
    dataset = DenoisingDataset(source, 0, CONSTANT, geometric_augs=False)
    tall = next(k for k in range(9) if dataset.draw(k).image == 1)
    before = source.read(1).copy()
    dataset[tall, 16]["crop"].zero_()
    np.testing.assert_array_equal(source.read(1), before)


def test_mixup_adds_a_partner(folder):
    plain = DenoisingDataset(FolderSource(folder), 0, BLIND)
    dataset = DenoisingDataset(FolderSource(folder), 0, BLIND, mixing=Mixing())
    alone = 0
    for index in range(40):
        sample, chosen = dataset[index, 8], dataset.draw(index)
        assert torch.equal(sample["crop"], plain[index, 8]["crop"])
        assert sample["partner_crop"].dtype == torch.uint8
        assert sample["partner_crop"].shape == (3, 8, 8)
        if chosen.partner is None:
            alone += 1
            assert sample["lam"] == 1 and not sample["partner_crop"].any()
        else:
            assert sample["lam"].item() == pytest.approx(chosen.lam)
            assert sample["partner_seeds"].item() == chosen.partner.noise_seed
            assert sample["partner_parameters"].item() == pytest.approx(50 * chosen.partner.uniform)
            assert sample["partner_crop"].any()
    assert 8 < alone < 32


def test_image_smaller_than_the_crop_is_padded_by_reflection(folder):
    """As Restormer's own code does, with OpenCV's BORDER_REFLECT at the right and lower edge."""
    dataset = DenoisingDataset(FolderSource(folder), 0, CONSTANT, geometric_augs=False)
    for side in (17, 39, 70):
        dataset.check_sizes(side)
        assert dataset.smaller == (["1.png"] if side == 17 else dataset.source.names)
        for index in range(3):
            chosen = dataset.draw(index)
            image = dataset.source.read(chosen.image)
            missing = [max(0, side - length) for length in image.shape[:2]]
            padded = cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT)
            top, left = (
                int(place * (length - side + 1))
                for place, length in zip((chosen.top, chosen.left), padded.shape[:2], strict=True)
            )
            crop = dataset[index, side]["crop"].numpy()
            assert np.array_equal(
                crop, np.moveaxis(padded[top : top + side, left : left + side], 2, 0)
            )
    dataset.check_sizes(16)
    assert dataset.smaller == []
    with pytest.raises(ValueError, match="at least 1 pixel, got 0"):
        dataset[0, 0]


def test_unreadable_image_is_named(folder):
    (folder / "2.png").write_bytes(b"no picture")
    dataset = DenoisingDataset(FolderSource(folder), 0, CONSTANT)
    with pytest.raises(ValueError, match=r"2\.png, which cannot be decoded"):
        [dataset[k, 8] for k in range(3)]


def test_settings_out_of_range(folder):
    with pytest.raises(ValueError, match="a seed in"):
        DenoisingDataset(FolderSource(folder), -1, CONSTANT)
    with pytest.raises(ValueError, match="mixup_beta > 0, got 0"):
        Mixing(beta=0.0)
    with pytest.raises(ValueError, match="mixup, cutmix or cutblur, got none"):
        Mixing(mixup=False)
