"""Photographs that ship inside the installed scikit-image package."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from losses.naming import nearest
from restoration.data.sources import FileSource

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "motorcycle_left": "motorcycle_left.png",
    "motorcycle_right": "motorcycle_right.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}


class SkimageSource(FileSource):
    """Photographs inside the installed scikit-image package; nothing is ever downloaded.

    Args:
        names: keys of `PHOTOGRAPHS`; `NAME@SIDE` stands for all square crops of that side that
            fit side by side from the top left corner, named `NAME_y0_x0`, `NAME_y0_x128`, ...

    Raises:
        ValueError: a name is unknown, the installed scikit-image lacks the file, or a crop is
            larger than its photograph.
    """

    def __init__(self, names: Iterable[str]) -> None:
        spec = importlib.util.find_spec("skimage")
        assert spec is not None and spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0]) / "data"
        self.names, self.paths = [], []
        self._windows: list[tuple[int, int, int] | None] = []  # top, left, side
        for given in names:
            name, at, side = given.strip().partition("@")
            path = folder / _photograph(name)
            if not path.is_file():
                raise ValueError(f"expected {name} inside scikit-image, got no such file there")
            for window in _grid(path, name, side) if at else [None]:
                label = name if window is None else f"{name}_y{window[0]}_x{window[1]}"
                self.names.append(label)
                self.paths.append(path)
                self._windows.append(window)

    def decode(self, index: int) -> np.ndarray:
        """Image `index`, or its crop, RGB (H, W, 3), uint8."""
        image, window = super().decode(index), self._windows[index]
        if window is None:
            return image
        top, left, side = window
        return np.ascontiguousarray(image[top : top + side, left : left + side])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`, or of its crop."""
        window = self._windows[index]
        return super().size(index) if window is None else (window[2], window[2])


def _photograph(name: str) -> str:
    if name not in PHOTOGRAPHS:
        hint = nearest(name, PHOTOGRAPHS)
        raise ValueError(f"expected one of {', '.join(PHOTOGRAPHS)}, got {name!r}{hint}")
    return PHOTOGRAPHS[name]


def _grid(path: Path, name: str, side: str) -> list[tuple[int, int, int]]:
    """Top, left and side of every crop that fits, row by row."""
    with Image.open(path) as header:
        height, width = header.height, header.width
    if not side.isdecimal() or not 1 <= int(side) <= min(height, width):
        raise ValueError(f"expected {name}@SIDE of 1 to {min(height, width)} pixels, got {side!r}")
    step = int(side)
    rows, columns = range(0, height - step + 1, step), range(0, width - step + 1, step)
    return [(top, left, step) for top in rows for left in columns]
