"""`restoration demo`: train as options/demo.yml describes, or take a denoiser, and test it."""

import argparse
import time
from pathlib import Path

from restoration.cli import session
from restoration.cli.progress import Work
from restoration.cli.test import print_report
from restoration.evaluate.api import test
from restoration.options.load import load_options
from restoration.options.schema import Options
from restoration.options.shipped import shipped_options
from restoration.train.api import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("experiments/demo"), metavar="DIR", help="result folder"
    )
    parser.add_argument("--iters", type=int, metavar="N", help="training steps")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="train nothing, and test this denoiser (such as denoise_color_xs) on the demo's "
        "photographs",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    began = time.perf_counter()
    assignments = []
    if arguments.iters is not None:
        assignments = [
            f"train:total_iter={arguments.iters}",
            f"train:scheduler:periods=[{arguments.iters}]",
        ]
    options = load_options(shipped_options() / "demo.yml", assignments, Options)
    out = arguments.out
    console = session.make_console()
    work = Work(console, "evaluating")
    with session.show_log(console), work:
        if arguments.model is None:
            last = train(options, folder=out, tb_folder=out / "tb_logger", console=console)
            options.path.pretrain_network_g = last
        else:
            options.path.pretrain_network_g, options.network_g = Path(arguments.model), None
            options.name = Path(arguments.model).stem
        keep = arguments.model is None
        report = test(options, folder=out, keep_folder=keep, on_progress=work.update)
    print_report(report, console)
    console.print(f"Done in {time.perf_counter() - began:.0f} s. Look at {out / 'picture.png'}.")
