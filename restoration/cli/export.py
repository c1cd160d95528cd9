"""`restoration export CKPT --format FORMAT`: a denoiser for other programs, checked."""

import argparse
from pathlib import Path

from restoration.cli import session
from restoration.options.load import read_mapping
from restoration.photo.darktable import CARD_FIELDS, NOT_STATED, complete_card
from restoration.photo.export import SUFFIXES, export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "checkpoint", metavar="CKPT", help="checkpoint, or a denoiser by name (denoise_color_xs)"
    )
    parser.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        required=True,
        help="safetensors: the weights with the options of their network; onnx, torchscript: the "
        "network itself, for images of any height and width; dtmodel: darktable's package of it",
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="store weights as float16, half the size; norms and all computation stay float32",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: beside the checkpoint)"
    )
    session.add_network(parser)
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE.yml",
        help=f"for dtmodel, entries of its model card: {', '.join(CARD_FIELDS)}",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    console = session.make_console()
    card = {} if arguments.card is None else read_mapping(arguments.card)
    path, differences = export(
        arguments.checkpoint,
        arguments.format,
        arguments.out,
        arguments.network,
        arguments.force,
        arguments.half,
        card,
    )
    console.print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    for one in differences:
        console.print(
            f"  {one.height}x{one.width}: differs from torch by {one.largest:.1e} at most"
            + (f" ({one.psnr:.1f} dB)" if arguments.half else "")
        )
    if arguments.format == "dtmodel":
        stated = complete_card(arguments.checkpoint, card)
        silent = [field for field, text in stated.items() if text == NOT_STATED]
        if silent:
            console.print(
                f"  the card does not state {', '.join(silent)}: give --card FILE.yml",
                soft_wrap=True,
            )
