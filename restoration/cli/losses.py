"""`restoration losses -opt FILE`: what every loss term weighs, without training."""

import argparse

from rich.table import Table

from restoration.cli import session
from restoration.common import distributed
from restoration.options.load import load_options
from restoration.options.schema import Options
from restoration.train.loss_table import loss_table
from restoration.train.shares import NUM_BATCHES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_option_file(parser)
    parser.add_argument(
        "--batches",
        type=int,
        default=NUM_BATCHES,
        metavar="N",
        help="batches at the start of the training to measure (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.batches < 1:
        raise ValueError(f"expected --batches of at least 1, got {arguments.batches}")
    options = load_options(arguments.opt, arguments.force_yml, Options)
    rows = loss_table(options, distributed.choose_device(options.num_gpu), arguments.batches)
    table = Table("loss", show_edge=False)
    for head in ("value", "gradient norm", "weight", "share", "weight for equal share"):
        table.add_column(head, justify="right")
    for row in rows:
        numbers = (row.value, row.norm, row.weight)
        cells = [*(f"{n:.4g}" for n in numbers), f"{row.share:.1%}", f"{row.weight_for_equal:.4g}"]
        table.add_row(row.name, *cells)
    console = session.make_console()
    session.print_table(console, table)
    console.print(
        f"Means over the first {arguments.batches} batches of the training, before its first step. "
        "Gradient norm: L2, of the unweighted term at the prediction. Share: of the weighted norms."
    )
