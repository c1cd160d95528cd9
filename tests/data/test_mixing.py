"""Mixup, CutMix and CutBlur: chosen and placed by the sample's own numbers."""

import numpy as np
import pytest
import torch
from scipy import stats

from restoration.data import DenoisingDataset, FolderSource, Mixing, draw, write_png
from restoration.degradations import BatchDegradation, Chain
from restoration.degradations.batch import WAYS

ALL = Mixing(cutmix=True, cutblur=True)
NOISE = Chain({"type": "gaussian", "sigma": 40})


@pytest.fixture
def source(tmp_path):
    for number in range(5):
        image = np.random.default_rng(number).integers(0, 256, (30, 34, 3), dtype=np.uint8)
        write_png(tmp_path / f"{number}.png", image)
    return FolderSource(tmp_path)


def test_one_way_per_sample_each_as_likely():
    draws = [draw(0, index, 9, mixing=ALL) for index in range(6000)]
    ways = [drawn.way for drawn in draws]
    counts = [ways.count(way) for way in ("mixup", "cutmix", "cutblur")]
    assert stats.chisquare(counts).pvalue > 1e-3 and abs(ways.count("") / 6000 - 0.5) < 0.03
    for drawn in draws:
        assert (drawn.partner is not None) == (drawn.way in ("mixup", "cutmix"))
        assert (drawn.box is not None) == (drawn.way in ("cutmix", "cutblur"))
        assert drawn.lam == 1 or drawn.way == "mixup"
    shares = [drawn.box.side**2 for drawn in draws if drawn.way == "cutmix"]
    assert stats.kstest(shares, "uniform").pvalue > 1e-3


def test_a_sample_that_is_left_alone_is_the_same_in_every_recipe():
    for index in range(50):
        plain, mixed = draw(0, index, 9), draw(0, index, 9, mixing=ALL)
        assert (plain.image, plain.top, plain.noise_seed) == (
            mixed.image,
            mixed.top,
            mixed.noise_seed,
        )


@pytest.mark.parametrize("way", ["cutmix", "cutblur", "cutblur_outside"])
def test_rectangles_against_numpy(source, way):
    mixing = Mixing(mixup=False, cutmix=way == "cutmix", cutblur=way != "cutmix", identity=False)
    dataset = DenoisingDataset(source, 1, NOISE, mixing=mixing)
    degrade, plain = BatchDegradation(NOISE), DenoisingDataset(source, 1, NOISE)
    keys = [(i, 16) for i in range(40) if dataset[i, 16]["way"] == WAYS[way]]
    assert len(keys) >= 10
    samples = [dataset[key] for key in keys]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    degraded, clean = degrade(batch, "cpu")
    for row, key in enumerate(keys):
        alone = {name: value[None] for name, value in plain[key].items()}
        noisy, target = (image[0] for image in degrade(alone, "cpu"))
        top, left, side = batch["box"][row].tolist()
        inside = np.zeros((16, 16), bool)
        inside[top : top + side, left : left + side] = True
        assert inside.sum() == side**2 and 0 <= top and 0 <= left
        if way == "cutmix":
            prefix = "partner_"
            partner = {k: samples[row][prefix + k][None] for k in ("crop", "parameters", "seeds")}
            theirs, their_target = (image[0] for image in degrade(partner, "cpu"))
            target = torch.where(torch.from_numpy(inside), their_target, target)
            expected = torch.where(torch.from_numpy(inside), theirs, noisy)
        else:
            shown = inside if way == "cutblur" else ~inside
            expected = torch.where(torch.from_numpy(shown), target, noisy)
        torch.testing.assert_close(degraded[row], expected)
        torch.testing.assert_close(clean[row], target)


def test_noise_level_of_a_mixture(source):
    dataset = DenoisingDataset(source, 1, NOISE, mixing=Mixing(identity=False))
    sample = {name: value[None] for name, value in dataset[0, 16].items()}
    told, clean = BatchDegradation(NOISE, noise_map=True)(sample, "cpu")
    lam = sample["lam"].item()
    expected = 40 / 255 * (lam**2 + (1 - lam) ** 2) ** 0.5
    assert told[0, 3].unique().item() == pytest.approx(expected, rel=1e-5)
    assert (told[:, :3] - clean).std().item() == pytest.approx(expected, rel=0.1)
