"""`restoration masks ...`: training of masks, agreement of metrics with ratings, distortions.

Each sub-command is a module `masks_<name>.py` with `add_arguments` and `run`.
"""

import argparse

from restoration.cli.parser import add_commands

SUBCOMMANDS = {
    "train": "train the masks of a metric on quality ratings, as an option file describes",
    "ablate": "train variants of masks, and measure all on the same ratings",
    "eval": "measure how well metrics, plain and enhanced, agree with quality ratings",
    "verify": "count and check a data set of quality ratings without training",
    "distortions": "draw all distortions at all levels on one sheet",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    add_commands(parser, SUBCOMMANDS, "restoration.cli.masks_", "masks_command")


def run(arguments: argparse.Namespace) -> None:
    """Run the sub-command."""
    arguments.run_masks_command(arguments)
