"""EXIF and XMP of an image that was turned upright, changed in place.

Nothing is written anew: makers' notes hold places within the block, which would no longer be right.
"""

import re
import struct
from contextlib import suppress

ORIENTATION, EXIF_IFD = 0x0112, 0x8769
SIDES = ((0x0100, 0x0101), (0xA002, 0xA003))  # width and height, in the main and the EXIF directory
PREFIX = b"Exif\0\0"
SHORT = 3
TURNED = (5, 6, 7, 8)  # orientations that exchange height and width


def upright_exif(exif: bytes, orientation: int) -> bytes:
    """Say that an image is upright, which its pixels are by now.

    Args:
        exif: block of EXIF data, with or without the prefix that JPEG has.
        orientation: what the image was turned by. If it was, its thumbnail, which was not, is
            unlinked; if height and width were exchanged, so are those that the block states.

    Returns:
        A block of the same length; what is damaged in it stays as it is.
    """
    start = len(PREFIX) if exif.startswith(PREFIX) else 0
    block = bytearray(exif[start:])
    with suppress(struct.error):
        _set_upright(block, orientation)
    return exif[:start] + bytes(block)


def _set_upright(block: bytearray, orientation: int) -> None:
    order = "<" if block[:2] == b"II" else ">"
    (main,) = struct.unpack_from(f"{order}I", block, 4)
    count, tags = _directory(block, order, main)
    if ORIENTATION in tags:
        struct.pack_into(f"{order}HIHH", block, tags[ORIENTATION] + 2, SHORT, 1, 1, 0)
    if orientation != 1:
        struct.pack_into(f"{order}I", block, main + 2 + 12 * count, 0)  # the next directory
    if EXIF_IFD in tags:
        (below,) = struct.unpack_from(f"{order}I", block, tags[EXIF_IFD] + 8)
        tags |= _directory(block, order, below)[1]
    for width, height in SIDES:
        if orientation in TURNED and width in tags and height in tags:
            first, second = tags[width] + 2, tags[height] + 2  # behind the tags: type, count, value
            one, other = block[first : first + 10], block[second : second + 10]
            block[first : first + 10], block[second : second + 10] = other, one


def _directory(block: bytearray, order: str, start: int) -> tuple[int, dict[int, int]]:
    """How many tags a directory has, and the place of each one's entry of twelve bytes."""
    (count,) = struct.unpack_from(f"{order}H", block, start)
    end = min(start + 2 + 12 * count, len(block) - 11)
    places = range(start + 2, end, 12)
    return count, {struct.unpack_from(f"{order}H", block, place)[0]: place for place in places}


def upright_xmp(xmp: bytes) -> bytes:
    """Say the same in XMP, where it states an orientation; the length stays."""
    return re.sub(rb"(tiff:Orientation(?:=[\"']|>))[2-8]", rb"\g<1>1", xmp)
