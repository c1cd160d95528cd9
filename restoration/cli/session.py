"""What train and test share: option files, folders, logging, ranks."""

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel

    from restoration.options.schema import Options

logger = logging.getLogger("restoration")

# names of files may hold brackets and colons, which rich would read as markup and emoji
AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
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


def add_basicsr_flags(parser: argparse.ArgumentParser) -> None:
    """Add the option file and BasicSR's flags."""
    add_option_file(parser)
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch"),
        default="none",
        help="accepted for compatibility: torchrun is recognised by itself",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="short run: a few steps, or the first image of each set",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


@contextmanager
def process_group(options: "Options") -> Iterator["torch.device"]:
    """Join torchrun's group for the time of a command, and yield this rank's device."""
    from restoration.common import distributed

    device = distributed.start(options.num_gpu, options.dist_params.backend)
    try:
        yield device
    finally:
        distributed.stop()


def make_console() -> Console:
    """Console for people; wide where it is not a terminal, so that log lines stay whole."""
    console = Console(**AS_IT_IS)
    return console if console.is_terminal else Console(**AS_IT_IS, width=140)


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
        size = {"width": needed, "height": console.height}  # a dumb terminal takes both or none
        console = Console(**AS_IT_IS, **size, file=console.file, force_terminal=console.is_terminal)
    console.print(table)


@contextmanager
def logging_to(console: Console, path: Path | None) -> Iterator[None]:
    """Send the log to the console and, on rank 0, to a file; other ranks stay silent."""
    main = os.environ.get("RANK", "0") == "0"
    if console.is_terminal:
        shown: logging.Handler = RichHandler(console=console, show_path=False, show_level=False)
    else:
        shown = logging.StreamHandler(console.file)
        shown.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handlers = [shown]
    if path is not None and main:
        written = logging.FileHandler(path, encoding="utf-8")
        written.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        handlers.append(written)
    logger.setLevel(logging.INFO if main else logging.ERROR)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def open_folder(folder: Path, keep: bool = False) -> None:
    """Make the run's folder once for all ranks, archiving an existing one unless it is kept."""
    from restoration.common import distributed
    from restoration.common.folders import make_folder

    archived = make_folder(folder, keep) if distributed.rank() == 0 else None
    distributed.barrier()
    if archived is not None:
        Console(stderr=True, **AS_IT_IS).print(f"{folder} exists: archived as {archived}")


def write_run_files(options: "BaseModel", folder: Path, device: "torch.device") -> None:
    """Write the resolved options and the environment, so that the folder explains its run."""
    from restoration.common import distributed
    from restoration.common.folders import environment, write_json
    from restoration.options.load import dump_yaml

    if distributed.rank() != 0:
        return
    (folder / "options.yml").write_text(dump_yaml(options), encoding="utf-8")
    content = {"seed": options.manual_seed, **environment(device, distributed.world_size())}
    write_json(folder / "environment.json", content)


def note_ignored(options: "Options") -> None:
    """Say once which given keys have no effect here."""
    from restoration.options.load import ignored_keys

    ignored = ignored_keys(options)
    if ignored:
        logger.info("accepted, without effect here: %s", ", ".join(ignored))


@contextmanager
def progress_bar(
    console: Console, title: str, total: int, done: int = 0
) -> Iterator[Callable[[], None]]:
    """Show a bar with the remaining time, and yield what advances it by one step."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal  # a log file would get empty lines
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=total, completed=done)
        yield lambda: progress.advance(task)
