"""`restoration score REF DIST...`: metrics of images against a reference, and error maps."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from restoration.cli import session
from restoration.cli.progress import progress_on
from restoration.common.progress import no_progress
from restoration.evaluate.score import BACKBONE, PictureScore, WeightsNeeded, score_pictures
from restoration.metrics.names import canonical


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("reference", type=Path, metavar="REF", help="reference image")
    parser.add_argument(
        "distorted", type=Path, nargs="+", metavar="DIST", help="images to compare with it"
    )
    parser.add_argument(
        "--metrics",
        default="psnr,ssim,mae,e-mae",
        metavar="NAMES",
        help="comma-separated: psnr, ssim, ms-ssim, lpips, or any loss type (mae, e-mae, e-psnr, "
        "vgg, ...); e-mae has the units of mae here, but is times 100 in tables of a test "
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
        help="write a figure per image: error map, enhanced error map and mask of every metric "
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
    session.add_device(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def pairs_of(flag: str, given: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Read repeated NAME=VALUE arguments.

    Raises:
        ValueError: no NAME=VALUE, a name that is not known, or one given twice.
    """
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        key = canonical(name)
        if not equals or not value:
            raise ValueError(f"{flag}: expected NAME=VALUE, got {text!r}")
        if key not in known:
            raise ValueError(f"{flag} {text}: expected one of {', '.join(known)}, got {key!r}")
        if key in values:
            raise ValueError(f"{flag}: {key} is given twice")
        values[key] = value
    return values


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    names = [name.strip() for name in arguments.metrics.split(",") if name.strip()]
    keys = [canonical(name) for name in names]
    errors = Console(stderr=True, **session.AS_IT_IS)
    quick = len(arguments.distorted) == 1 and not arguments.maps
    try:
        results = score_pictures(
            arguments.reference,
            arguments.distorted,
            names,
            backbone=arguments.backbone,
            weights=pairs_of("--weights", arguments.weights, [*keys, BACKBONE]),
            orders=pairs_of("--order", arguments.order, keys),
            maps_folder=arguments.maps,
            device=arguments.device,
            progress=no_progress if quick else progress_on(errors),
        )
    except WeightsNeeded as error:
        flags = " or ".join(f"--weights {file}=FILE" for file in error.files)
        raise ValueError(
            f"{error} (here: {flags}; or leave {error.metric} out of --metrics)"
        ) from error
    show(results, arguments.json)
    for figure in [result.figure for result in results if result.figure is not None]:
        errors.print(f"maps: {figure} and {figure.with_suffix('')}/", soft_wrap=True)


def show(results: Sequence[PictureScore], as_json: bool) -> None:
    """Print one row per image; JSON is one mapping for one image, else a list of them."""
    console = session.make_console()
    if as_json:
        rows = [
            {name: v if math.isfinite(v) else None for name, v in result.values.items()}
            for result in results
        ]
        paths = [{"image": str(result.path)} for result in results]
        several = [path | row for path, row in zip(paths, rows, strict=True)]
        console.file.write(json.dumps(rows[0] if len(rows) == 1 else several) + "\n")
        return
    table = Table(show_edge=False)
    table.add_column("image", overflow="fold")
    for name in results[0].values:
        table.add_column(name.upper(), justify="right", no_wrap=True)
    for result in results:
        table.add_row(str(result.path), *[f"{value:.6g}" for value in result.values.values()])
    session.print_table(console, table)
