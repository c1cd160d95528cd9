"""A photograph in memory: its pixels, and all else that its file holds."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

INKS = "CMYK"


class NotRead(ValueError):
    """A file that is whole, and that is not read here; the message says why."""


@dataclass
class Photograph:
    """A photograph, upright, in the values of its file.

    Args:
        pixels: (H, W, C), C = 1 grey, 3 colour or 4 inks (CMYK, 0 is bare paper); uint8, uint16 or
            floating point.
        format: how it was stored: "JPEG", "PNG", "TIFF", "WEBP", "BMP", "HEIF" or "RAW".
        alpha: (H, W), of the same kind of numbers, or None.
        exif: block of EXIF data, its orientation 1, or None.
        icc: colour profile that the values belong to, or None.
        xmp: block of XMP, or None.
        settings: what the writer of the format needs to store it as it was.
        notes: what a file of the same format cannot keep, in a few words each.
    """

    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def stored(self) -> np.ndarray:
        """(H, W) grey, or (H, W, C), with its alpha channel as the last one."""
        if self.alpha is not None:
            return np.concatenate([self.pixels, self.alpha[:, :, None]], axis=2)
        return self.pixels[:, :, 0] if self.pixels.shape[2] == 1 else self.pixels


def split_alpha(stored: np.ndarray, has_alpha: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Split (H, W) or (H, W, C) into colours (H, W, C) and an alpha channel (H, W)."""
    stored = stored if stored.ndim == 3 else stored[:, :, None]
    if not has_alpha:
        return stored, None
    return np.ascontiguousarray(stored[:, :, :-1]), np.ascontiguousarray(stored[:, :, -1])


def of_8_bits(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Pixels (H, W, C), alpha (H, W) or None, and notes, of an image that Pillow reads at 8 bits.

    Raises:
        NotRead: its colours are of a kind that is not read.
    """
    notes = []
    if image.mode in ("P", "PA"):
        transparent = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "RGB")
        notes.append("its palette became full colour")
    elif image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    elif image.mode == "1":
        image = image.convert("L")
        notes.append("1 bit became 8")
    elif image.mode in ("YCbCr", "RGBX"):
        image = image.convert("RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA", INKS):
        raise NotRead(f"colours of the kind {image.mode} are not read here")
    pixels, alpha = split_alpha(np.asarray(image), image.mode in ("LA", "RGBA"))
    return pixels, alpha, notes
