"""`restoration score REF DIST...`: metrics of pictures against a reference, and error maps."""

import argparse
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table

from restoration.cli import session

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from restoration.maps.error_maps import ErrorMaps

Scores = dict[str, Callable[..., "Tensor"]]

# the rest are loss terms, in the units of their formula
AS_METRICS = ("psnr", "ssim", "ms-ssim", "lpips")
MASK_FILES = (  # terms whose file is of masks
    *("e-mae", "e-mse", "e-psnr", "e-ssim", "e-flip", "milo"),
    *("e-vgg", "e-lpips", "e-dists"),
)
ON_BACKBONE = ("vgg", "e-vgg")
ON_VGG = (*ON_BACKBONE, "dists", "e-dists", "e-lpips")  # terms that --weights backbone=FILE is for
SCALED = ("mae", "ssim")  # plain metrics whose map a mask file's scaler network can draw


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("reference", type=Path, metavar="REF", help="reference picture")
    parser.add_argument(
        "distorted", type=Path, nargs="+", metavar="DIST", help="pictures to compare with it"
    )
    parser.add_argument(
        "--metrics",
        default="psnr,ssim,mae,e-mae",
        metavar="NAMES",
        help="comma-separated: psnr, ssim, ms-ssim, lpips, or any loss type (mae, e-mae, e-psnr, "
        "vgg, ...); e-mae is in the units of mae here, tables of a test print it times 100 "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--backbone",
        default="embedded",
        help="backbone of vgg and e-vgg: embedded, vgg16, vgg19 (default: %(default)s)",
    )
    parser.add_argument(
        "--maps",
        type=Path,
        metavar="DIR",
        help="write a figure per picture: error map, enhanced error map and mask of every metric "
        "that has them (mae, mse, psnr, ssim, flip, vgg, their e- forms, milo), and each map by "
        "itself as PNG and in maps.npz",
    )
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="mask file of an enhanced metric (e-mae=E_MAE.pth), AlexNet of lpips, "
        "backbone=FILE for the VGG of vgg, e-vgg, dists, e-dists and e-lpips, or for mae and ssim "
        "the file whose scaler network draws their maps; may be repeated",
    )
    parser.add_argument(
        "--order",
        action="append",
        default=[],
        metavar="NAME=ORDER",
        help="how a pair is given to a metric's masks: e-mae=distorted_first (default: "
        "reference_first, distorted_first for the authors' E_VGG); may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def pairs_of(flag: str, given: list[str], known: list[str]) -> dict[str, str]:
    """Read repeated NAME=VALUE arguments.

    Raises:
        ValueError: no NAME=VALUE, a name that is not known, or one given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        key = _canonical(name)
        if not equals or not value:
            raise ValueError(f"{flag}: expected NAME=VALUE, got {text!r}")
        if key not in known:
            raise ValueError(f"{flag} {text}: expected one of {', '.join(known)}, got {key!r}")
        if key in found:
            raise ValueError(f"{flag}: {key} is given twice")
        found[key] = value
    return found


def arguments_of(
    key: str, backbone: str, weights: dict[str, str], orders: dict[str, str]
) -> dict[str, str]:
    """Arguments of a loss term that the command line gives."""
    found = {"backbone": backbone} if key in ON_BACKBONE else {}
    if "backbone" in weights and key in ON_VGG:
        found["weights"] = weights["backbone"]
    if key in weights and key not in SCALED:
        found["masks" if key in MASK_FILES else "weights"] = weights[key]
    if key in orders:
        found["order"] = orders[key]
    return found


def build_scores(
    names: list[str],
    backbone: str,
    weights: dict[str, str] | None = None,
    orders: dict[str, str] | None = None,
) -> Scores:
    """Build what each name computes, (1, 3, H, W) x 2 -> (1,).

    Args:
        names: metrics.
        backbone: of vgg and e-vgg.
        weights: files by metric; "backbone" for the VGG of all that have one.
        orders: order of the pair for the masks, by metric.

    Raises:
        ValueError: an unknown name, or weights that are missing or do not fit.
    """
    import losses
    from restoration.metrics import MetricUnavailable, build_metrics

    terms = {_canonical(term): term for term in losses.TERMS}
    scores: Scores = {}
    for name in names:
        key = _canonical(name)
        given = arguments_of(key, backbone, weights or {}, orders or {})
        try:
            if key in AS_METRICS or key not in terms:
                metric = {"type": key.replace("-", "_"), **given}
                scores[name] = next(iter(build_metrics([metric]).values()))
            else:
                scores[name] = losses.build_term(terms[key], reduction="none", **given)
        except (FileNotFoundError, MetricUnavailable) as error:
            files = [key, "backbone"] if key in ON_VGG else [key]
            flags = " or ".join(f"--weights {file}=FILE" for file in files)
            raise ValueError(
                f"{name}: {error} (here: {flags}; or leave {name} out of --metrics)"
            ) from error
    return scores


def check_pictures(reference: Path, distorted: list[Path]) -> "np.ndarray":
    """Decode every picture once, before the work starts, and keep none but the reference.

    Returns:
        The reference, (H, W, 3) in [0, 1].

    Raises:
        FileNotFoundError: a picture is missing.
        ValueError: a picture cannot be read or has another size than the reference.
    """
    from restoration.data import read_float, read_image

    pictures = [reference, *distorted]
    for path in pictures:
        if path.is_dir():
            raise ValueError(f"expected pictures, one by one, got the folder {path}")
        if not path.is_file():
            raise FileNotFoundError(f"picture {path} does not exist")
    image = read_float(reference)
    height, width = image.shape[:2]
    for path in distorted:
        found = read_image(path).shape
        if found != image.shape:
            raise ValueError(
                f"{path}: expected {width}x{height} pixels like the reference, "
                f"got {found[1]}x{found[0]}"
            )
    return image


def load_scalers(names: list[str], weights: dict[str, str]) -> dict[str, Callable]:
    """Scaler networks by metric: of mask files that carry one, and of files given for a plain one.

    The shipped masks of e-mae and e-ssim carry one each.

    Raises:
        ValueError: a file given for a plain metric has no scaler network.
    """
    import losses

    shipped = {"e-mae": losses.EnhancedMAE.shipped, "e-ssim": losses.EnhancedSSIM.shipped}
    scalers, files = {}, shipped | weights
    for key in map(_canonical, names):
        if key in files and key.removeprefix("e-") in SCALED:
            try:
                scalers[key] = losses.load_scaler(files[key])
            except ValueError:
                if key in SCALED:
                    raise
    return scalers


def figure_names(paths: list[Path]) -> list[str]:
    """A name for the figure of each picture; pictures of one name get a number."""
    stems = [path.stem for path in paths]
    names: list[str] = []
    for number, stem in enumerate(stems, start=1):
        name = stem if stems.count(stem) == 1 else f"{stem}_{number}"
        while name in names or (name != stem and name in stems):
            name += "_"
        names.append(name)
    return names


def values_of(
    scores: Scores, distorted: "Tensor", reference: "Tensor", maps: "Iterable[ErrorMaps]" = ()
) -> dict[str, float]:
    """Value of every metric by name; masks that are among the maps of the pair are not made again.

    Args:
        scores: as `build_scores` returns them.
        distorted: (1, 3, H, W) in [0, 1].
        reference: (1, 3, H, W) in [0, 1].
        maps: error maps of the pair, from the same scores.
    """
    import torch

    masks = {one.enhanced_name: one.mask for one in maps if one.mask is not None and not one.tap}
    values = {}
    with torch.no_grad():
        for name, score in scores.items():
            mask = masks.get(_canonical(name))
            if mask is None:
                values[name] = float(score(distorted, reference))
            else:
                mask = torch.from_numpy(mask)[None, None]  # (1, 1, H, W)
                values[name] = float(score.compare([distorted], [reference], [mask]))
    return values


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    import torch

    from restoration.data import read_float
    from restoration.evaluate.measure import to_batch
    from restoration.maps.error_maps import error_maps, has_maps
    from restoration.maps.figure import write_maps

    names = [name.strip() for name in arguments.metrics.split(",") if name.strip()]
    if not names:
        raise ValueError("expected at least one metric after --metrics")
    keys = [_canonical(name) for name in names]
    weights = pairs_of("--weights", arguments.weights, [*keys, "backbone"])
    orders = pairs_of("--order", arguments.order, keys)
    if arguments.maps and not any(map(has_maps, keys)):
        raise ValueError(f"--maps: none of {', '.join(names)} has maps; mae, ssim, flip, vgg have")
    image = check_pictures(arguments.reference, arguments.distorted)
    scores = build_scores(names, arguments.backbone, weights, orders)
    terms = {
        _canonical(n): f if isinstance(f, torch.nn.Module) else None for n, f in scores.items()
    }
    scalers = load_scalers(names, weights)
    reference = to_batch(image, "cpu")
    rows, figures = [], []
    console = Console(stderr=True, **session.AS_IT_IS)
    work = list(zip(arguments.distorted, figure_names(arguments.distorted), strict=True))
    quick = not console.is_terminal or (len(work) == 1 and not arguments.maps)
    for path, name in track(work, "comparing", console=console, transient=True, disable=quick):
        picture = read_float(path)
        distorted = to_batch(picture, "cpu")
        maps = error_maps(terms, distorted, reference, scalers) if arguments.maps else []
        rows.append(values_of(scores, distorted, reference, maps))
        if arguments.maps:
            values = {_canonical(n): value for n, value in rows[-1].items()}
            files = (arguments.reference.name, path.name)
            figures.append(write_maps(arguments.maps, name, image, picture, maps, values, files))
    show(arguments.distorted, rows, arguments.json)
    for figure in figures:
        folder = figure.with_suffix("")
        console.print(f"maps: {figure} and {folder}/", soft_wrap=True)


def show(paths: list[Path], rows: list[dict[str, float]], as_json: bool) -> None:
    """Print one row per picture; JSON is one mapping for one picture, else a list of them."""
    console = session.make_console()
    if as_json:
        clean = [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]
        with_names = [{"image": str(p), **row} for p, row in zip(paths, clean, strict=True)]
        console.file.write(json.dumps(clean[0] if len(clean) == 1 else with_names) + "\n")
        return
    table = Table(show_edge=False)
    table.add_column("picture", overflow="fold")
    for name in rows[0]:
        table.add_column(name.upper(), justify="right", no_wrap=True)
    for path, row in zip(paths, rows, strict=True):
        table.add_row(str(path), *[f"{value:.6g}" for value in row.values()])
    session.print_table(console, table)
