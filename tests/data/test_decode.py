"""Decoding of every format of the table, against pixels stored by hand, Pillow's and tifffile's."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from restoration.data import decode_png
from restoration.data.decode import decode, turn
from restoration.data.images import image_size

ORIENTATION = 0x0112


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bmp(pixels: bytes, bits: int, width: int, height: int, header: bytes = b"") -> bytes:
    """A BMP file, whose rows are padded already."""
    offset = 14 + len(header)
    return struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + header + pixels


def info_header(bits: int, width: int, height: int, compression: int = 0, *masks: int) -> bytes:
    fields = (40, width, height, 1, bits, compression, 0, 2835, 2835, 0, 0)
    return struct.pack("<IiiHHIIiiII", *fields) + struct.pack(f"<{len(masks)}I", *masks)


def test_palette_of_os2():
    """A core header of 12 bytes, palette entries of three: read as grey by OpenCV."""
    palette = bytes(v for n in range(256) for v in (n, 255 - n, (n * 7) % 256))  # B, G, R
    header = struct.pack("<IHHHH", 12, 4, 2, 1, 8) + palette
    data = bmp(bytes([4, 5, 6, 7, 0, 1, 2, 3]), 8, 4, 2, header)  # from the last row up
    expected = [[((n * 7) % 256, 255 - n, n) for n in row] for row in ((0, 1, 2, 3), (4, 5, 6, 7))]
    np.testing.assert_array_equal(decode(data, "os2.bmp"), np.array(expected, np.uint8))


@pytest.mark.parametrize(
    ("compression", "masks", "bits"),
    [(0, (), (10, 5, 0, 31)), (3, (0xF800, 0x07E0, 0x001F), (11, 5, 0, 63))],
)
def test_bmp_of_16_bits(compression, masks, bits):
    """5 + 5 + 5 bits, and 5 + 6 + 5 as bit fields: brought to the full range, not left dim."""
    red, green, blue, most_green = bits
    values = [(31 << red) | (most_green << green) | (31 << blue), 31 << red, most_green << green, 0]
    header = info_header(16, 4, 1, compression, *masks)
    read = decode(bmp(struct.pack("<4H", *values), 16, 4, 1, header), "fields.bmp")
    white_red_green_black = [(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 0)]
    np.testing.assert_array_equal(read, np.array([white_red_green_black], np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_either_plane_order(dtype, planar, compression):
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (7, 9, 3)).astype(dtype)
    stored = pixels if planar == "contig" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    file = io.BytesIO()
    options = {"photometric": "rgb", "planarconfig": planar, "compression": compression}
    tifffile.imwrite(file, stored, **options)
    np.testing.assert_array_equal(decode(file.getvalue(), "a.tif"), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_tiff_that_stores_the_negative(dtype):
    pixels = np.random.default_rng(2).integers(0, np.iinfo(dtype).max, (7, 9)).astype(dtype)
    file = io.BytesIO()
    tifffile.imwrite(file, np.iinfo(dtype).max - pixels, photometric="miniswhite")
    np.testing.assert_array_equal(decode(file.getvalue(), "a.tif"), np.stack([pixels] * 3, 2))


def test_palette_tiff_of_1_bit():
    colours = ((200, 10, 30), (5, 60, 250))
    entries = [
        (256, 3, 1, 8), (257, 3, 1, 2), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 3),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 2), (320, 3, 6, 10),
    ]  # fmt: skip
    table = struct.pack("<6H", *(257 * colour[c] for c in range(3) for colour in colours))
    body = bytes([0b10110010, 0b01000001]) + table
    place = 8 + len(body)
    tags = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    directory = struct.pack("<H", len(entries)) + tags + b"\0" * 4
    data = struct.pack("<2sHI", b"II", 42, place) + body + directory
    bits = np.array([[1, 0, 1, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(decode(data, "p.tif"), np.array(colours, np.uint8)[bits])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF16", "PNG16"])
def test_orientation_is_obeyed(tmp_path, rgb, kind, orientation):
    """The upright image of every format and of its turned twin is the same, and so is its size."""
    upright = np.kron(rgb[:5, :4], np.ones((8, 8, 1), np.uint8))  # (40, 32, 3), in blocks of JPEG
    back = {6: 8, 8: 6}.get(orientation, orientation)
    stored = np.ascontiguousarray(turn(upright, back))
    path = tmp_path / f"a.{kind.removesuffix('16').lower()}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if kind == "TIFF16":
        tags = [(ORIENTATION, "H", 1, orientation, True)]
        deep = stored.astype(np.uint16) * 257
        tifffile.imwrite(path, deep, photometric="rgb", extratags=tags)
    elif kind == "PNG16":
        path.write_bytes(png16(stored.astype(np.uint16) * 257, exif.tobytes()))
    else:
        options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
        Image.fromarray(stored).save(path, kind, exif=exif, **options.get(kind, {}))
    read = decode(path.read_bytes(), path.name)
    scale = 257 if kind.endswith("16") else 1
    tolerance = 3 if kind == "JPEG" else 0
    np.testing.assert_allclose(read / scale, upright.astype(float), atol=tolerance)
    assert image_size(path) == upright.shape[:2]


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png16(pixels: np.ndarray, exif: bytes = b"", *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits per channel, its metadata behind the pixels, where the format allows it."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), *more]
    chunks.append((b"IDAT", zlib.compress(rows)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in [*chunks, (b"IEND", b"")])


def test_decoders_are_silent(capfd, rgb):
    """Libpng warns of a colour profile that it does not like; libtiff of a file cut short."""
    deep = rgb.astype(np.uint16) * 257
    profile = b"bad profile\0\0" + zlib.compress(b"no profile at all")
    np.testing.assert_array_equal(decode(png16(deep, b"", (b"iCCP", profile)), "a.png"), deep)
    tiff = encoded(Image.fromarray(rgb), "TIFF", compression="tiff_lzw")
    with pytest.raises(ValueError, match="cut.tif"):
        decode(tiff[:200] + b"\xff" * 100 + tiff[300:], "cut.tif")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_files_are_refused(kind, rgb):
    whole = encoded(Image.fromarray(rgb), kind)
    with pytest.raises(ValueError, match=r"expected a readable image, got half"):
        decode(whole[: len(whole) * 2 // 3], "half")


def test_what_is_not_read_is_refused(rgb):
    image = Image.fromarray(rgb)
    film = {"save_all": True, "append_images": [Image.fromarray(rgb[::-1].copy())]}
    cases = {
        "cmyk.jpg: colours of kind CMYK": encoded(image.convert("CMYK"), "JPEG"),
        "film.png: an animation of 2 images": encoded(image, "PNG", **film),
        "film.webp: an animation of 2 images": encoded(image, "WEBP", **film),
        "lab.tif: colours of kind LAB": encoded(image.convert("LAB"), "TIFF"),
    }
    for name, options, pixels in (
        ("float.tif: 32 floating-point bits", {"photometric": "rgb"}, rgb.astype(np.float32)),
        ("signed.tif: 16 signed bits", {"photometric": "minisblack"}, rgb[..., 0].astype(np.int16)),
        ("alpha.tif: colours multiplied by alpha", {"photometric": "rgb",
         "extrasamples": ["assocalpha"]}, np.concatenate([rgb, rgb[..., :1]], 2)),
    ):  # fmt: skip
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, **options)
        cases[name] = file.getvalue()
    for message, data in cases.items():
        with pytest.raises(ValueError, match=message):
            decode(data, message.split(":")[0])


def test_giant_header_is_refused_before_memory_is_asked_for():
    header = struct.pack(">IIBBBBB", 40_000, 30_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match=r"giga\.png.*1200000000 pixels"):
        decode(data, "giga.png")


def test_damaged_checks_name_the_file(tmp_path):
    for content in (b"", b"no image", b"II*\0" + b"\xff" * 12):
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.tif"):
            decode(content, "a.tif")
        with pytest.raises(ValueError, match=r"a\.tif"):
            image_size(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_pixels_are_ones_own(mode, rgb):
    pixels = decode(encoded(Image.fromarray(rgb).convert(mode), "PNG"), "a.png")
    assert pixels.flags.writeable and pixels.flags.c_contiguous


# ------------------------------------------------------------- plain PNG files by imagecodecs


def with_chunk(data: bytes, name: bytes, content: bytes) -> bytes:
    """A PNG file with one more chunk behind its header."""
    return data[:33] + chunk(name, content) + data[33:]


@pytest.fixture
def asked(monkeypatch):
    """Files that the other decoder was asked for; it answers zeros."""
    seen = []

    def decoder(data):
        seen.append(data)
        return np.zeros((20, 30, 3), np.uint8)

    monkeypatch.setattr(decode_png, "_decoder", lambda: decoder)
    return seen


def test_plain_png_files_are_left_to_the_other_decoder(asked, rgb):
    data = encoded(Image.fromarray(rgb), "PNG")
    for plain in (
        data,
        with_chunk(data, b"tEXt", b"Software\0x"),
        with_chunk(data, b"gAMA", b"1234"),
    ):
        assert decode(plain, "a.png").max() == 0
    assert asked == [data] * 3, "what it gets are the pixels alone"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: with_chunk(data, b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
        lambda data: with_chunk(data, b"tEXt", b"Raw profile type exif\0x"),
        lambda data: with_chunk(data, b"tRNS", b"\0\1\0\2\0\3"),
        lambda data: with_chunk(data, b"iCCP", b"a\0\0" + zlib.compress(b"no profile")),
        lambda data: data + b"more",
    ],
)
def test_other_png_files_are_not(asked, rgb, change):
    data = change(encoded(Image.fromarray(rgb), "PNG"))
    np.testing.assert_array_equal(decode(data, "a.png"), rgb)
    assert asked == []


def test_what_is_no_rgb_png_of_8_bits_is_not(asked, rgb):
    for data in (
        *(encoded(Image.fromarray(rgb).convert(m), "PNG") for m in ("L", "RGBA", "P", "1")),
        encoded(Image.fromarray(rgb), "BMP"),
        png16(rgb.astype(np.uint16) * 257),
    ):
        decode(data, "a")
    assert asked == []


def test_a_damaged_check_of_metadata_is_not(asked, rgb):
    data = bytearray(with_chunk(encoded(Image.fromarray(rgb), "PNG"), b"tEXt", b"Software\0x"))
    data[33 + 12] ^= 1
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(bytes(data), "a.png")
    assert asked == []


def test_more_pixels_than_pillow_takes_are_refused_as_before(asked, rgb, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="decompression bomb"):
        decode(encoded(Image.fromarray(rgb), "PNG"), "a.png")
    assert asked == []


def test_what_the_other_decoder_refuses_pillow_reads(monkeypatch, rgb):
    def refuses(data):
        raise RuntimeError("not mine")

    monkeypatch.setattr(decode_png, "_decoder", lambda: refuses)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(rgb), "PNG"), "a.png"), rgb)


def test_imagecodecs_gives_the_pixels_of_pillow(monkeypatch, rgb, capfd):
    pytest.importorskip("imagecodecs")
    whole = encoded(Image.fromarray(rgb), "PNG")
    generator = np.random.default_rng(3)
    files = [whole, whole[:-40]]
    for place in generator.integers(33, len(whole), 100):
        files.append(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

    def answer(data):
        try:
            return decode(data, "a.png")
        except ValueError:
            return None

    read = [answer(data) for data in files]
    assert decode_png.decode_plain(whole) is not None
    monkeypatch.setattr(decode_png, "_decoder", lambda: None)
    for mine, data in zip(read, files, strict=True):
        np.testing.assert_array_equal(mine, answer(data))
    assert capfd.readouterr() == ("", "")
