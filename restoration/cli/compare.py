"""`restoration compare -opt FILE`: train every recipe alike, measure all, write one report."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from restoration.cli import session
from restoration.cli.progress import Work
from restoration.compare.api import compare, train_recipe
from restoration.compare.plan import Plan, load_comparison
from restoration.compare.report import words
from restoration.compare.report.answer import answer
from restoration.compare.report.front_words import front_sentences
from restoration.compare.report.notes import about_absent, commands_for_absent
from restoration.compare.report.page import REPORT
from restoration.compare.result import Record
from restoration.evaluate.layouts import terminal
from restoration.evaluate.rows import condition_text
from restoration.evaluate.tables import long_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the comparison")
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="continue an interrupted comparison; finished parts are kept",
    )
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="compare recipes that differ in more than the loss; the report marks them",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="trainings at once, each in a process of its own; GPUs are dealt out to them",
    )
    parser.add_argument(
        "--only",
        metavar="RECIPE",
        help="train only this recipe, and measure nothing; for one job of several",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="with --only: train it with this seed only"
    )
    parser.add_argument(
        "--collect",
        action="store_true",
        help="train nothing: measure what is trained, write the report, list what is missing",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="only print the trainings: recipe and seed, with a tab between them",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    _check(arguments)
    plan = load_comparison(arguments.opt, arguments.force_yml)
    console = session.make_console()
    if arguments.list:
        for one in plan.runs if session.is_main() else []:
            if one.trained:
                seed = "" if one.seed is None else one.seed
                console.file.write(f"{one.name}\t{seed}\n")  # rich would spread the tab
        return
    if arguments.only is not None:
        _train_only(arguments, plan, console)
        return
    training = Work(console, "training", visible=session.is_main())
    work = Work(console, "evaluating", visible=session.is_main())

    def evaluating(done: float, total: float, name: str, count: str) -> None:
        training.bar.stop()  # a console shows one bar at a time
        work.update(done, total, name, count)

    with session.show_log(console), training, work:
        record = compare(
            plan,
            folder=arguments.out,
            resume=arguments.auto_resume,
            allow_different=arguments.allow_different,
            debug=arguments.debug,
            console=console,
            on_progress=evaluating,
            collect=arguments.collect,
            jobs=arguments.jobs,
            on_training=training.update,
        )
    if session.is_main():
        print_record(record, console)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse flags that do not go together."""
    if arguments.seed is not None and arguments.only is None:
        raise ValueError("expected --only RECIPE with --seed, got --seed alone")
    if arguments.jobs < 1:
        raise ValueError(f"expected --jobs of 1 or more, got {arguments.jobs}")
    modes = {
        "--jobs": arguments.jobs > 1,
        "--only": arguments.only is not None,
        "--collect": arguments.collect,
    }
    given = [flag for flag, is_given in (modes | {"--list": arguments.list}).items() if is_given]
    if len(given) > 1:
        raise ValueError(
            f"expected one of {', '.join(modes)} and --list, got {' and '.join(given)}"
        )


def _train_only(arguments: argparse.Namespace, plan: Plan, console: Console) -> None:
    with session.show_log(console):
        absent = train_recipe(
            plan,
            arguments.only,
            arguments.seed,
            folder=arguments.out,
            resume=arguments.auto_resume,
            allow_different=arguments.allow_different,
            debug=arguments.debug,
            console=console,
        )
    if session.is_main() and not absent:
        console.print("trained; when the others are trained too, run `--collect`")


def print_record(record: Record, console: Console) -> None:
    """Print means and verdicts, the answer, and where the report is."""
    means = long_table(record.findings.means, record.columns, only_average=True)
    session.print_table(console, terminal(means))
    console.print()
    session.print_table(console, verdicts(record))
    console.print()
    for name in (recipe.name for recipe in record.plan.challengers):
        console.print(f"- {words.headline(record, name)}")
    if record.findings.signs:
        console.print(f"- {words.sign_sentence(record.findings.signs)}")
    for line in [*front_sentences(record), *about_absent(record)]:
        console.print(f"- {line}")
    missing = commands_for_absent(record)
    if missing:
        console.print("to train what is missing, run `restoration compare` with")
    for flags in missing:
        console.print(f"  {flags}")
    console.print(answer(record), style="bold")
    console.print(f"open {record.folder / REPORT}")


def verdicts(record: Record) -> Table:
    """Lay out differences and verdicts: a line per recipe and metric, conditions side by side."""
    table = Table("recipe", "metric", show_edge=False)
    for condition in record.findings.conditions:
        table.add_column(condition_text(condition), justify="right", no_wrap=True)
    for recipe in record.plan.challengers:
        table.add_section()
        for metric, column in record.columns.items():
            found = {d.condition: d for d in record.findings.of(recipe.name, metric)}
            cells = [
                f"{column.signed(found[c].estimate.mean)} {found[c].verdict}" if c in found else "-"
                for c in record.findings.conditions
            ]
            table.add_row(recipe.name, column.label, *cells)
    return table
