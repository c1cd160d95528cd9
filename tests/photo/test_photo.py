"""Photographs: what goes in comes out, pixel by pixel and with all that its file holds."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
import torch
from identity import Shift
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin

from restoration.photo.metadata import upright_exif, upright_xmp
from restoration.photo.photograph import NotRead
from restoration.photo.reading import read_photograph
from restoration.photo.tiles import Denoiser, denoise_pixels
from restoration.photo.writing import write_photograph

SCREEN = ImageCms.createProfile("sRGB")
SRGB = ImageCms.ImageCmsProfile(SCREEN).tobytes()
ORIENTATION, MAKE, EXIF_IFD, EXPOSURE, WIDTH, HEIGHT = 0x112, 0x10F, 0x8769, 0x829A, 0xA002, 0xA003


def denoiser(shift=0.0, tile=64, **settings):
    return Denoiser(Shift(shift), torch.device("cpu"), tile, **settings)


def noise(*shape, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random(shape)
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (values * top).astype(dtype)


def smooth(height, width, channels=3):
    """A picture that JPEG keeps nearly as it is."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(x / (5 + c)) * np.cos(y / (7 - c)) for c in range(channels)]
    return np.stack(waves, axis=2).round().astype(np.uint8)


def through(source, **settings):
    """Read a file, run the denoiser on it, write it in another folder; the new file."""
    photograph = read_photograph(source)
    photograph.pixels = denoise_pixels(denoiser(**settings), photograph.pixels)
    target = source.parent / "out" / source.name
    write_photograph(photograph, target)
    assert not list(target.parent.glob(".*")), "no half file is left"
    return target


def exif_of(orientation, width=20, height=12):
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Maker"
    exif.get_ifd(EXIF_IFD).update({EXPOSURE: 0.25, WIDTH: width, HEIGHT: height})
    return exif.tobytes()


# ------------------------------------------------------------------------------------ orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_orientations(tmp_path, orientation, suffix):
    path = tmp_path / f"a.{suffix}"
    exact = {"lossless": True} if suffix == "webp" else {}
    exact |= {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    Image.fromarray(smooth(12, 20)).save(path, exif=exif_of(orientation), **exact)
    with Image.open(through(path)) as image, Image.open(path) as before:
        expected = np.asarray(ImageOps.exif_transpose(before)).astype(int)
        found = np.asarray(image).astype(int)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= (6 if suffix == "jpg" else 0)
        exif = image.getexif()
        assert exif.get(ORIENTATION, 1) == 1 and exif[MAKE] == "Maker"
        below = exif.get_ifd(EXIF_IFD)
        assert below[EXPOSURE] == 0.25
        assert (below[WIDTH], below[HEIGHT]) == image.size


def test_the_block_of_exif_keeps_its_bytes():
    """A maker's note holds places within the block: nothing may move."""
    assert upright_exif(exif_of(1), 1) == exif_of(1)
    assert upright_exif(exif_of(3), 3) == exif_of(1)


def test_a_thumbnail_that_was_not_turned_is_unlinked():
    block = bytearray(exif_of(6))
    order, start = "<" if block[6:8] == b"II" else ">", 6
    (count,) = struct.unpack_from(f"{order}H", block, start + 8)
    link = start + 8 + 2 + 12 * count
    struct.pack_into(f"{order}I", block, link, 999)
    assert struct.unpack_from(f"{order}I", upright_exif(bytes(block), 6), link) == (0,)
    assert struct.unpack_from(f"{order}I", upright_exif(bytes(block), 1), link) == (999,)


@pytest.mark.parametrize("length", [0, 5, 9, 15, 40])
def test_damaged_exif_stays(length):
    block = exif_of(6)[:length]
    assert len(upright_exif(block, 6)) == length


def test_xmp_says_upright():
    for text in (b'<r tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"):
        assert upright_xmp(text) == text.replace(b"6", b"1")


# ------------------------------------------------------------------------------------- what stays


# colorants of red, green and blue, adapted to D50, in CIE XYZ
GAMUTS = {
    "Adobe RGB": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    "Display P3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
}


def profile_of(name):
    """A profile of three colorants and gamma 2.2, as ICC.1:2001-04 lays it out."""

    def xyz(values):
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))

    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        **{n: xyz(v) for n, v in zip((b"rXYZ", b"gXYZ", b"bXYZ"), GAMUTS[name], strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + bytes(4) + b"\0\0\0\1\x02\x33"),
    }
    table, data = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">2I", 132 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI", 128 + len(table) + len(data), bytes(4), 0x02400000)
    header += b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + data


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("gamut", [None, *GAMUTS])
def test_profiles_stay_and_their_values_too(tmp_path, suffix, gamut):
    profile = SRGB if gamut is None else profile_of(gamut)
    exact = {"lossless": True} if suffix == "webp" else {}
    exact |= {"quality": 97, "subsampling": 0} if suffix == "jpg" else {}
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(smooth(20, 24)).save(path, icc_profile=profile, **exact)
    with Image.open(through(path)) as image, Image.open(path) as before:
        assert image.info["icc_profile"] == profile
        seen = [  # as a screen of sRGB shows it
            np.asarray(ImageCms.profileToProfile(one, ImageCms.ImageCmsProfile(file), SCREEN))
            for one, file in ((image, io.BytesIO(profile)), (before, io.BytesIO(profile)))
        ]
        error = np.abs(seen[0].astype(int) - seen[1])
        assert error.max() <= (8 if suffix == "jpg" else 0)
        if gamut is not None:
            assert (seen[1] != np.asarray(before)).any(), "the profile does something"


EXACT = [(suffix, mode) for suffix in ("png", "tif") for mode in ("L", "LA", "RGB", "RGBA")]
EXACT += [("bmp", "L"), ("bmp", "RGB"), ("webp", "RGB"), ("webp", "RGBA")]


@pytest.mark.parametrize(("suffix", "mode"), EXACT)
def test_exact_pixels_of_8_bits(tmp_path, suffix, mode):
    path = tmp_path / f"a.{suffix}"
    stored = noise(30, 70, len(mode))
    image = Image.fromarray(stored[:, :, 0] if mode == "L" else stored, mode)
    image.save(path, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    with Image.open(through(path)) as found:
        assert found.mode == mode
        assert np.array_equal(np.asarray(found), np.asarray(image))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_of_16_bits(tmp_path, channels):
    stored = noise(20, 30, channels, dtype=np.uint16)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), stored)
    found = cv2.imread(str(through(path)), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    assert np.array_equal(found, stored[:, :, 0] if channels == 1 else stored)


def test_png_of_16_bits_of_grey_with_alpha(tmp_path):
    """No library writes it, so the file is made by hand; grey comes as three equal colours."""
    stored = noise(5, 6, 2, dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 6, 5, 16, 4, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
            for name, content in parts
        )
    )
    assert read_photograph(path).pixels.shape == (5, 6, 1)
    found = cv2.imread(str(through(path)), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found, stored[:, :, [0, 0, 0, 1]])


def test_chunks_of_png_stay(tmp_path):
    path = tmp_path / "a.png"
    info = Image.frombytes("RGB", (8, 8), bytes(192))
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Title", "a night")
    texts.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="1"/>')
    info.save(path, pnginfo=texts, dpi=(300, 300), icc_profile=SRGB)
    with Image.open(through(path)) as found:
        found.load()
        assert found.info["Title"] == "a night" and round(found.info["dpi"][0]) == 300
        assert (
            found.info["icc_profile"] == SRGB and "Orientation" in found.info["XML:com.adobe.xmp"]
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_every_depth(tmp_path, dtype, channels, compression):
    stored = noise(20, 30, channels, dtype=dtype)
    stored = stored[:, :, 0] if channels == 1 else stored
    path = tmp_path / "a.tif"
    alpha = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    kind = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(path, stored, photometric=kind, compression=compression, **alpha)
    with tifffile.TiffFile(through(path)) as file:
        page = file.pages.first
        found = page.asarray()
        assert found.dtype == dtype and page.photometric.name.lower() == kind
        assert (page.compression == 1) == (compression is None)
        assert np.allclose(found, stored, rtol=0, atol=0 if found.dtype.kind == "u" else 1e-6)
        assert [int(kind) for kind in page.extrasamples] == ([2] if channels == 4 else [])


def test_tags_of_tiff_stay(tmp_path):
    path = tmp_path / "a.tif"
    exif = Image.Exif()
    exif[MAKE], exif[0x10E] = "Maker", "a night"
    exif.get_ifd(EXIF_IFD).update({EXPOSURE: 0.25, WIDTH: 30, HEIGHT: 20})
    exif.get_ifd(34853).update({2: (48.0, 12.0, 30.5)})
    settings = {"icc_profile": SRGB, "dpi": (300, 300)}
    Image.fromarray(noise(20, 30, 3)).save(path, exif=exif.tobytes(), **settings)
    with Image.open(through(path)) as image:
        found = image.getexif()
        assert found[MAKE] == "Maker" and found[0x10E] == "a night"
        assert found.get_ifd(EXIF_IFD)[EXPOSURE] == 0.25
        assert found.get_ifd(34853)[2] == (48.0, 12.0, 30.5)
        assert image.info["icc_profile"] == SRGB and image.info["dpi"] == (300, 300)


def test_light_brighter_than_white_stays(tmp_path):
    stored = noise(20, 30, 3, dtype=np.float32)
    stored[3, 4] = 7.5
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb")
    found = tifffile.imread(through(path, shift=0.1))
    assert np.allclose(found[3, 4], 7.5)
    assert np.allclose(found, np.minimum(stored + 0.1, 1) + (stored - 1).clip(0), atol=1e-6)


def test_negatives_of_16_bits_come_out_positive(tmp_path):
    stored = noise(20, 30, dtype=np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="miniswhite")
    with tifffile.TiffFile(through(path)) as file:
        assert np.array_equal(file.asarray(), 65535 - stored)
        assert file.pages.first.photometric.name == "MINISBLACK"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_tiff_of_16_bits_is_turned(tmp_path, orientation):
    stored = noise(20, 30, 3, dtype=np.uint16)
    path = tmp_path / "a.tif"
    tag = (ORIENTATION, 3, 1, orientation, True)
    tifffile.imwrite(path, stored, photometric="rgb", extratags=[tag])
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
    assert np.array_equal(tifffile.imread(through(path)), np.rot90(stored, turns))


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    inks = Image.fromarray(smooth(40, 48, 4), "CMYK")
    inks.save(path, icc_profile=b"a profile of some press")
    with Image.open(through(path)) as found, Image.open(path) as before:
        assert found.mode == "CMYK" and found.info["icc_profile"] == b"a profile of some press"
        error = np.abs(np.asarray(found).astype(int) - np.asarray(before))
        assert error.max() <= (8 if suffix == "jpg" else 0)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_keeps_its_tables(tmp_path, subsampling):
    path = tmp_path / "a.jpg"
    settings = {"quality": 71, "subsampling": subsampling, "progressive": subsampling == 2}
    Image.fromarray(smooth(40, 48)).save(path, comment=b"hello", dpi=(240, 240), **settings)
    caption = b"\xff\xed\x00\x0aPhotosho"
    data = path.read_bytes()
    path.write_bytes(data[:2] + caption + data[2:])
    with Image.open(through(path)) as found, Image.open(path) as before:
        assert found.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(found) == subsampling
        assert ("progressive" in found.info) == (subsampling == 2)
        assert found.info["comment"] == b"hello" and found.info["dpi"] == (240, 240)
        assert ("APP13", b"Photosho") in found.applist


def test_grey_jpeg_stays_grey(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth(40, 48)[:, :, 0]).save(path)
    with Image.open(through(path)) as found:
        assert found.mode == "L"


def test_palettes_and_bits_say_what_became_of_them(tmp_path):
    for mode in ("P", "1"):
        path = tmp_path / f"{mode}.png"
        image = Image.fromarray(noise(20, 30, 3)).convert(mode)
        image.save(path)
        assert read_photograph(path).notes
        with Image.open(through(path)) as found:
            assert found.mode == ("RGB" if mode == "P" else "L")
            assert np.array_equal(np.asarray(found), np.asarray(image.convert(found.mode)))


# ---------------------------------------------------------------------------------- what is refused


def test_refusals(tmp_path):
    frames = [Image.fromarray(noise(9, 9, 3, seed=n)) for n in range(2)]
    frames[0].save(tmp_path / "moves.png", save_all=True, append_images=frames[1:])
    tifffile.imwrite(tmp_path / "huge.tif", noise(9, 9, dtype=np.float32) * 65535)
    tifffile.imwrite(tmp_path / "deep.tif", noise(9, 9, dtype=np.uint32))
    tifffile.imwrite(tmp_path / "nan.tif", np.full((9, 9), np.nan, np.float32))
    tifffile.imwrite(
        tmp_path / "five.tif", noise(9, 9, 5), photometric="rgb", planarconfig="contig"
    )
    for name, message in (
        ("moves.png", "animation of 2"),
        ("huge.tif", "in about .0, 1., got a median"),
        ("deep.tif", "32 bits"),
        ("nan.tif", "NaN"),
        ("five.tif", "5 channels"),
    ):
        with pytest.raises(NotRead, match=message):
            read_photograph(tmp_path / name)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp"])
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise(40, 40, 3)).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_photograph(path)


def test_files_that_need_a_package(tmp_path, monkeypatch):
    monkeypatch.setattr("restoration.photo.foreign.find_spec", lambda name: None)
    for name, package in (("a.heic", "pillow-heif"), ("a.DNG", "rawpy")):
        (tmp_path / name).write_bytes(b"whatever")
        with pytest.raises(NotRead, match=f"pip install {package}"):
            read_photograph(tmp_path / name)


def test_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(noise(9, 9, 3)).save(path)
    photograph, before = read_photograph(path), path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_photograph(photograph, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
