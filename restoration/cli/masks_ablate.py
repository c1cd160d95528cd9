"""`restoration masks ablate -opt FILE`: train variants of masks, measure all alike, one table."""

import argparse

from rich.table import Table

from restoration.cli import session
from restoration.cli.progress import progress_on
from restoration.masks.ablation import ablate
from restoration.masks.ablation_report import table_cells
from restoration.masks.options import load_ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_option_file(parser)
    session.add_device(parser)
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="continue an interrupted ablation; variants that are trained are not trained again",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    plan = load_ablation(arguments.opt, arguments.force_yml)
    console = session.make_console()
    with session.show_log(console):
        result = ablate(
            plan,
            device=arguments.device,
            resume=arguments.auto_resume,
            progress=progress_on(console),
        )
    heading, *lines = table_cells(result.rows)
    view = Table(heading[0], show_edge=False)
    for name in heading[1:]:
        view.add_column(name, justify="right")
    for line in lines:
        view.add_row(*line)
    session.print_table(console, view)
    console.print(result.about)
    console.print(f"{result.folder}: ablation.md, ablation.csv, error_maps.png")
