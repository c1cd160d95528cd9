"""One figure of a pair: reference, distorted, then error map, enhanced map and mask per metric.

Plain and enhanced maps of a row stand on one colour scale, as in the supplement of
arXiv:2305.19858, unless the enhanced one would be nearly black. Each mask has its own, since masks
of noise can be a hundred times smaller than masks of blur.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from restoration.maps.error_maps import OPINION, ErrorMaps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

TOP_SHARE = 0.998  # quantile of a row's maps at which its colour scale ends
FAINT = 0.1  # share of the common scale below which an enhanced map has its own
CELL = 3.6  # inches, the longer side of one image
TEXT_HEIGHT = 0.5  # inches above each image
DPI = 110


def color_limit(maps: ErrorMaps) -> float:
    """Where the common colour scale of plain and enhanced map ends; never at 0."""
    return top_of([m for m in (maps.plain, maps.enhanced) if m is not None])


def enhanced_limit(maps: ErrorMaps) -> float:
    """Where the colour scale of the enhanced map ends: the common one, its own if it is faint."""
    common = color_limit(maps)
    own = common if maps.enhanced is None else top_of([maps.enhanced])
    return own if own < FAINT * common else common


def mask_limit(maps: ErrorMaps) -> float:
    """Where the colour scale of the mask ends; never at 0."""
    return 1.0 if maps.mask is None else top_of([maps.mask])


def top_of(maps: Sequence[np.ndarray]) -> float:
    """Where a colour scale for all of these maps ends; never at 0."""
    top = max(float(np.quantile(m, TOP_SHARE)) for m in maps)
    return top or max(float(m.max()) for m in maps) or 1.0


def colored(map_: np.ndarray, limit: float) -> np.ndarray:
    """Magma from 0 to the limit: (h, w) -> (h, w, 3) uint8."""
    import matplotlib

    scaled = np.clip(map_ / limit, 0, 1)
    return matplotlib.colormaps["magma"](scaled, bytes=True)[:, :, :3]


def named_maps(maps: Sequence[ErrorMaps]) -> dict[str, tuple[np.ndarray, float]]:
    """Every map with the end of its colour scale, by a name for files."""
    named = {}
    for row in maps:
        kinds = {
            "error": (row.plain, color_limit(row)),
            "enhanced": (row.enhanced, enhanced_limit(row)),
            "mask": (row.mask, mask_limit(row)),
        }
        for kind, (array, limit) in kinds.items():
            if array is not None:
                named[f"{row.stem}_{kind}"] = (array, limit)
    return named


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
    if any(row.mask is not None for row in maps):
        lines.append("Plain and enhanced map share that scale,")
        lines.append("but a faint enhanced map has its own.")
        lines.append("Masks: brighter = an error here is more visible.")
        lines.append("Each mask has its own scale.")
    if any(row.unit == OPINION for row in maps):
        lines.append("Rating scale: s = scaler network of the mask file.")
    drawn = {name for row in maps if not row.tap for name in (row.plain_name, row.enhanced_name)}
    rest = [name for name in values if name not in drawn]
    lines += [""] + [f"{name.upper()} = {values[name]:.4g}" for name in rest]
    return "\n".join(lines)


def _picture(axis: "Axes", image: np.ndarray, title: str) -> None:
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10, parse_math=False)  # "$" is a letter of a file name


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
    masked = any(row.mask is not None for row in maps)
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
    style = {"va": "top", "fontsize": 8.5, "parse_math": False}
    note.text(0, 1, _note(maps, values), transform=note.transAxes, **style)
    for line, row in zip(axes[1:], maps, strict=True):
        _draw_row(line, row, values, (width, height))
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)


def _draw_row(
    line: Sequence["Axes"], row: ErrorMaps, values: Mapping[str, float], size: tuple[int, int]
) -> None:
    """Draw plain map, enhanced map and mask, with their colour bars."""
    extent = (0, size[0], size[1], 0)  # maps of a tap are smaller than the image
    shown: dict[str, Any] = {
        "cmap": "magma",
        "vmin": 0,
        "extent": extent,
        "interpolation": "nearest",
    }
    common, own = color_limit(row), enhanced_limit(row)
    image = line[0].imshow(row.plain, vmax=common, **shown)
    line[0].set_title(_label(row.plain_name, row.tap, values), fontsize=10)
    if row.enhanced is None or row.mask is None:
        _color_bar(image, line[0], row.unit, extend="max")
        return
    enhanced = line[1].imshow(row.enhanced, vmax=own, **shown)
    line[1].set_title(_label(row.enhanced_name, row.tap, values), fontsize=10)
    of_mask = line[2].imshow(row.mask, vmax=mask_limit(row), **shown)
    line[2].set_title(f"mask, mean {row.mask.mean():.3g}", fontsize=10)
    if own < common:
        _color_bar(image, line[0], row.unit, extend="max")
    _color_bar(enhanced, line[1], row.unit, extend="max")
    _color_bar(of_mask, line[2], "visibility", extend="max")


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
    named = named_maps(maps)
    for key, (array, limit) in named.items():
        write_png(single / f"{key}.png", colored(array, limit))
    arrays: dict[str, Any] = {key: array for key, (array, _) in named.items()}
    np.savez_compressed(single / "maps.npz", **arrays)
    figure = folder / f"{name}.png"
    error_figure(figure, reference, distorted, maps, values, names)
    return figure
