"""Writing photographs as they came: format, depth, profile, EXIF, alpha; whole files or none."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from restoration.common import durable
from restoration.photo import foreign, png, tiff
from restoration.photo.photograph import Photograph

QUALITY = 95  # of lossy files that do not tell theirs
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by channels, alpha among them


def suffix_of(path: Path) -> str:
    """Ending of the file that a photograph is written to: its own, or `.tif` of a raw file."""
    return ".tif" if path.suffix.lower() in foreign.RAW else path.suffix


def write_photograph(photograph: Photograph, path: Path) -> None:
    """Write a photograph in the format that it came in; a raw file becomes a TIFF.

    The file appears under its name when it is whole. Missing folders are made.

    Args:
        photograph: what to write.
        path: of the file; one that is there is replaced.

    Raises:
        OSError: it cannot be written.
    """
    with durable.replacing(path) as part:
        if photograph.format == "HEIF":
            foreign.write_heif(photograph, part)
        else:
            part.write_bytes(ENCODERS[photograph.format](photograph))


def _by_pillow(photograph: Photograph, mode: str, **settings: Any) -> bytes:
    metadata = {
        "exif": photograph.exif,
        "icc_profile": photograph.icc,
        "xmp": photograph.xmp,
    }
    file = io.BytesIO()
    given = {name: value for name, value in metadata.items() if value} | settings
    stored = np.ascontiguousarray(photograph.stored)
    image = Image.frombuffer(mode, stored.shape[1::-1], stored, "raw", mode, 0, 1)
    image.save(file, photograph.format, **given)
    return file.getvalue()


def _jpeg(photograph: Photograph) -> bytes:
    settings = {name: value for name, value in photograph.settings.items() if value is not None}
    mode = "CMYK" if photograph.pixels.shape[2] == 4 else MODES[photograph.pixels.shape[2]]
    quality = {} if settings.get("qtables") else {"quality": QUALITY}
    return _by_pillow(photograph, mode, **settings, **quality)


def _webp(photograph: Photograph) -> bytes:
    lossless = photograph.settings.get("lossless", False)
    mode = MODES[photograph.stored.shape[2]]
    return _by_pillow(photograph, mode, lossless=lossless, quality=QUALITY, exact=True)


def _bmp(photograph: Photograph) -> bytes:
    channels = photograph.stored.shape[2] if photograph.stored.ndim == 3 else 1
    return _by_pillow(photograph, MODES[channels])


ENCODERS: dict[str, Callable[[Photograph], bytes]] = {
    "BMP": _bmp,
    "DIB": _bmp,
    "JPEG": _jpeg,
    "PNG": png.encode,
    "RAW": tiff.encode,
    "TIFF": tiff.encode,
    "WEBP": _webp,
}
