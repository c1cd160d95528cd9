"""The chunks of a PNG file, and plain RGB files by imagecodecs, where that is installed.

Plain is a file of 8 bits and three colours without an orientation, an animation or chunks of
unknown kinds. imagecodecs refuses what Pillow refuses; what it does not read is left to Pillow,
which reads it or says what is wrong.
"""

import logging
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
METADATA = (b"eXIf", b"Raw profile type", b"xmp")  # what may hold an orientation
PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")  # the chunks that hold the stored colours
WITHOUT_EFFECT = (b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"tIME", b"bKGD", b"tEXt")
RGB_OF_8_BITS = b"\x08\x02"  # depth and kind of colours


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of every chunk of a PNG file, with its length and checksum."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        yield data[place + 4 : place + 8], place, end
        place = end


def only_pixels(data: bytes) -> bytes:
    """A PNG file without the chunks that do not hold pixels."""
    kept = (data[start:end] for name, start, end in chunks(data) if name in PIXELS)
    return SIGNATURE + b"".join(kept)


def decode_plain(data: bytes, max_pixels: int = sys.maxsize) -> np.ndarray | None:
    """(H, W, 3) uint8 of a plain file; None for any other, and without imagecodecs."""
    if not data.startswith(SIGNATURE) or data[24:26] != RGB_OF_8_BITS:
        return None
    decoder = _decoder()
    if decoder is None or not _is_plain(data, max_pixels):
        return None
    try:
        pixels = decoder(only_pixels(data))
    except Exception:  # Pillow is asked next, and says what is wrong
        return None
    return pixels if pixels.ndim == 3 and pixels.shape[2] == 3 else None


def _is_plain(data: bytes, max_pixels: int) -> bool:
    """Whether a file is no larger than is allowed, by Pillow too, and holds nothing but pixels."""
    width, height = struct.unpack_from(">II", data, 16)
    limit, last = Image.MAX_IMAGE_PIXELS, 0
    if width * height > (max_pixels if limit is None else min(limit, max_pixels)):
        return False
    for name, start, end in chunks(data):
        if name in WITHOUT_EFFECT:
            content, check = data[start + 4 : end - 4], data[end - 4 : end]
            if zlib.crc32(content).to_bytes(4, "big") != check:
                return False
            if any(mark in content for mark in METADATA):
                return False
        elif name not in PIXELS:
            return False
        last = end
    return last == len(data)


@cache
def _decoder() -> Callable[[bytes], np.ndarray] | None:
    """The function of imagecodecs, silent; None where the package is missing."""
    try:
        from imagecodecs import png_decode
    except ImportError:
        return None
    logging.getLogger("imagecodecs").addHandler(logging.NullHandler())
    decoder: Callable[[bytes], np.ndarray] = png_decode
    return decoder
