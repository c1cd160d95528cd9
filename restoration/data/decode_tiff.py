"""TIFF of 16 bits per channel, which Pillow reads at 8: by tifffile, else by OpenCV's libtiff.

tifffile reads what is stored plainly or deflated and leaves the other compressions to a package
of its own; libtiff knows those, but mixes up planar files and negatives, which are left out here.
"""

import io
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import tifffile

PLAIN, ADOBE_DEFLATE, DEFLATE = 1, 8, 32946  # compressions that tifffile reads by itself
REDIRECTION = threading.Lock()  # there is one standard error for all threads
ASSOCIATED_ALPHA = 1  # among ExtraSamples
BT601 = (299, 1000, 587, 1000, 114, 1000)  # YCbCr to RGB as Pillow computes it
GREYS = ("MINISWHITE", "MINISBLACK")


for library in ("tifffile", "PIL"):  # else Python prints their logs where nobody asked for logs
    logging.getLogger(library).addHandler(logging.NullHandler())


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Catch what libtiff writes to standard error, which it does instead of failing.

    Yields:
        A list that holds the lines written once the block has ended.
    """
    lines: list[str] = []
    with REDIRECTION, tempfile.TemporaryFile() as caught:
        terminal = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            caught.seek(0)
            lines += caught.read(10_000).decode(errors="replace").splitlines()


class Refused(ValueError):
    """An image that is whole, and that this project does not read."""


def decode_deep(data: bytes, max_pixels: int) -> tuple[np.ndarray, int] | None:
    """Decode the first page of a TIFF of 16 bits per channel.

    Args:
        data: content of the file.
        max_pixels: more are refused.

    Returns:
        RGB as stored, (H, W, 3), uint16, and its orientation, 1 to 8; None for a file of at most
        8 bits per channel, which Pillow reads.

    Raises:
        Refused: its depth, colours or compression are not read here.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        photometric = getattr(page.photometric, "name", str(page.photometric))
        if page.sampleformat not in (1, None) or (max(_bits(page)) > 8 and _bits(page) != {16}):
            raise Refused(f"{_depth(page)} per channel")
        if ASSOCIATED_ALPHA in page.extrasamples:
            raise Refused("colours multiplied by alpha")
        weights = page.tags.valueof("YCbCrCoefficients", default=BT601)
        if photometric == "YCBCR" and tuple(weights) != BT601:
            raise Refused("YCbCr of other weights than those of BT.601")
        if _bits(page) != {16}:
            return None
        if page.imagewidth * page.imagelength > max_pixels:
            raise Refused(f"{page.imagewidth}x{page.imagelength} pixels, more than {max_pixels}")
        if photometric not in (*GREYS, "RGB"):
            raise Refused(f"16 bits of colours of kind {photometric}")
        if page.compression in (PLAIN, ADOBE_DEFLATE, DEFLATE) and page.fillorder == 1:
            stored = page.asarray()
            if page.planarconfig == 2 and page.samplesperpixel > 1:
                stored = np.moveaxis(stored, 0, -1)  # (C, H, W) -> (H, W, C)
        elif page.planarconfig == 1 and photometric != "MINISWHITE":
            stored = _by_libtiff(data)
        else:
            raise Refused(f"16 bits in {getattr(page.compression, 'name', page.compression)}")
        stored = stored.reshape(page.imagelength, page.imagewidth, -1)  # (H, W, C)
        colours = 3 if photometric == "RGB" else 1
        stored = stored[:, :, :colours]
        if photometric == "MINISWHITE":
            stored = 65535 - stored
        orientation: int = page.tags.valueof("Orientation", default=1)
    rgb = stored if colours == 3 else np.repeat(stored, 3, axis=2)
    return rgb, orientation


def _bits(page: tifffile.TiffPage) -> set[int]:
    bits = page.tags.valueof("BitsPerSample", default=1)
    return set(bits) if isinstance(bits, tuple) else {bits}


def _depth(page: tifffile.TiffPage) -> str:
    kind = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}
    bits = "/".join(map(str, sorted(_bits(page))))
    return f"{bits} {kind.get(page.sampleformat, '')}bits"


def _by_libtiff(data: bytes) -> np.ndarray:
    buffer = np.frombuffer(data, np.uint8)
    as_stored = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    stored = cv2.imdecode(buffer, as_stored)
    if stored is None or stored.dtype != np.uint16:
        raise ValueError("a TIFF of 16 bits that libtiff does not read")
    return stored if stored.ndim == 2 else stored[:, :, 2::-1]
