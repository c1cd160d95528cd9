"""`restoration score REF DIST...`: metrics of pictures against a reference."""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from restoration.cli import session

if TYPE_CHECKING:
    from torch import Tensor

AS_METRICS = (
    "psnr",
    "ssim",
    "ms-ssim",
    "lpips",
)  # the rest are loss terms, in the units of their formula


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
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def build_scores(names: list[str], backbone: str) -> dict[str, Callable[..., "Tensor"]]:
    """Build what each name computes, (1, 3, H, W) x 2 -> (1,).

    Raises:
        ValueError: an unknown name, or weights that are missing.
    """
    import losses
    from restoration.metrics import build_metrics

    terms = {_canonical(term): term for term in losses.TERMS}
    scores: dict[str, Callable[..., Tensor]] = {}
    for name in names:
        key = _canonical(name)
        if key in AS_METRICS or key not in terms:
            scores[name] = next(iter(build_metrics([key]).values()))
            continue
        arguments = {"backbone": backbone} if key in ("vgg", "e-vgg") else {}
        scores[name] = losses.build_term(terms[key], reduction="none", **arguments)
    return scores


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    import torch

    from restoration.data import read_float
    from restoration.evaluate.protocol import to_batch

    names = [name.strip() for name in arguments.metrics.split(",") if name.strip()]
    if not names:
        raise ValueError("expected at least one metric after --metrics")
    pictures = [arguments.reference, *arguments.distorted]
    for path in pictures:
        if not path.is_file():
            raise FileNotFoundError(f"picture {path} does not exist")
    images = {path: read_float(path) for path in pictures}
    wanted = images[arguments.reference].shape
    for path, image in images.items():
        if image.shape != wanted:
            raise ValueError(
                f"{path}: expected {wanted[1]}x{wanted[0]} pixels like the reference, "
                f"got {image.shape[1]}x{image.shape[0]}"
            )
    scores = build_scores(names, arguments.backbone)
    reference = to_batch(images[arguments.reference], "cpu")
    rows = []
    with torch.no_grad():
        for path in arguments.distorted:
            distorted = to_batch(images[path], "cpu")
            rows.append({name: float(f(distorted, reference)) for name, f in scores.items()})
    show(arguments.distorted, rows, arguments.json)


def show(paths: list[Path], rows: list[dict[str, float]], as_json: bool) -> None:
    """Print one row per picture; JSON is one mapping for one picture, else a list of them."""
    console = session.make_console()
    if as_json:
        clean = [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in rows]
        with_names = [{"image": str(p), **row} for p, row in zip(paths, clean, strict=True)]
        console.file.write(json.dumps(clean[0] if len(clean) == 1 else with_names) + "\n")
        return
    table = Table("picture", show_edge=False)
    for name in rows[0]:
        table.add_column(name.upper(), justify="right")
    for path, row in zip(paths, rows, strict=True):
        table.add_row(str(path), *[f"{value:.6g}" for value in row.values()])
    console.print(table)
