"""TIFF: every depth, floating point, inks, alpha, and the tags that tell of the image.

tifffile reads what it can by itself, Pillow the rest up to 8 bits. Tags are read as Pillow's
directories; those of EXIF and GPS are directories of their own, behind the pixels.
"""

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from restoration.data.decode import turn
from restoration.data.decode_tiff import complaints
from restoration.photo.metadata import EXIF_IFD, SIDES, upright_xmp
from restoration.photo.photograph import NotRead, Photograph, of_8_bits, split_alpha

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG = ord("+")  # the version of files with places of 8 bytes
CHANNELS = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3, "SEPARATED": 4}  # by photometric
PHOTOMETRIC = {1: "minisblack", 3: "rgb", 4: "separated"}  # by channels
GPS_IFD, INTEROPERABILITY, ICC, XMP = 34853, 0xA005, 34675, 700
# description, camera, software, date, author, computer, rating, XMP, copyright, IPTC, Photoshop
KEPT = (270, 271, 272, 305, 306, 315, 316, 18246, 18249, XMP, 33432, 33723, 34377)
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
UNASSOCIATED = 2  # alpha that the colours are not multiplied by
NEEDS_PACKAGE = "imagecodecs"


def read(data: bytes) -> Photograph:
    """Read the first page of a TIFF.

    Args:
        data: content of the file.

    Raises:
        NotRead: its depth, colours or channels are of a kind that is not read, or its compression
            needs a package that is not installed.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages, page = len(file.pages), file.pages.first
        photometric = getattr(page.photometric, "name", str(page.photometric))
        photograph = _read_page(page, photometric) or _by_pillow(data, photometric)
        orientation = page.tags.valueof("Orientation", default=1)
        if not photograph.settings.pop("upright", False):
            photograph.pixels = np.ascontiguousarray(turn(photograph.pixels, orientation))
            if photograph.alpha is not None:
                photograph.alpha = np.ascontiguousarray(turn(photograph.alpha, orientation))
        photograph.settings["compressed"] = page.compression != 1
    if pages > 1:
        photograph.notes.append(f"the first of its {pages} pages alone")
    add_tags(photograph, data)
    return photograph


def _read_page(page: Any, photometric: str) -> Photograph | None:
    """A page that tifffile reads; None for one of at most 8 bits that Pillow is asked for."""
    bits = page.bitspersample
    shallow = bits <= 8
    plain = page.dtype is not None and page.dtype.name in ("uint8", "uint16") and bits in (8, 16)
    if photometric not in CHANNELS or not (plain or page.dtype.kind == "f"):
        if shallow:
            return None
        raise NotRead(f"{bits} bits of {page.dtype}, {photometric}, are not read here")
    extra = page.samplesperpixel - CHANNELS[photometric]
    if extra not in (0, 1):
        raise NotRead(f"{page.samplesperpixel} channels of {photometric} are not read here")
    try:
        stored = page.asarray()
    except (KeyError, ValueError) as error:
        if NEEDS_PACKAGE not in str(error):
            raise
        if shallow:
            return None
        name = getattr(page.compression, "name", page.compression)
        raise NotRead(
            f"{bits} bits in {name} need {NEEDS_PACKAGE}: pip install {NEEDS_PACKAGE}"
        ) from error
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        stored = np.moveaxis(stored, 0, -1)  # (C, H, W) -> (H, W, C)
    pixels, alpha = split_alpha(stored, extra == 1)
    if photometric == "MINISWHITE":
        pixels = (np.iinfo(pixels.dtype).max if plain else 1) - pixels
    _check_range(pixels)
    kind = int(page.extrasamples[0]) if extra and page.extrasamples else UNASSOCIATED
    return Photograph(pixels, "TIFF", alpha, settings={"alpha": kind})


def _check_range(pixels: np.ndarray) -> None:
    if pixels.dtype.kind != "f":
        return
    if not np.isfinite(pixels).all():
        raise NotRead("floating point with infinities or NaN is not read here")
    step = max(min(pixels.shape[:2]) // 256, 1)
    middle = float(np.median(pixels[::step, ::step]))
    if not -0.1 <= middle <= 1.1:
        raise NotRead(f"expected floating point in about [0, 1], got a median of {middle:.4g}")


def _by_pillow(data: bytes, photometric: str) -> Photograph:
    with complaints() as said, Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        image.load()  # upright
        pixels, alpha, notes = of_8_bits(image)
    if said:
        raise ValueError(said[0])
    settings = {"alpha": UNASSOCIATED, "upright": True}
    return Photograph(pixels, "TIFF", alpha, settings=settings, notes=notes)


def add_tags(photograph: Photograph, data: bytes) -> None:
    """Take what the tags of a TIFF, or of a raw file that is one, tell of an image."""
    main = _directory(data)
    photograph.icc = main.get(ICC) or photograph.icc
    kept = {tag: main[tag] for tag in KEPT if tag in main}
    if XMP in kept:
        kept[XMP] = upright_xmp(kept[XMP])
    below = {}
    for tag in (EXIF_IFD, GPS_IFD):
        if isinstance(main.get(tag), int):
            below[tag] = _directory(data, main[tag])
    photograph.settings |= {
        "tags": [_tag(tag, main.tagtype[tag], value) for tag, value in kept.items()],
        "directories": below,
        "resolution": [main.get(tag) for tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)],
    }


def _directory(data: bytes, place: int | None = None) -> ImageFileDirectory_v2:
    """The directory at a place, or the first one."""
    big = data[2] == BIG or data[3] == BIG
    directory = ImageFileDirectory_v2(data[: 16 if big else 8])
    file = io.BytesIO(data)
    file.seek(directory.next if place is None else place)
    directory.load(file)
    return directory


def _tag(tag: int, kind: int, value: Any) -> tuple[int, int, int, Any, bool]:
    """A tag as tifffile takes it: number, type, count, value, and that it is written once."""
    if isinstance(value, str):
        return tag, kind, 0, value, True
    if isinstance(value, bytes):
        return tag, kind, len(value), value, True
    values = value if isinstance(value, tuple) else (value,)
    return tag, kind, len(values), values if len(values) > 1 else values[0], True


def encode(photograph: Photograph) -> bytes:
    """Encode a photograph as TIFF, plain or deflated as it came."""
    settings, file = photograph.settings, io.BytesIO()
    across, down, unit = settings.get("resolution", (None, None, None))
    compressed = settings.get("compressed", True)
    tifffile.imwrite(
        file,
        photograph.stored,
        photometric=PHOTOMETRIC[photograph.pixels.shape[2]],
        planarconfig="contig" if photograph.stored.ndim == 3 else None,
        compression="zlib" if compressed else None,
        predictor=compressed and photograph.pixels.dtype.kind == "u",
        extrasamples=None if photograph.alpha is None else [settings.get("alpha", UNASSOCIATED)],
        iccprofile=photograph.icc,
        resolution=(float(across), float(down)) if across and down else None,
        resolutionunit=unit if across and down else None,
        extratags=settings.get("tags", ()),
        metadata=None,
        software=False,
    )
    below = settings.get("directories", {})
    return _with_directories(file.getvalue(), below, photograph.pixels.shape)


def _with_directories(
    data: bytes, below: Mapping[int, ImageFileDirectory_v2], shape: tuple[int, ...]
) -> bytes:
    """Put directories of EXIF and GPS behind the pixels, which tifffile does not write.

    The main directory, which points to them, is written once more, behind them.
    """
    if not below or data[2] == BIG:
        return data
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [data[place : place + 12] for place in range(start + 2, start + 2 + 12 * count, 12)]
    whole = bytearray(data)
    for tag, directory in below.items():
        whole += b"\0" * (len(whole) % 2)
        entries.append(struct.pack("<HHII", tag, 4, 1, len(whole)))
        whole += _own(directory, shape).tobytes(len(whole))
    whole += b"\0" * (len(whole) % 2)
    struct.pack_into("<I", whole, 4, len(whole))
    entries.sort(key=lambda entry: entry[1::-1])  # by tag, whose lower byte is the first
    whole += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return bytes(whole)


def _own(directory: ImageFileDirectory_v2, shape: tuple[int, ...]) -> ImageFileDirectory_v2:
    """The same tags in the byte order that is written, with the sides that the pixels have now."""
    own = ImageFileDirectory_v2(prefix=b"II")
    sides = dict(zip(SIDES[1], (shape[1], shape[0]), strict=True))
    for tag, value in directory.items():
        if tag != INTEROPERABILITY:  # another directory, whose place would be wrong
            own.tagtype[tag] = directory.tagtype[tag]
            own[tag] = sides.get(tag, value)
    return own
