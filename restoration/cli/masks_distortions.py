"""`restoration masks distortions`: a contact sheet of every kind and level of distortion."""

import argparse
from pathlib import Path

import numpy as np
from rich.table import Table

from losses import extras
from restoration.cli import session
from restoration.cli.masks_eval import DENOISERS_HELP, split
from restoration.cli.progress import progress_bar
from restoration.data import open_source, write_png
from restoration.data.images import read_rgb8
from restoration.degradations.distortions import DISTORTIONS, Distortion
from restoration.opinion.contact_sheet import LEVELS, contact_sheet, visibility
from restoration.opinion.denoised import denoised_kinds

MEASURES = ("haarpsi", "mdsi")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--image",
        required=True,
        metavar="FILE",
        help="photograph, folder, or skimage:NAME; the sheet shows the first",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="sheet to write")
    parser.add_argument(
        "--size",
        type=int,
        default=192,
        metavar="N",
        help="side in pixels of the square cut from the middle (default: %(default)s)",
    )
    parser.add_argument("--denoisers", default="", metavar="NAMES", help=DENOISERS_HELP)
    parser.add_argument("--seed", type=int, default=0, help="seed of the distortions (default: 0)")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="print how visible each level is, over all given photographs",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=8,
        metavar="N",
        help="photographs to measure at most (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.out is None and not arguments.measure:
        raise ValueError("expected --out FILE.png, or --measure, or both")
    if arguments.out is not None and arguments.out.suffix.lower() != ".png":
        raise ValueError(f"expected a file name ending in .png, got {arguments.out}")
    kinds = {**DISTORTIONS, **denoised_kinds(split(arguments.denoisers))}
    images = read_cuts(arguments)
    console = session.make_console()
    if arguments.out is not None:
        with progress_bar(console, "distorting", len(kinds)) as advance:
            sheet = contact_sheet(images[0], kinds, arguments.seed, advance)
        write_png(arguments.out, sheet)
        console.print(f"{arguments.out}: {sheet.shape[1]}x{sheet.shape[0]} pixels")
    if arguments.measure:
        measure(images, kinds, arguments.seed)


def read_cuts(arguments: argparse.Namespace) -> list[np.ndarray]:
    """Squares from the middle of the photographs that --image names."""
    count = arguments.images if arguments.measure else 1
    if Path(arguments.image).is_file():
        photographs = {arguments.image: read_rgb8(arguments.image)}
    elif ":" not in arguments.image and not Path(arguments.image).exists():
        raise FileNotFoundError(f"--image: {arguments.image} does not exist")
    else:
        source = open_source(arguments.image)
        photographs = {source.names[i]: source.read(i) for i in range(min(count, len(source)))}
    cuts, side = [], arguments.size
    for name, image in photographs.items():
        if not 32 <= side <= min(image.shape[:2]):
            raise ValueError(f"expected --size of 32 to {min(image.shape[:2])} for {name}")
        top, left = ((length - side) // 2 for length in image.shape[:2])
        cuts.append(image[top : top + side, left : left + side].copy())
    return cuts


def measure(images: list[np.ndarray], kinds: dict[str, Distortion], seed: int) -> None:
    """Print mean HaarPSI per level, and how often quality falls from one level to the next."""
    try:
        from restoration.opinion.teachers import TEACHERS
    except ImportError as error:
        raise extras.missing("piq", "--measure") from error
    metrics = {name: TEACHERS[name] for name in MEASURES}
    console = session.make_console()
    view = Table("distortion", show_edge=False, title=f"HaarPSI, mean of {len(images)} photographs")
    for head in [f"level {level}" for level in LEVELS] + ["falls: HaarPSI", "falls: MDSI"]:
        view.add_column(head, justify="right")
    with progress_bar(console, "measuring", len(kinds)) as advance:
        for visible in visibility(images, metrics, kinds, seed):
            means = [f"{value:.3f}" for value in visible.means["haarpsi"]]
            falls = [f"{100 * visible.monotone[metric]:.0f} %" for metric in MEASURES]
            view.add_row(visible.name, *means, *falls)
            advance()
    console.print(view)
