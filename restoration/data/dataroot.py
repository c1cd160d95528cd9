"""What a `dataroot` of an option file names: a folder, an LMDB, or scikit-image's photographs."""

import os

from restoration.data.decode import MAX_PIXELS
from restoration.data.lmdb_source import LmdbSource
from restoration.data.photographs import SkimageSource
from restoration.data.sources import FolderSource, Source


def open_source(dataroot: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Source:
    """The source that a `dataroot` names.

    Args:
        dataroot: `skimage:astronaut,coffee` (`coffee@128` for its crops of 128 x 128 pixels), an
            LMDB folder `*.lmdb`, or a folder of images.
        max_pixels: an image of more is refused.

    Returns:
        A source of images.
    """
    text = os.fspath(dataroot)
    if text.startswith("skimage:"):
        return SkimageSource(text.removeprefix("skimage:").split(","))
    if text.rstrip("/\\").endswith(".lmdb"):
        return LmdbSource(text, max_pixels)
    return FolderSource(text, max_pixels)
