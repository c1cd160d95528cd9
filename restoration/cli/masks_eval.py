"""`restoration masks eval`: how well metrics, plain and enhanced, agree with quality ratings."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from restoration.agreement.ratings import (
    Ratings,
    calibrated_ratings,
    human_ratings,
    pseudo_ratings,
)
from restoration.agreement.report import ALL, HEADINGS, AgreementReport, format_cell
from restoration.agreement.run import FILES, evaluate_metrics
from restoration.cli import session
from restoration.cli.masks_verify import KINDS, add_csv_arguments, open_data
from restoration.cli.progress import progress_on
from restoration.opinion.distorted import DistortedPairs

CALIBRATED, PSEUDO = "calibrated", "pseudo"
DENOISERS_HELP = (
    "comma-separated denoisers whose outputs are further kinds (family denoised): gaussian, "
    "bilateral, nlm, ffdnet, a network that `restoration weights list` shows, or a checkpoint"
)
DEFAULT_METRICS = "mae,e-mae,psnr,e-psnr,ssim,e-ssim,vgg,e-vgg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--data",
        required=True,
        metavar="KIND:PATH",
        help=f"{KINDS}; or for a folder of clean photographs, which are distorted here, "
        "calibrated:DIR for what people said of each kind and level, or pseudo:DIR for pseudo-MOS",
    )
    add_csv_arguments(parser)
    parser.add_argument(
        "--metrics",
        default=DEFAULT_METRICS,
        metavar="NAMES",
        help="comma-separated loss types or metrics; e-mae=FILE for other masks, "
        "lpips:net=vgg for arguments (default: %(default)s)",
    )
    parser.add_argument(
        "--backbone",
        default="embedded",
        help="backbone of vgg and e-vgg: embedded, vgg16, vgg19 (default: %(default)s)",
    )
    parser.add_argument(
        "--masks",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="mask file of one enhanced metric (e-mae=FILE), or of all others; repeatable",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="result folder (default: results/masks_<data>)"
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap resamples of the references; 0 for no intervals (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the bootstrap and of distortions (default: 0)"
    )
    session.add_device(parser)
    _add_distorted_arguments(parser.add_argument_group("calibrated: and pseudo:"))


def _add_distorted_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--distortions",
        metavar="NAMES",
        help="comma-separated kinds or families (default: KADID-10k's 25, and --denoisers)",
    )
    group.add_argument(
        "--denoisers", default="", metavar="NAMES", help=f"of pseudo: {DENOISERS_HELP}"
    )
    group.add_argument(
        "--levels", default="1,2,3,4,5", metavar="LIST", help="levels (default: %(default)s)"
    )
    group.add_argument(
        "--references", type=int, metavar="N", help="number of photographs (default: all)"
    )
    group.add_argument(
        "--size",
        default="whole",
        metavar="whole|N",
        help="whole photographs, or a square of N pixels from the middle (default: %(default)s)",
    )
    group.add_argument(
        "--teachers",
        metavar="NAMES",
        help="of pseudo: comma-separated metrics whose mean rank is the score; held-out: metrics "
        "that no shipped mask was trained with (default: those that pseudo-MOS for training comes "
        "from)",
    )
    group.add_argument(
        "--by-family", action="store_true", help="group the kinds by family (blur, noise, ...)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    ratings = open_ratings(arguments)
    folder = arguments.out or Path("results") / f"masks_{ratings.name}"
    console = session.make_console()
    report = evaluate_metrics(
        ratings,
        split(arguments.metrics),
        folder,
        backbone=arguments.backbone,
        masks=arguments.masks,
        num_resamples=arguments.resamples,
        seed=arguments.seed,
        device=arguments.device,
        about={"arguments": _plain(arguments)},
        progress=progress_on(console),
    )
    show(report, ratings, folder, console)


def split(text: str) -> list[str]:
    """Parts of a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str) -> list[float]:
    """Numbers of a comma-separated list."""
    try:
        return [float(part) for part in split(text)]
    except ValueError as error:
        raise ValueError(f"expected numbers such as 1,3,5, got {text!r}") from error


def open_ratings(arguments: argparse.Namespace) -> Ratings:
    """Open what --data names; arguments of the other kind of data are an error."""
    kind, _, path = arguments.data.partition(":")
    if kind not in (CALIBRATED, PSEUDO):
        data = open_data(arguments)
        for name in ("distortions", "denoisers", "references", "teachers", "by_family"):
            if getattr(arguments, name):
                raise ValueError(f"--{name.replace('_', '-')} is for photographs distorted here")
        return human_ratings(data)
    if arguments.direction or arguments.range:
        raise ValueError("--direction and --range are for csv: alone")
    if arguments.size != "whole" and not arguments.size.isdigit():
        raise ValueError(f"expected --size whole or a number of pixels, got {arguments.size!r}")
    if kind == CALIBRATED and arguments.teachers is not None:
        raise ValueError("--teachers is for pseudo: alone")
    if not path:
        raise ValueError(f"expected {kind}:DIR with a folder of clean photographs")
    pairs = DistortedPairs(
        path,
        split(arguments.distortions) if arguments.distortions else None,
        split(arguments.denoisers),
        numbers(arguments.levels),
        arguments.references,
        None if arguments.size == "whole" else int(arguments.size),
        arguments.seed,
        arguments.by_family,
        rated=kind == CALIBRATED,
    )
    if kind == CALIBRATED:
        return calibrated_ratings(pairs)
    return pseudo_ratings(pairs, None if arguments.teachers is None else split(arguments.teachers))


def _plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments as JSON holds them."""
    return {
        key: str(value) if isinstance(value, Path) else value
        for key, value in vars(arguments).items()
        if not callable(value) and key not in ("command", "masks_command")
    }


def show(report: AgreementReport, ratings: Ratings, folder: Path, console: Console) -> None:
    """Print all statistics over all pairs, with the interval of SROCC."""
    console.print(ratings.description)
    view = Table("metric", show_edge=False)
    for name in (*HEADINGS.values(), "SROCC 95 %"):
        view.add_column(name, justify="right")
    for metric in report.metrics:
        row = report.row(metric, ALL)
        low, high = row["srocc_low"], row["srocc_high"]
        ends = "-" if low is None else f"{low:.3f} .. {high:.3f}"
        view.add_row(metric, *[format_cell(row, name) for name in HEADINGS], ends)
    session.print_table(console, view)
    if not all(row["logistic"] for row in report.rows):
        console.print(report.notes[-1])
    console.print(f"{folder}: {', '.join(FILES)}; table.md has every category")
