"""`restoration test -opt FILE`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli import session
from restoration.cli.progress import Work

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from restoration.evaluate.report import Report
    from restoration.options.schema import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="go on from what an interrupted test left, where weights, protocol, metrics and "
        "images are the same",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.evaluate.run import for_debugging
    from restoration.options.load import load_options
    from restoration.options.schema import Options

    options: Options = load_options(arguments.opt, arguments.force_yml)
    if arguments.debug:
        options = for_debugging(options)
    folder = options.path.results_root / options.name
    with session.process_group(options) as device:
        test(options, folder, device, resume=arguments.auto_resume)


def test(
    options: "Options",
    folder: Path,
    device: "torch.device",
    run_name: str | None = None,
    keep_folder: bool = False,
    resume: bool = False,
) -> "Report":
    """Run a test with its progress on the terminal, and print its table. See `run_test`."""
    from restoration.common import distributed
    from restoration.evaluate.run import is_single, run_test

    main, console = distributed.rank() == 0, session.make_console()
    work = Work(console, "evaluating", visible=main)
    with session.logging_to(console, None), work:
        report = run_test(options, folder, device, run_name, keep_folder, resume, work.update)
    if main and report.metrics.by_name:
        print_report(report, console, only_average=not is_single(options))
    return report


def print_report(report: "Report", console: "Console", only_average: bool = False) -> None:
    """Print the table and its footnotes; of several sets only the average, if so wanted."""
    from restoration.evaluate.layouts import terminal
    from restoration.evaluate.tables import long_table

    table = long_table(report.means, report.metrics.columns, only_average)
    session.print_table(console, terminal(table))
    for note in report.metrics.notes:
        console.print(f"- {note}")
