"""`restoration denoise IN...`: photographs without their noise, and all else as it was."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from restoration.cli import session
from restoration.cli.progress import Work
from restoration.common.distributed import choose_device
from restoration.photo.engines import ENGINES, TORCH, engine_of, with_engine
from restoration.photo.files import Job, Plan, plan
from restoration.photo.memory import tile_side
from restoration.photo.model import load_denoiser
from restoration.photo.run import Outcome, denoise_files
from restoration.photo.tiles import Denoiser

MEGA = 1e6
DETAILS = """
Kept: EXIF (its orientation is applied and reset), colour profile (pixel values
are denoised without converting them), alpha, grey, bit depth, format and name.
CMYK stays CMYK: its three colours are denoised together, black by itself.

Formats: jpg, png (8, 16 bits), tif (8, 16 bits, floating point; written with
deflate if it was compressed), webp, bmp; HEIC with pillow-heif; with rawpy DNG
and other raw files, which are written as TIFF of 16 bits.

Lossy formats: JPEG keeps the quantisation tables and the subsampling of the
input, and so its quality; HEIC and lossy WebP are written at quality 95.

Exit code: 0; 1 if an image could not be denoised; 2 for a mistake in the
arguments.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = DETAILS
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="IN", help="photographs, or folders of them"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("denoised"),
        metavar="DIR",
        help="folder of the results, which keep their names (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        metavar="FILE|NAME",
        help="checkpoint (.pth, .safetensors) or name of a denoiser (default: the one that ships)",
    )
    session.add_network(parser)
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        metavar="X",
        help="how much of the change to make, 0 (nothing) to 1 (default: 1)",
    )
    parser.add_argument(
        "--detail",
        type=float,
        default=0.0,
        metavar="X",
        help="how much of the removed texture to restore, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--tile",
        default="auto",
        metavar="auto|N",
        help="side of the tiles in pixels; auto: depends on the free memory (default: auto)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing results")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=TORCH,
        help="what runs the network (default: %(default)s); the others run on a CPU, and export "
        "the model the first time",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="cpu, cuda, cuda:1, mps, or auto (default: auto)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    console = session.make_console()
    found = plan(arguments.inputs, arguments.out, arguments.force)
    device = choose_device(arguments.device)
    network = load_denoiser(arguments.model, arguments.network, device)
    with session.show_log(console):
        network = with_engine(network, arguments.engine, device)
    tile = tile_side(network, device) if arguments.tile == "auto" else _tile(arguments.tile)
    denoiser = Denoiser(network, device, tile, arguments.strength, arguments.detail)
    failed = _work(console, denoiser, found.jobs)
    _summarise(console, found, failed, arguments.out, engine_of(network))
    return 1 if failed else 0


def _tile(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"--tile: expected auto or a number of pixels, got {text!r}") from None


def _work(console: Console, denoiser: Denoiser, jobs: Sequence[Job]) -> list[Outcome]:
    """Denoise and print a line for every file; what failed is returned."""
    failed = []
    with Work(console, "denoising") as work:

        def on_tile(job: Job, done: int, total: int, rate: float) -> None:
            count = f"{done}/{total} tiles, {rate / MEGA:.2f} MP/s"
            work.update(done, total, job.source.name, count)

        for number, outcome in enumerate(denoise_files(denoiser, jobs, on_tile), start=1):
            if outcome.error is not None:
                failed.append(outcome)
            console.print(f"[{number}/{len(jobs)}] {_line(outcome)}", soft_wrap=True)
    return failed


def _line(outcome: Outcome) -> str:
    job = outcome.job
    if outcome.error is not None:
        return f"{job.source}: NOT denoised: {outcome.error}"
    spent = f"{outcome.pixels / MEGA:.1f} MP in {outcome.seconds:.1f} s"
    text = f"{job.source} -> {job.target}: {spent}"
    return "; ".join([text, *outcome.notes])


def _summarise(
    console: Console, found: Plan, failed: Sequence[Outcome], out: Path, engine: str
) -> None:
    done = len(found.jobs) - len(failed)
    parts = [f"{done} of {len(found.jobs)} denoised, in {out}"]
    if engine != TORCH:
        parts.append(f"{engine} ran the network")
    if failed:
        parts.append(f"{len(failed)} not:")
    console.print("; ".join(parts), soft_wrap=True)
    for outcome in failed if len(found.jobs) > 1 else ():
        console.print(f"  {outcome.job.source}: {outcome.error}", soft_wrap=True)
    if found.others:
        console.print(f"files in the folders that are not images: {found.others}")
