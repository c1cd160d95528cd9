"""Pairs of a clean image and its degraded partner, matched by name."""

import logging
from pathlib import PurePosixPath

import numpy as np

from restoration.data.dataroot import open_source
from restoration.data.decode import MAX_PIXELS
from restoration.data.sources import Source

logger = logging.getLogger(__name__)
SHOWN = 3  # names in an error


class PairedSource(Source):
    """Clean images, each with a degraded partner of the same size.

    Args:
        clean: the targets.
        degraded: the inputs; every clean image has its partner at the same place of the list.

    Raises:
        ValueError: another count of images.
    """

    def __init__(self, clean: Source, degraded: Source) -> None:
        if len(clean) != len(degraded):
            raise ValueError(f"expected {len(clean)} degraded images, got {len(degraded)}")
        self.clean, self.degraded, self.names = clean, degraded, clean.names

    def decode(self, index: int) -> np.ndarray:
        """Clean image `index` at its own depth, (H, W, C)."""
        return self.clean.decode(index)

    def read(self, index: int) -> np.ndarray:
        """Clean image `index` for training, (H, W, C), uint8."""
        return self.clean.read(index)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of both images of pair `index`, from their headers.

        Raises:
            ValueError: the two differ.
        """
        size, partner = self.clean.size(index), self.degraded.size(index)
        if size != partner:
            raise ValueError(
                f"expected pairs of one size, got {size[0]}x{size[1]} (height x width) in "
                f"{self.names[index]} and {partner[0]}x{partner[1]} in its partner "
                f"{self.degraded.names[index]}"
            )
        return size


class Chosen(Source):
    """Some images of a source, in an order of their own.

    Args:
        source: where they come from.
        places: their numbers there.
    """

    def __init__(self, source: Source, places: list[int]) -> None:
        self.source, self.places = source, places
        self.names = [source.names[place] for place in places]

    def decode(self, index: int) -> np.ndarray:
        """Image `index` at its own depth, (H, W, C)."""
        return self.source.decode(self.places[index])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`."""
        return self.source.size(self.places[index])


def open_pairs(
    dataroot_gt: str, dataroot_lq: str, template: str = "{}", max_pixels: int = MAX_PIXELS
) -> tuple[Source, Source]:
    """Open two folders (or LMDBs) of images and match them by name, extensions aside.

    Args:
        dataroot_gt: the clean images.
        dataroot_lq: the degraded ones, in the same sub-folders.
        template: name of a degraded image; "{}" stands for that of its clean partner, without
            extension, as BasicSR's `filename_tmpl`.
        max_pixels: an image of more is refused.

    Returns:
        Clean and degraded images, in one order.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: a clean image has no partner, or several; or a template without "{}".
    """
    if template.count("{}") != 1:
        raise ValueError(f"expected one {{}} in filename_tmpl, got {template!r}")
    clean, degraded = (open_source(root, max_pixels) for root in (dataroot_gt, dataroot_lq))
    by_stem: dict[str, list[int]] = {}
    for place, name in enumerate(degraded.names):
        by_stem.setdefault(_stem(name), []).append(place)
    places, missing = [], []
    for name in clean.names:
        path = PurePosixPath(_stem(name))
        partner = str(path.with_name(template.format(path.name)))
        found = by_stem.get(partner, [])
        if len(found) > 1:
            names = ", ".join(degraded.names[place] for place in found)
            raise ValueError(f"expected one partner of {name} in {dataroot_lq}, got {names}")
        places += found
        missing += [] if found else [f"{name} (as {partner}.*)"]
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
        raise ValueError(
            f"expected a partner in {dataroot_lq} for every image of {dataroot_gt}, got none for "
            f"{len(missing)} of {len(clean)}: {shown}"
        )
    idle = sorted(set(range(len(degraded))) - set(places))
    if idle:
        logger.warning(
            "%d of %d images of %s have no clean partner in %s and are left out, such as %s",
            len(idle),
            len(degraded),
            dataroot_lq,
            dataroot_gt,
            degraded.names[idle[0]],
        )
    return clean, Chosen(degraded, places)


def _stem(name: str) -> str:
    """A name without its extension, with its folder."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix else str(path)
