"""Reading and writing images: RGB in memory, 8 or 16 bits, the same way everywhere.

What is read, and how, is the table of `restoration.data.decode`. Files are read whole and decoded
from memory, so that names may hold any characters. Images come upright, as their EXIF orientation
says, and without their alpha channel.

A `.npy` file is an image that was decoded once and for all (`restoration data prepare --decoded`).
It is mapped into memory, which all processes share, and only what is cut from it is ever read.
"""

import io
from os import PathLike
from pathlib import Path

import cv2
import numpy as np

from restoration.data.decode import MAX_PIXELS, decode, upright_size

DECODED = ".npy"
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", DECODED)
NOT_READ = (  # images of other formats: a folder that holds some says so
    *(".avif", ".heic", ".heif", ".gif", ".jp2", ".jxl", ".exr", ".hdr", ".psd", ".tga"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"),
)


def read_image(
    source: str | PathLike[str] | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode one image at its own depth.

    Args:
        source: path of a file, or the encoded bytes themselves.
        name: what to call the image in an error; the path when not given.
        max_pixels: a file that says to have more is refused, unless it is a `.npy` file.

    Returns:
        RGB, (H, W, 3), uint8, or uint16 for a file of 16 bits per channel. Grey becomes three
        equal channels, alpha is dropped, a palette is looked up; upright. Read-only for a `.npy`
        file.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: the file cannot be decoded exactly, or has neither 8 nor 16 bits.
    """
    if isinstance(source, bytes):
        data, name = source, name or "<bytes>"
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"expected an image file, got {path}, which is not one")
        if path.suffix.lower() == DECODED:
            return _map_array(path)
        data, name = path.read_bytes(), name or str(path)
    return decode(data, name, max_pixels)


def image_size(path: str | PathLike[str], max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of an image file, upright, from its header.

    Args:
        path: of a file that `read_image` reads.
        max_pixels: see there.

    Raises:
        ValueError: the header cannot be read.
    """
    path = Path(path)
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"expected an image file, got {path}, which is not one")
    return (
        _map_array(path).shape[:2]
        if path.suffix.lower() == DECODED
        else upright_size(path, max_pixels)
    )


def read_rgb8(source: str | PathLike[str] | bytes, name: str | None = None) -> np.ndarray:
    """Decode one image to 8 bits, for training.

    Args:
        source: path of a file, or the encoded bytes themselves.
        name: what to call the image in an error; the path when not given.

    Returns:
        RGB, (H, W, 3), uint8.
    """
    return to_uint8(read_image(source, name))


def read_float(source: str | PathLike[str] | bytes, name: str | None = None) -> np.ndarray:
    """Decode one image to floating point, for evaluation; 16 bits keep their precision.

    Args:
        source: path of a file, or the encoded bytes themselves.
        name: what to call the image in an error; the path when not given.

    Returns:
        RGB, (H, W, 3), float32 in [0, 1].
    """
    return to_float(read_image(source, name))


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Scale to 8 bits: 16-bit values become round(v / 257).

    Args:
        image: uint8 or uint16, any shape.

    Returns:
        uint8 of the same shape.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise ValueError(f"expected uint8 or uint16, got {image.dtype}")


def to_float(image: np.ndarray) -> np.ndarray:
    """Scale to [0, 1]: divide by 255 or by 65535.

    Args:
        image: uint8 or uint16, any shape.

    Returns:
        float32 of the same shape, in [0, 1].
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16, got {image.dtype}")
    scaled = image.astype(np.float32)
    scaled /= np.float32(np.iinfo(image.dtype).max)
    return scaled


def write_png(path: str | PathLike[str], image: np.ndarray) -> None:
    """Write a PNG without loss; missing folders are made.

    Args:
        path: where to write, ending in `.png`.
        image: RGB (H, W, 3) or grey (H, W), uint8 or uint16.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"expected a file name ending in .png, got {path}")
    try:
        data = encode_png(image)
    except ValueError as error:
        raise ValueError(f"{error} for {path}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def encode_png(image: np.ndarray) -> bytes:
    """Encode a PNG without loss.

    Args:
        image: RGB (H, W, 3) or grey (H, W), uint8 or uint16.

    Returns:
        The content of a file.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16, got {image.dtype}")
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
        raise ValueError(f"expected (H, W, 3) or (H, W), got {image.shape}")
    stored = image if image.ndim == 2 else np.ascontiguousarray(image[:, :, ::-1])
    done, data = cv2.imencode(".png", stored)
    assert done
    return data.tobytes()


def encode_array(image: np.ndarray) -> bytes:
    """Encode an image as a `.npy` file, which `read_image` maps instead of decoding.

    Args:
        image: RGB (H, W, 3), uint8 or uint16.

    Returns:
        The content of a file.
    """
    _check_array(image, "the image")
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(image), allow_pickle=False)
    return file.getvalue()


def _map_array(path: Path) -> np.ndarray:
    """An image of a `.npy` file, (H, W, 3), read-only."""
    try:
        with np.errstate(over="ignore"):
            image = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # numpy raises whatever a damaged header leads it to
        raise ValueError(f"expected a readable image, got {path}: {error}") from error
    _check_array(image, str(path))
    return image


def _check_array(image: np.ndarray, name: str) -> None:
    kind = (image.ndim, image.shape[-1:], image.dtype.name)
    if kind not in ((3, (3,), "uint8"), (3, (3,), "uint16")) or not image.size:
        raise ValueError(
            f"expected RGB (H, W, 3) of 8 or 16 bits, got {image.shape} {image.dtype} in {name}"
        )
