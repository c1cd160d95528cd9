"""MILO: its file, odd sizes, what it says; the authors' weights on their example pair."""

import json
from pathlib import Path

import pytest
import torch
from loss_inputs import make_pair
from skimage.io import imread

import losses

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text())


def test_golden(authors):
    pair = [imread(authors / name) for name in ("dist.bmp", "ref.bmp")]
    images = [torch.from_numpy(i).permute(2, 0, 1)[None].float() / 255 for i in pair]
    with torch.no_grad():
        value = losses.MILO(authors / "MILO.pth")(*images)
    assert value.item() == pytest.approx(GOLDEN["distance"]["MILO"], abs=1e-6)


def test_number_of_parameters(files):
    term = losses.MILO(files / "milo.pth")
    assert sum(b.numel() for b in term.masks.buffers()) == 43_777


@pytest.mark.parametrize("size", [(8, 8), (17, 30), (31, 9)])
def test_any_size(files, size):
    x, y = (image[:, :, : size[0], : size[1]] for image in make_pair(side=32))
    mask = losses.MILO(files / "milo.pth").mask(x, y)
    assert mask.shape == (2, 1, *size)
    assert (mask >= 0).all()
    assert (mask <= 4).all()


def test_raises(files, tmp_path):
    with pytest.raises(FileNotFoundError, match="weights MILO .*weights fetch MILO.*your own copy"):
        losses.build_term("MILO")
    with pytest.raises(ValueError, match="pixel.safetensors: expected weights of MILO"):
        losses.MILO(files / "pixel.safetensors")
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        losses.MILO(tmp_path / "nowhere.pth")
    x, y = make_pair(side=7)
    with pytest.raises(ValueError, match="expected at least 8x8 pixels for MILO, got 7x7"):
        losses.MILO(files / "milo.pth")(x, y)
