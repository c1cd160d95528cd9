"""`restoration masks ...`: training of masks, opinion data, agreement of metrics, distortions.

Each sub-command is a module `masks_<name>.py` with `add_arguments` and `run`.
"""

import argparse
import importlib

SUBCOMMANDS = {
    "train": "train the masks of a metric on opinion, as an option file describes",
    "ablate": "train variants of masks, and measure all on the same opinion",
    "eval": "measure how metrics, plain and enhanced, agree with opinion",
    "verify": "count and check a data set of opinions without training",
    "distortions": "draw all distortions at all levels on one sheet",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(dest="masks_command", metavar="COMMAND", required=True)
    for name, text in SUBCOMMANDS.items():
        module = importlib.import_module(f"restoration.cli.masks_{name}")
        own = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        module.add_arguments(own)
        own.set_defaults(run_masks=module.run)


def run(arguments: argparse.Namespace) -> None:
    """Run the sub-command."""
    arguments.run_masks(arguments)
