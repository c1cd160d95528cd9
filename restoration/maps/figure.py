"""One figure of a pair: reference, distorted, then error map, enhanced map and mask per metric.

Plain and enhanced maps of a row stand on one colour scale, as in the supplement of
arXiv:2305.19858; masks always on 0 to 1 (MILO's on 0 to 4).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restoration.maps.error_maps import OPINION, ErrorMaps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

TOP_SHARE = 0.998  # quantile of a row's maps at which its colour scale ends
CELL = 3.6  # inches, the longer side of one picture
TEXT_HEIGHT = 0.5  # inches above each picture
DPI = 110


def color_limit(maps: ErrorMaps) -> float:
    """Where the common colour scale of plain and enhanced map ends; never at 0."""
    shown = [m for m in (maps.plain, maps.enhanced) if m is not None]
    top = max(float(np.quantile(m, TOP_SHARE)) for m in shown)
    return top or max(float(m.max()) for m in shown) or 1.0


def mask_limit(maps: ErrorMaps) -> float:
    """Where the colour scale of the mask ends: 1, or 4 where it goes beyond (MILO's may)."""
    return 4.0 if maps.mask is not None and maps.mask.max() > 1 + 1e-6 else 1.0


def colored(map_: np.ndarray, limit: float) -> np.ndarray:
    """Magma from 0 to the limit: (h, w) -> (h, w, 3) uint8."""
    import matplotlib

    scaled = np.clip(map_ / limit, 0, 1)
    return matplotlib.colormaps["magma"](scaled, bytes=True)[:, :, :3]


def named_maps(maps: Sequence[ErrorMaps]) -> dict[str, tuple[np.ndarray, float]]:
    """Every map with the end of its colour scale, by a name for files."""
    found = {}
    for one in maps:
        kinds = {"error": one.plain, "enhanced": one.enhanced, "mask": one.mask}
        for kind, array in kinds.items():
            if array is not None:
                limit = mask_limit(one) if kind == "mask" else color_limit(one)
                found[f"{one.stem}_{kind}"] = (array, limit)
    return found


def _label(name: str, tap: str, values: Mapping[str, float]) -> str:
    title = " ".join(filter(None, (name.upper(), tap)))
    return f"{title} = {values[name]:.4g}" if name in values and not tap else title


def _note(maps: Sequence[ErrorMaps], values: Mapping[str, float]) -> str:
    lines = [
        "How to read",
        "Error maps: brighter = larger error.",
        "The colour scale of a row ends",
    ]
    lines.append(f"at the {TOP_SHARE:.1%} quantile of its error maps.")
    if any(one.mask is not None for one in maps):
        lines.append("Plain and enhanced map share that scale.")
        lines.append("Masks: brighter = an error here is visible.")
    if any(one.unit == OPINION for one in maps):
        lines.append("Opinion scale: s = scaler network of the mask file.")
    drawn = {name for one in maps if not one.tap for name in (one.plain_name, one.enhanced_name)}
    rest = [name for name in values if name not in drawn]
    lines += [""] + [f"{name.upper()} = {values[name]:.4g}" for name in rest]
    return "\n".join(lines)


def _picture(axis: "Axes", image: np.ndarray, title: str) -> None:
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)


def error_figure(
    path: Path,
    reference: np.ndarray,
    distorted: np.ndarray,
    maps: Sequence[ErrorMaps],
    values: Mapping[str, float],
    names: tuple[str, str] = ("", ""),
) -> None:
    """Draw a pair and its maps.

    Args:
        path: PNG to write.
        reference: (H, W, 3) in [0, 1].
        distorted: (H, W, 3) in [0, 1].
        maps: what `error_maps` returned; a row each.
        values: value of every metric by name, for the titles.
        names: file names of reference and distorted.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    height, width = reference.shape[:2]
    cell = (CELL * min(1, width / height), CELL * min(1, height / width))
    masked = any(one.mask is not None for one in maps)
    columns = 3 if masked else 2
    size = (max(columns * cell[0] + 2.2, 7.5), (len(maps) + 1) * (cell[1] + TEXT_HEIGHT) + 0.4)
    figure, axes = pyplot.subplots(
        len(maps) + 1, columns, figsize=size, squeeze=False, layout="constrained"
    )
    for axis in axes.ravel():
        axis.set_axis_off()
    _picture(axes[0, 0], reference, f"reference {names[0]}")
    _picture(axes[0, 1], distorted, f"distorted {names[1]}")
    note = axes[0, -1] if masked else axes[1, 1]
    note.text(0, 1, _note(maps, values), va="top", fontsize=8.5, transform=note.transAxes)
    for line, one in zip(axes[1:], maps, strict=True):
        _draw_row(line, one, values, (width, height))
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)


def _draw_row(
    line: Sequence["Axes"], one: ErrorMaps, values: Mapping[str, float], size: tuple[int, int]
) -> None:
    """Draw plain map, enhanced map and mask, with their two colour bars."""
    extent = (0, size[0], size[1], 0)  # maps of a tap are smaller than the picture
    shown = {"cmap": "magma", "vmin": 0, "extent": extent, "interpolation": "nearest"}
    image = line[0].imshow(one.plain, vmax=color_limit(one), **shown)
    line[0].set_title(_label(one.plain_name, one.tap, values), fontsize=10)
    if one.enhanced is None:
        _color_bar(image, line[0], one.unit, extend="max")
        return
    line[1].imshow(one.enhanced, vmax=color_limit(one), **shown)
    line[1].set_title(_label(one.enhanced_name, one.tap, values), fontsize=10)
    of_mask = line[2].imshow(one.mask, vmax=mask_limit(one), **shown)
    line[2].set_title(f"mask, mean {one.mask.mean():.3g}", fontsize=10)
    _color_bar(image, line[1], one.unit, extend="max")
    _color_bar(of_mask, line[2], "visibility")


def _color_bar(image: "AxesImage", axis: "Axes", label: str, extend: str = "neither") -> None:
    bar = axis.figure.colorbar(
        image, ax=axis, extend=extend, fraction=0.05, pad=0.02, aspect=25, shrink=0.9
    )
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def write_maps(
    folder: Path,
    name: str,
    reference: np.ndarray,
    distorted: np.ndarray,
    maps: Sequence[ErrorMaps],
    values: Mapping[str, float],
    names: tuple[str, str] = ("", ""),
) -> Path:
    """Write the figure `NAME.png`, and `NAME/` with every map as PNG and all in `maps.npz`.

    Returns:
        The path of the figure.
    """
    from restoration.data import write_png

    single = folder / name
    single.mkdir(parents=True, exist_ok=True)
    found = named_maps(maps)
    for key, (array, limit) in found.items():
        write_png(single / f"{key}.png", colored(array, limit))
    np.savez_compressed(single / "maps.npz", **{key: array for key, (array, _) in found.items()})
    figure = folder / f"{name}.png"
    error_figure(figure, reference, distorted, maps, values, names)
    return figure
