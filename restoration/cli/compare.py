"""`restoration compare -opt FILE`: train every recipe alike, measure all, write one report."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli import session
from restoration.cli.progress import Work

if TYPE_CHECKING:
    from restoration.compare.plan import Plan


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


def for_debugging(plan: "Plan") -> "Plan":
    """Shorten a comparison: a few steps, the first image of every set."""
    from dataclasses import replace

    from restoration.train.experiment import for_debugging as shorten

    recipes = [replace(one, options=shorten(one.options)) for one in plan.recipes]
    return replace(plan, name=f"debug_{plan.name}", recipes=recipes)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.common import distributed
    from restoration.compare.plan import load_comparison
    from restoration.compare.report import words
    from restoration.compare.run import run_comparison

    plan = load_comparison(arguments.opt, arguments.force_yml)
    if arguments.debug:
        plan = for_debugging(plan)
    folder = arguments.out or plan.shared.path.experiments_root / plan.name
    console = session.make_console()
    with session.process_group(plan.shared) as device:
        main = distributed.rank() == 0
        work = Work(console, "evaluating", visible=main)
        with session.logging_to(console, None), work:
            record = run_comparison(
                plan,
                folder,
                device,
                arguments.auto_resume,
                arguments.allow_different,
                console,
                work.update,
            )
        for line in words.summary(record) if main else []:
            console.print(f"- {line}")
