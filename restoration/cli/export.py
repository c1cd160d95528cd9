"""`restoration export CKPT --format FORMAT`: a denoiser for other programs, checked."""

import argparse
from pathlib import Path

from restoration.cli import session
from restoration.photo.export import SUFFIXES, export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("checkpoint", metavar="CKPT", help="checkpoint, or a shipped denoiser")
    parser.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        required=True,
        help="safetensors: the weights with the options of their network; onnx, torchscript: the "
        "network itself, for images of any height and width",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: beside the checkpoint)"
    )
    parser.add_argument(
        "--network",
        metavar="TYPE|FILE.yml",
        help="what the network is, where neither the checkpoint nor an options.yml beside it says",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    console = session.make_console()
    path, differences = export(
        arguments.checkpoint,
        arguments.format,
        arguments.out,
        arguments.network,
        arguments.force,
    )
    console.print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    for (height, width), difference in differences.items():
        console.print(f"  {height}x{width}: differs from torch by {difference:.1e} at most")
