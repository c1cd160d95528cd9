"""Reading photographs with all that their files hold: by content, upright, at their own depth.

| format | read by | read | refused |
|---|---|---|---|
| JPEG, MPO | Pillow | grey, colour, CMYK; the first image of an MPO | 12 bits |
| PNG | Pillow; OpenCV at 16 bits | everything | animations |
| WebP, BMP | Pillow | everything | animations |
| TIFF | Pillow to 8 bits; tifffile at 16 bits and floating point | grey, colour, palette, YCbCr, \
CMYK, one alpha channel; the first page | Lab, signed, complex, other depths |
| HEIC | pillow-heif | everything; 10 and 12 bits | |
| DNG, makers' raw files | rawpy | developed to 16 bits, sRGB | |

The last two, and some compressions of deep TIFFs, need the extra `[photo]`.
"""

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from restoration.data.decode import orientation as orientation_of
from restoration.data.decode import turn
from restoration.photo import foreign, png, tiff
from restoration.photo.metadata import upright_exif, upright_xmp
from restoration.photo.photograph import NotRead, Photograph, of_8_bits

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
IPTC = 13  # the APP segment of a JPEG that holds captions and keywords


def read_photograph(path: Path) -> Photograph:
    """Read a photograph with all that its file holds.

    Args:
        path: of the file.

    Returns:
        The photograph, upright.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it cannot be read, or is of a kind that is not; or it needs a package that is
            not installed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected an image file, got {path}, which is not one")
    suffix = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
            if suffix in foreign.RAW:
                return foreign.read_raw(path)
            if suffix in foreign.HEIF:
                return foreign.read_heif(path)
            return _read(path.read_bytes())
    except NotRead as error:
        raise NotRead(f"{path}: {error}") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        text = (str(error).strip() or type(error).__name__).splitlines()[0].split(" <_io")[0]
        raise ValueError(f"{path}: cannot be decoded: {text}") from error


def _read(data: bytes) -> Photograph:
    if data.startswith(tiff.SIGNATURES):
        return tiff.read(data)
    with Image.open(io.BytesIO(data)) as image:
        read = READERS.get(str(image.format))
        if read is None:
            raise NotRead(f"images of the format {image.format} are not read here")
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise NotRead(f"an animation of {getattr(image, 'n_frames', 0)} images")
        orientation = orientation_of(image, lambda: data)
        photograph = read(image, data)
        _turn(photograph, orientation)
        return photograph


def _turn(photograph: Photograph, orientation: int) -> None:
    """Make a photograph upright, and let its metadata say so."""
    turned = turn(photograph.pixels, orientation)
    photograph.pixels = np.ascontiguousarray(turned)
    if photograph.alpha is not None:
        photograph.alpha = np.ascontiguousarray(turn(photograph.alpha, orientation))
    if photograph.exif is not None:
        photograph.exif = upright_exif(photograph.exif, orientation)
    if photograph.xmp is not None:
        photograph.xmp = upright_xmp(photograph.xmp)


def _metadata(image: Image.Image) -> dict[str, Any]:
    """Arguments of a `Photograph`: what Pillow knows of a file beside pixels."""
    exif, xmp = image.info.get("exif"), image.info.get("xmp")
    if exif is None and len(image.getexif()):
        exif = image.getexif().tobytes()
    return {
        "exif": exif or None,
        "icc": image.info.get("icc_profile") or None,
        "xmp": xmp.encode() if isinstance(xmp, str) else xmp or None,
    }


def _read_plain(image: Image.Image, data: bytes) -> Photograph:
    pixels, alpha, notes = of_8_bits(image)
    metadata = _metadata(image)
    settings = {"lossless": _is_lossless(data)} if image.format == "WEBP" else {}
    return Photograph(pixels, str(image.format), alpha, **metadata, settings=settings, notes=notes)


def _is_lossless(data: bytes) -> bool:
    """Whether a WebP file stores its pixels without loss, as the name of their chunk says."""
    place = 12
    while place + 8 <= len(data):
        name, length = (
            data[place : place + 4],
            int.from_bytes(data[place + 4 : place + 8], "little"),
        )
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        place += 8 + length + length % 2
    return False


def _read_png(image: Image.Image, data: bytes) -> Photograph:
    deep = png.depth(data) == 16
    pixels, alpha, notes = (*png.decode_deep(image, data), []) if deep else of_8_bits(image)
    metadata = _metadata(image)
    metadata["icc"] = None  # it stands among the chunks
    settings = {"chunks": png.kept_chunks(data)}
    return Photograph(pixels, "PNG", alpha, **metadata, settings=settings, notes=notes)


def _read_jpeg(image: Image.Image, data: bytes) -> Photograph:
    frames = getattr(image, "n_frames", 1)
    notes = [f"the first of its {frames} images alone"] if frames > 1 else []
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    settings: dict[str, Any] = {
        "qtables": image.quantization,
        "subsampling": JpegImagePlugin.get_sampling(image),
        "progressive": "progressive" in image.info,
        "comment": image.info.get("comment"),
        "extra": b"".join(_segment(IPTC, s) for n, s in image.applist if n == f"APP{IPTC}"),
    }
    with suppress(KeyError):
        settings["dpi"] = image.info["dpi"]
    pixels, alpha, more = of_8_bits(image)
    metadata = _metadata(image)
    return Photograph(pixels, "JPEG", alpha, **metadata, settings=settings, notes=[*notes, *more])


def _segment(number: int, content: bytes | str) -> bytes:
    """A segment of a JPEG, with its marker and length."""
    content = content if isinstance(content, bytes) else content.encode("latin-1")
    return bytes([0xFF, 0xE0 + number]) + (len(content) + 2).to_bytes(2, "big") + content


READERS: dict[str, Callable[[Image.Image, bytes], Photograph]] = {
    "BMP": _read_plain,
    "DIB": _read_plain,
    "JPEG": _read_jpeg,
    "MPO": _read_jpeg,
    "PNG": _read_png,
    "WEBP": _read_plain,
}
