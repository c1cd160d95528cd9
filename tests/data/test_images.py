"""Decoding against Pillow and tifffile, both independent of OpenCV."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from restoration.data import images


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def _png16(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits per channel, written by hand; pixels (H, W, 1..4) uint16."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "webp"])
def test_lossless_formats_are_read_exactly(tmp_path, rgb, suffix):
    path = tmp_path / f"größe 图.{suffix}"
    Image.fromarray(rgb).save(path, **({"lossless": True} if suffix == "webp" else {}))
    read = images.read_image(path)
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, rgb)


def test_jpeg_is_rgb(tmp_path, rgb):
    smooth = cv2.GaussianBlur(rgb, (0, 0), 3)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=98)
    read = images.read_rgb8(tmp_path / "a.jpg").astype(int)
    np.testing.assert_allclose(read, smooth.astype(int), atol=8)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_other_colour_modes_become_rgb(tmp_path, rgb, mode):
    alpha = np.arange(600).reshape(20, 30, 1) % 256
    picture = Image.fromarray(np.concatenate([rgb, alpha.astype(np.uint8)], 2)).convert(mode)
    picture.save(tmp_path / "a.png")
    expected = np.asarray(picture.convert("RGBA"))[..., :3]
    if mode == "RGBA":
        np.testing.assert_array_equal(expected, rgb)  # dropped, not blended
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits(channels):
    pixels = np.random.default_rng(1).integers(0, 65536, (7, 9, channels), dtype=np.uint16)
    expected = pixels[..., :3] if channels > 2 else np.repeat(pixels[..., :1], 3, 2)
    data = _png16(pixels)
    np.testing.assert_array_equal(images.read_image(data), expected)
    rounded = np.rint(expected / 257)
    np.testing.assert_array_equal(images.read_rgb8(data), rounded)
    np.testing.assert_allclose(images.read_float(data), expected / 65535, atol=1e-7)
    assert images.read_float(data).dtype == np.float32


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3)])
def test_tiff_of_16_bits(tmp_path, shape):
    pixels = np.random.default_rng(1).integers(0, 65536, shape, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if len(shape) == 3 else None)
    read = images.read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, pixels if pixels.ndim == 3 else np.stack([pixels] * 3, 2))


def test_every_16_bit_value_is_rounded():
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(images.to_uint8(values), np.rint(values / 257))
    assert images.to_float(values)[-1] == 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3)])
def test_written_png_reads_back(tmp_path, dtype, shape):
    pixels = np.random.default_rng(2).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    images.write_png(tmp_path / "new" / "ü.png", pixels)
    expected = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, 2)
    np.testing.assert_array_equal(images.read_image(tmp_path / "new" / "ü.png"), expected)
    if dtype == np.uint8:
        with Image.open(tmp_path / "new" / "ü.png") as truth:
            np.testing.assert_array_equal(np.asarray(truth), pixels)


@pytest.mark.parametrize("content", [b"", b"no picture", "half"])
def test_unreadable_file_is_named(tmp_path, rgb, content):
    if content == "half":
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, "PNG")
        content = stream.getvalue()[:500]
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png"):
        images.read_image(tmp_path / "broken.png")
    with pytest.raises(ValueError, match="got key 7,"):
        images.read_image(content, name="key 7")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decoded_picture_reads_back(tmp_path, dtype):
    image = np.arange(5 * 4 * 3).reshape(5, 4, 3).astype(dtype) * 3
    (tmp_path / "a.npy").write_bytes(images.encode_array(image[::-1]))
    read = images.read_image(tmp_path / "a.npy")
    assert read.dtype == dtype and type(read) is np.ndarray
    np.testing.assert_array_equal(read, image[::-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"got \(4, 5\) uint8 in .*a.npy"),
        (np.zeros((4, 5, 3)), r"got \(4, 5, 3\) float64 in .*a.npy"),
        (np.array([{}], dtype=object), "expected a readable image, got .*a.npy"),
        (None, "expected a readable image, got .*a.npy"),
    ],
)
def test_decoded_picture_refuses(tmp_path, content, message):
    if content is None:
        (tmp_path / "a.npy").write_bytes(b"")
    else:
        np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=message):
        images.read_image(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="expected RGB"):
        images.encode_array(np.zeros((4, 5), np.uint8))


def test_missing_file_and_wrong_depth(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        images.read_image(tmp_path / "nothing.png")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match=r"8 or 16 bits.*float\.tif: 32 floating-point bits"):
        images.read_image(tmp_path / "float.tif")
    for scale in (images.to_uint8, images.to_float):
        with pytest.raises(ValueError, match="expected uint8 or uint16, got float64"):
            scale(np.zeros(3))


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("a.jpg", np.zeros((4, 4, 3), np.uint8), "ending in .png"),
        ("a.png", np.zeros((4, 4, 3)), "uint8 or uint16, got float64"),
        ("a.png", np.zeros((3, 4, 4), np.uint8), r"\(H, W, 3\)"),
    ],
)
def test_write_png_refuses(tmp_path, name, image, message):
    with pytest.raises(ValueError, match=message):
        images.write_png(tmp_path / name, image)
