"""`restoration masks verify`: a row per category of a data set of ratings, every file checked."""

import argparse

from rich.table import Table

from restoration.cli import session
from restoration.cli.progress import progress_bar
from restoration.opinion.people import OpinionData, image_problems, listed, open_opinions

KINDS = "kadid10k:DIR, tid2013:DIR, csiq:DIR, pipal:DIR or csv:FILE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--data", required=True, metavar="KIND:PATH", help=KINDS)
    add_csv_arguments(parser)
    parser.add_argument(
        "--quick", action="store_true", help="check that files exist, without decoding them"
    )


def add_csv_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a CSV file does not say about its scores."""
    parser.add_argument(
        "--direction",
        type=str.upper,
        choices=("MOS", "DMOS"),
        help="of csv: MOS where higher scores are better, DMOS where they are worse",
    )
    parser.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="of csv: the ends of the scale of the scores",
    )


def open_data(arguments: argparse.Namespace) -> OpinionData:
    """Read the table that --data names."""
    score_range = None if arguments.range is None else tuple(arguments.range)
    return open_opinions(arguments.data, arguments.direction, score_range)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    data = open_data(arguments)
    console = session.make_console()
    console.print(table(data))
    low, high = data.score_range
    turned = "" if data.direction == "MOS" else ", turned so that higher is better"
    console.print(f"Scores: {data.direction} in [{low:g}, {high:g}]{turned}.")
    if arguments.quick:
        console.print(f"{len(data)} pairs; every file is there (not decoded).")
        return
    with progress_bar(console, "decoding", len(data)) as advance:
        problems = list(image_problems(data, advance))
    if problems:
        raise ValueError(f"{data.name}: {len(problems)} images cannot be used: {listed(problems)}")
    console.print(f"{len(data)} pairs; every image can be read and has its reference's size.")


def table(data: OpinionData) -> Table:
    """A row per category, and one for all."""
    view = Table("category", show_edge=False)
    for head in ("images", "references", "lowest", "mean", "highest"):
        view.add_column(head, justify="right")
    kinds = list(dict.fromkeys(data.categories))
    for kind in [*kinds, None] if len(kinds) > 1 else kinds:
        rows = [i for i, category in enumerate(data.categories) if kind in (None, category)]
        scores = data.scores[rows]
        references = len({data.references[i] for i in rows})
        numbers = [f"{value:.3f}" for value in (scores.min(), scores.mean(), scores.max())]
        view.add_row(kind or "all", str(len(rows)), str(references), *numbers)
    return view
