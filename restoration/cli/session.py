"""What commands share: option files, the console with its tables and bars, the log on it."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.table import Table

from restoration.common.handlers import attached, logger

# names of files may hold brackets and colons, which rich would read as markup and emoji
AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"  # ISO 8601
NARROWEST, WIDEST = 24, 10_000  # characters: of a folding column, of a table


def add_option_file(parser: argparse.ArgumentParser) -> None:
    """Add the option file, and what overrides it."""
    parser.add_argument("-opt", "--opt", required=True, metavar="FILE", help="YAML option file")
    parser.add_argument(
        "--force_yml",
        nargs="+",
        default=[],
        metavar="KEY:KEY=VALUE",
        help="override options, such as train:total_iter=300",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device of commands whose option files say nothing of it."""
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="where to compute: cpu, cuda, cuda:1, mps, or auto (default: %(default)s)",
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add what a checkpoint's network is, of commands that take a checkpoint alone."""
    parser.add_argument(
        "--network",
        metavar="TYPE|FILE.yml",
        help="type of the network, if neither the checkpoint nor an options.yml beside it says it",
    )


def add_basicsr_flags(parser: argparse.ArgumentParser) -> None:
    """Add the option file and BasicSR's flags."""
    add_option_file(parser)
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm"),
        default="none",
        help="`slurm` if srun started this process; torchrun is detected without it",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="short run: a few steps, or the first image of each set",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def heed_launcher(launcher: str) -> None:
    """Join what `--launcher` names, or say that this process is alone.

    Raises:
        ValueError: the launcher is slurm, and this is no process of it.
    """
    if launcher == "slurm":
        from restoration.common import distributed

        distributed.join_slurm()
    elif launcher == "pytorch" and "WORLD_SIZE" not in os.environ:
        logger.warning(
            "--launcher pytorch, but torchrun did not start this process: it works alone"
        )


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command line: Rich's own would end the process with another code."""
        raise  # Rich calls this while it handles the error


class _LogHandler(logging.StreamHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Raise where nobody reads the output any more, instead of a trace per message."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            raise  # logging calls this while it handles the error
        super().handleError(record)


def is_main() -> bool:
    """Whether this is the process of torchrun's that shows something, or the only process."""
    return os.environ.get("RANK", "0") == "0"


def make_console() -> Console:
    """Console for people; wide where it is not a terminal, so that log lines stay whole."""
    console = _Console(**AS_IT_IS)
    return console if console.is_terminal else _Console(**AS_IT_IS, width=140)


def print_table(console: Console, table: Table) -> None:
    """Print a table with no number cut: where the console is too narrow, lines are longer than it.

    Columns that fold give way first, down to `NARROWEST`.
    """
    folding = [column for column in table.columns if column.overflow == "fold"]
    for column in folding:
        column.max_width = NARROWEST
    options = console.options.update(max_width=WIDEST)
    needed = Measurement.get(console, options, table).maximum
    for column in folding:
        column.max_width = None
    if needed > console.width:
        console = Console(
            **AS_IT_IS,
            width=needed,
            height=console.height,  # a dumb terminal takes both or none
            file=console.file,
            force_terminal=console.is_terminal,
        )
    console.print(table)


@contextmanager
def show_log(console: Console) -> Iterator[None]:
    """Show the log on the console for as long as the block lasts; ranks beside 0 are silent."""
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(
            console=console, show_path=False, show_level=False, log_time_format=DATE_FORMAT
        )
    else:
        handler = _LogHandler(console.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", DATE_FORMAT))
    with attached(handler):
        logger.setLevel(logging.INFO if is_main() else logging.ERROR)
        logger.propagate = False
        yield
