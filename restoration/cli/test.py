"""`restoration test -opt FILE`."""

import argparse

from rich.console import Console

from restoration.cli import session
from restoration.cli.progress import Work
from restoration.evaluate.api import test
from restoration.evaluate.layouts import terminal
from restoration.evaluate.report import Report
from restoration.evaluate.run import is_single
from restoration.evaluate.tables import long_table
from restoration.options.load import load_options
from restoration.options.schema import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="continue an interrupted test; values are kept if weights, protocol, metrics and "
        "images are the same",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    session.heed_launcher(arguments.launcher)
    options = load_options(arguments.opt, arguments.force_yml, Options)
    console = session.make_console()
    work = Work(console, "evaluating", visible=session.is_main())
    with session.show_log(console), work:
        report = test(
            options,
            resume=arguments.auto_resume,
            debug=arguments.debug,
            on_progress=work.update,
        )
    print_report(report, console, only_average=not is_single(options))


def print_report(report: Report, console: Console, only_average: bool = False) -> None:
    """Print the table and its footnotes; of several sets only the average, if so wanted."""
    if not (session.is_main() and report.metrics.by_name):
        return
    table = long_table(report.means, report.metrics.columns, only_average)
    session.print_table(console, terminal(table))
    for note in report.metrics.notes:
        console.print(f"- {note}")
