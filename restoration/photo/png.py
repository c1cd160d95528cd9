"""PNG: 16 bits by OpenCV, and the chunks beside the pixels as they were."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from PIL import Image

from restoration.photo.metadata import upright_xmp
from restoration.photo.photograph import Photograph, split_alpha

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
# of colours and places that stay; eXIf is written anew, the rest belongs to pixels that changed
COLOURS = (b"cICP", b"iCCP", b"sRGB", b"cHRM", b"gAMA", b"mDCV", b"cLLI", b"pHYs")
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
XMP = b"XML:com.adobe.xmp"
REPEATED = re.compile(rb"Raw profile type (exif|APP1)")  # ImageMagick's, of EXIF
GREYS = (0, 4)  # colour types, without and with alpha

Chunk = tuple[bytes, bytes]  # name, content


def depth(data: bytes) -> int:
    """Bits per channel."""
    return data[24]


def chunks(data: bytes) -> Iterator[Chunk]:
    """Every chunk of a file."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def kept_chunks(data: bytes) -> list[Chunk]:
    """Chunks of a file that hold true of its denoised pixels."""
    kept: list[Chunk] = []
    for name, content in chunks(data):
        if name in TEXTS and not REPEATED.match(content):
            content = upright_xmp(content) if content.startswith(XMP) else content
            kept.append((name, content))
        elif name in COLOURS:
            kept.append((name, content))
    return kept


def decode_deep(image: Image.Image, data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H, W, C) and alpha (H, W) or None, uint16, of a file of 16 bits per channel.

    Args:
        image: what Pillow opened, which proves that the file is whole.
        data: content of the file.
    """
    image.load()
    pixels = [chunk for chunk in chunks(data) if chunk[0] in PIXELS]
    stored = cv2.imdecode(np.frombuffer(_join(pixels), np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16:
        raise ValueError("a PNG of 16 bits that OpenCV does not read")
    colours, alpha = split_alpha(stored, stored.ndim == 3 and stored.shape[2] == 4)
    if data[25] in GREYS:
        return np.ascontiguousarray(colours[:, :, :1]), alpha
    return np.ascontiguousarray(colours[:, :, ::-1]), alpha  # from BGR


def encode(photograph: Photograph) -> bytes:
    """Encode a photograph as PNG, its chunks between the header and the pixels."""
    header, *pixels = chunks(_encode_pixels(photograph))
    own: list[Chunk] = list(photograph.settings.get("chunks", ()))
    if photograph.icc is not None:
        own.insert(0, (b"iCCP", b"ICC profile\0\0" + zlib.compress(photograph.icc)))
    if photograph.exif is not None:
        own.append((b"eXIf", photograph.exif.removeprefix(b"Exif\0\0")))
    # texts may stand anywhere, colours must stand before the pixels
    return _join([header, *own, *pixels])


def _encode_pixels(photograph: Photograph) -> bytes:
    stored: Any = photograph.stored
    colours = photograph.pixels.shape[2]
    if photograph.alpha is not None and colours == 1:
        if stored.dtype == np.uint8:
            file = io.BytesIO()
            Image.fromarray(stored, "LA").save(file, "PNG")
            return file.getvalue()
        stored = stored[:, :, [0, 0, 0, 1]]  # nobody writes grey with alpha at 16 bits
    elif colours == 3:
        stored = cv2.cvtColor(
            stored, cv2.COLOR_RGB2BGR if photograph.alpha is None else cv2.COLOR_RGBA2BGRA
        )
    done, data = cv2.imencode(".png", np.ascontiguousarray(stored))
    if not done:
        raise ValueError("OpenCV does not encode this PNG")
    return data.tobytes()


def _join(parts: list[Chunk]) -> bytes:
    """A file of chunks, each with its length and checksum."""
    joined = [SIGNATURE]
    for name, content in parts:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        joined += [struct.pack(">I", len(content)), name, content, checksum]
    return b"".join(joined)
