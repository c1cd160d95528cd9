"""HEIC, raw files and compressed deep TIFFs, where the packages of the extra `[photo]` are."""

from importlib.util import find_spec

import numpy as np
import pytest
import tifffile
import torch
from identity import Shift
from PIL import Image

from restoration.photo.files import plan
from restoration.photo.photograph import NotRead
from restoration.photo.reading import read_photograph
from restoration.photo.tiles import Denoiser, denoise_pixels
from restoration.photo.writing import write_photograph

MAKE, ORIENTATION = 0x10F, 0x112
RGGB = bytes((0, 1, 1, 2))  # what the pixels of a sensor see


def through(source, target):
    photograph = read_photograph(source)
    pixels = denoise_pixels(Denoiser(Shift(), torch.device("cpu"), 64), photograph.pixels)
    assert np.array_equal(pixels, photograph.pixels)
    write_photograph(photograph, target)
    return photograph


def waves(height, width, channels=3):
    y, x = np.mgrid[:height, :width]
    parts = [0.5 + 0.4 * np.sin(x / (9 + c)) * np.cos(y / 11) for c in range(channels)]
    return np.stack(parts, axis=2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGB;16"])
def test_heic(tmp_path, mode):
    pillow_heif = pytest.importorskip("pillow_heif")
    deep, channels = mode.endswith("16"), 4 if mode == "RGBA" else 3
    stored = (waves(40, 60, channels) * (65535 if deep else 255)).astype("u2" if deep else "u1")
    exif = Image.Exif()
    exif[MAKE] = "Maker"
    settings = {"exif": exif.tobytes(), "quality": 95}
    path = tmp_path / "a.heic"
    pillow_heif.encode(mode, (60, 40), stored.tobytes(), path, **settings)
    photograph = through(path, tmp_path / "b.heic")
    assert photograph.pixels.dtype == (np.uint16 if deep else np.uint8)
    written = pillow_heif.open_heif(tmp_path / "b.heic", convert_hdr_to_8bit=False)[0]
    assert written.mode == mode and written.info["bit_depth"] == (10 if deep else 8)
    found = Image.Exif()
    found.load(written.info["exif"])
    assert found[MAKE] == "Maker"
    scale = 257 if deep else 1
    assert np.abs(np.asarray(written).astype(int) - stored).mean() < 3 * scale


def test_heic_is_turned_once(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    stored = (waves(40, 60) * 255).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    pillow_heif.from_pillow(Image.fromarray(stored)).save(tmp_path / "a.heic", exif=exif.tobytes())
    through(tmp_path / "a.heic", tmp_path / "b.heic")
    written = pillow_heif.open_heif(tmp_path / "b.heic")[0]
    assert written.size == (40, 60)
    assert np.abs(np.asarray(written).astype(int) - np.rot90(stored, 3)).mean() < 4


def raw_file(path, linear):
    """A DNG as small as can be: a mosaic, a matrix, and what orders its colours."""
    mosaic = np.zeros(linear.shape[:2], np.uint16)
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[y::2, x::2] = linear[y::2, x::2, channel] * 60000
    matrix = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    fractions = tuple(part for value in matrix for part in (round(value * 10000), 10000))
    tags = [
        *((50706, 1, 4, bytes((1, 4, 0, 0)), True), (50707, 1, 4, bytes((1, 1, 0, 0)), True)),
        *((50708, 2, 0, "Test", True), (MAKE, 2, 0, "Maker", True), (272, 2, 0, "Model", True)),
        *((ORIENTATION, 3, 1, 6, True), (33421, 3, 2, (2, 2), True), (33422, 1, 4, RGGB, True)),
        *((50710, 1, 3, bytes((0, 1, 2)), True), (50711, 3, 1, 1, True)),
        *((50717, 4, 1, 60000, True), (50721, 10, 9, fractions, True)),
        *((50728, 5, 3, (1, 1) * 3, True), (50778, 3, 1, 21, True)),
    ]
    settings = {"metadata": None, "software": False, "datetime": False}
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, **settings)


def test_raw_files_are_developed(tmp_path):
    pytest.importorskip("rawpy")
    expected = waves(64, 96)
    expected[:8, :8] = 1  # libraw takes the brightest for white where it is near
    raw_file(tmp_path / "a.dng", expected**2.2)
    (job,) = plan([tmp_path / "a.dng"], tmp_path / "out").jobs
    assert job.target.name == "a.tif"
    photograph = through(job.source, job.target)
    assert photograph.notes == ["developed: 16 bits, sRGB"]
    with tifffile.TiffFile(job.target) as file:
        page = file.pages.first
        assert page.dtype == np.uint16 and page.shape == (96, 64, 3), "turned"
        assert page.tags["Make"].value == "Maker" and page.iccprofile[36:40] == b"acsp"
        inside = (slice(4, -4), slice(4, -4))
        error = np.abs(page.asarray() / 65535 - np.rot90(expected, 3))[inside]
        assert np.median(error) < 0.02


def test_compressed_deep_tiff(tmp_path):
    """OpenCV's libtiff writes LZW; to read it at 16 bits takes a package."""
    import cv2

    stored = (waves(40, 60) * 65535).astype(np.uint16)
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), stored[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    if find_spec("imagecodecs") is None:
        with pytest.raises(NotRead, match="16 bits in LZW need imagecodecs: pip install"):
            read_photograph(path)
        return
    through(path, tmp_path / "b.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), stored)
