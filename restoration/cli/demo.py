"""`restoration demo`: options/demo.yml through the code of `train`, then that of `test`."""

import argparse
import time
from pathlib import Path

from restoration.cli import session
from restoration.cli.test import test
from restoration.options.load import load_options, shipped_options
from restoration.options.schema import Options
from restoration.train.experiment import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("experiments/demo"), metavar="DIR", help="result folder"
    )
    parser.add_argument("--iters", type=int, metavar="N", help="training steps")


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
    with session.process_group(options) as device:
        with session.show_log(console):
            last = train(options, folder=out, tb_folder=out / "tb_logger", console=console)
        options.path.pretrain_network_g = last
        test(options, out, device, run_name=options.name, keep_folder=True)
    console.print(f"Done in {time.perf_counter() - began:.0f} s. Look at {out / 'picture.png'}.")
