"""`restoration compare -opt FILE`: train every recipe alike, measure all, write one report."""

import argparse
from pathlib import Path

from restoration.cli import session
from restoration.cli.progress import Work
from restoration.compare.api import compare
from restoration.compare.plan import load_comparison
from restoration.compare.report import words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the comparison")
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="go on with an interrupted comparison; what is done is not done again",
    )
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="compare recipes that differ in more than the loss, marked in the report",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    plan = load_comparison(arguments.opt, arguments.force_yml)
    console = session.make_console()
    work = Work(console, "evaluating", visible=session.is_main())
    with session.show_log(console), work:
        record = compare(
            plan,
            folder=arguments.out,
            resume=arguments.auto_resume,
            allow_different=arguments.allow_different,
            debug=arguments.debug,
            console=console,
            on_progress=work.update,
        )
    for line in words.summary(record) if session.is_main() else []:
        console.print(f"- {line}")
