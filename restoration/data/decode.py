"""Decoding of encoded images: by content, exactly or not at all, turned as EXIF says.

| format | read by | read | refused |
|---|---|---|---|
| PNG | Pillow; OpenCV at 16 bits | grey, RGB, palette; 1 to 16 bits; any alpha | animations |
| JPEG, MPO | Pillow | grey, YCbCr; the first image of an MPO | CMYK, 12 bits |
| WebP | Pillow | lossy and lossless | animations |
| BMP | Pillow | 1 to 32 bits, palette, RLE, bit fields, OS/2 | |
| TIFF | Pillow to 8 bits; at 16 bits tifffile, else OpenCV | grey of either sign, RGB, palette, \
YCbCr; the first page | CMYK, Lab, float, signed, other depths, colours multiplied by alpha |

An alpha channel is dropped, not blended: the stored colours stay as they are. Truncated and
damaged files are refused. No decoder writes to the terminal. A plain RGB PNG, see `decode_png`, is
read by imagecodecs where that is installed: the same pixels in three quarters of the time.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from restoration.data import decode_png, decode_tiff
from restoration.data.decode_tiff import Refused

BOMBS = 2  # times its limit, Pillow refuses an image
MAX_PIXELS = 178_956_970  # which is what Pillow takes for honest
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF")  # JPEG opens MPO too
ORIENTATION = 0x0112  # the EXIF tag
TURNED = (5, 6, 7, 8)  # orientations that exchange height and width
COLOURS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def decode(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one image at its own depth.

    Args:
        data: content of a file; its format is told from the content.
        name: what to call the image in an error.
        max_pixels: more are refused before they are decoded.

    Returns:
        RGB, (H, W, 3), uint8, or uint16 for a file of 16 bits per channel; upright.

    Raises:
        ValueError: the image cannot be decoded exactly, has a colour space or depth other than
            those of the table above, or too many pixels.
    """
    try:
        image = _decode(data, max_pixels)
    except Refused as error:
        raise ValueError(f"expected an image of 8 or 16 bits, got {name}: {error}") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ValueError(
            f"expected a readable image, got {name}, which cannot be decoded: {_line(error)}"
        ) from error
    return np.require(image, requirements=["C", "W"])  # Pillow lends its own memory, read-only


def upright_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of an image as `decode` returns it, without decoding it.

    Args:
        path: an image file.
        max_pixels: more are refused.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: the header cannot be read, or it has too many pixels.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected an image file, got {path}, which is not one")
    try:
        with warnings.catch_warnings(), pillow_allows(max_pixels):
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as header:
                check_pixels(header.width, header.height, max_pixels)
                turned = orientation(header, path.read_bytes) in TURNED
                size = (header.height, header.width)
                return size[::-1] if turned and header.format != "TIFF" else size  # TIFF: turned
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ValueError(f"expected a readable image, got {path}: {_line(error)}") from error


def orientation(image: Image.Image, read: Callable[[], bytes]) -> int:
    """Orientation of an image that is not loaded, 1 to 8, from its EXIF or XMP.

    Args:
        image: what `PIL.Image.open` returned.
        read: the content of its file, for a PNG: its metadata may stand behind the pixels, where
            Pillow finds it only by decoding them.
    """
    if image.format == "PNG" and not any(mark in read() for mark in decode_png.METADATA):
        return 1
    return image.getexif().get(ORIENTATION, 1)


def _decode(data: bytes, max_pixels: int) -> np.ndarray:
    with warnings.catch_warnings(), pillow_allows(max_pixels):
        warnings.simplefilter("ignore")  # Pillow's: damaged metadata, and half its limit of pixels
        if data.startswith(TIFF_SIGNATURES):
            return _tiff(data, max_pixels)
        plain = decode_png.decode_plain(data, max_pixels)
        return _by_pillow(data, max_pixels) if plain is None else plain


@contextmanager
def pillow_allows(pixels: int) -> Iterator[None]:
    """Raise Pillow's own limit, which is one for all of a process, where it is lower."""
    before = Image.MAX_IMAGE_PIXELS
    if before is not None and pixels > max(MAX_PIXELS, BOMBS * before):
        Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def check_pixels(width: int, height: int, most: int) -> None:
    """Refuse an image that is too large, before memory is taken for it.

    Raises:
        Refused: it has more pixels.
    """
    if width * height > most:
        raise Refused(f"{width}x{height} pixels, more than max_pixels, {most}")


def _tiff(data: bytes, max_pixels: int) -> np.ndarray:
    """(H, W, 3) of the first page; what libtiff complains of is refused."""
    with decode_tiff.complaints() as said:
        deep = decode_tiff.decode_deep(data, max_pixels)
        pixels = _by_pillow(data, max_pixels) if deep is None else turn(*deep)
    if said:
        raise ValueError(said[0])
    return pixels


def _by_pillow(data: bytes, max_pixels: int) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        check_pixels(image.width, image.height, max_pixels)
        if image.format == "TIFF":
            return _of_8_bits(image)  # Pillow makes it upright
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise Refused(f"an animation of {getattr(image, 'n_frames', 0)} images")
        deep = image.format == "PNG" and data[24] == 16
        pixels = _png_of_16_bits(data, image) if deep else _of_8_bits(image)
        return turn(pixels, orientation(image, lambda: data))


def _of_8_bits(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an image that Pillow reads exactly."""
    if image.mode not in COLOURS:
        raise Refused(f"colours of kind {image.mode}")
    if image.mode in ("1", "L", "LA"):
        grey = np.asarray(image.convert("L") if image.mode == "1" else image)
        grey = grey if grey.ndim == 3 else grey[:, :, None]  # (H, W, 1 or 2)
        return np.repeat(grey[:, :, :1], 3, axis=2)
    if image.mode in ("RGB", "RGBA", "RGBX"):
        return np.asarray(image)[:, :, :3]
    return np.asarray(image.convert("RGB"))


def _png_of_16_bits(data: bytes, image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint16; Pillow, which keeps 8 bits of colour, proves that the file is whole."""
    image.load()
    pixels = decode_png.only_pixels(data)  # libpng prints what it thinks of other chunks
    stored = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16:
        raise ValueError("a PNG of 16 bits that OpenCV does not read")
    if stored.ndim == 2:
        return np.repeat(stored[:, :, None], 3, axis=2)
    return stored[:, :, 2::-1]  # from BGR or BGRA


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Make an image upright.

    Args:
        pixels: (H, W, ...) as stored.
        orientation: value of the EXIF or TIFF tag, 1 to 8; others count as 1.
    """
    if orientation in TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _line(error: Exception) -> str:
    """The first line of what a decoder said, without what changes from run to run."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text.split(" <_io")[0]
