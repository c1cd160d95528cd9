"""Grey training and test images from colour ones."""

import cv2
import numpy as np

from restoration.data.dataroot import open_source
from restoration.data.decode import MAX_PIXELS
from restoration.data.sources import Source


class GreySource(Source):
    """The luma of another source's images, one channel (H, W, 1).

    Args:
        source: colour images.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.names = source, source.names

    def decode(self, index: int) -> np.ndarray:
        """Image `index` at its own depth, (H, W, 1), uint8 or uint16."""
        return cv2.cvtColor(self.source.decode(index), cv2.COLOR_RGB2GRAY)[:, :, None]

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`."""
        return self.source.size(index)


def in_channels(source: Source, channels: int) -> Source:
    """Images of a source in colour (3 channels) or grey (1)."""
    return GreySource(source) if channels == 1 else source


def open_images(dataroot: str, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Source:
    """Open a `dataroot` as colour (3 channels) or grey (1) images; see `open_source`."""
    return in_channels(open_source(dataroot, max_pixels), channels)
