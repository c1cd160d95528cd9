"""`restoration plot RUN...`: losses and validations of trainings in one figure."""

import argparse
from pathlib import Path

from restoration.cli import session
from restoration.train.plot import plot_runs

FIGURE = "curves.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a training")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"figure to write (default: {FIGURE} in the run's folder; of several runs, here)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    runs: list[Path] = arguments.runs
    default = runs[0] / FIGURE if len(runs) == 1 else Path(FIGURE)
    path = plot_runs(runs, arguments.out or default)
    session.make_console().print(f"written: {path}")
