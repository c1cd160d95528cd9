"""`restoration weights list|fetch|verify`."""

import argparse

from rich.table import Table

from losses import weights
from restoration.cli import session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=("list", "fetch", "verify"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="default of verify: all present")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    console = session.make_console()
    if arguments.action == "list":
        table = Table("name", "here", "licence", "trained on", show_edge=False)
        for name, entry in weights.MANIFEST.items():
            here = "yes" if entry.path.is_file() else "no"
            table.add_row(name, here, entry.licence, entry.trained_on)
        console.print(table)
        return
    if arguments.action == "fetch" and not arguments.names:
        raise ValueError(f"fetch needs names; known: {', '.join(weights.MANIFEST)}")
    present = [name for name, entry in weights.MANIFEST.items() if entry.path.is_file()]
    for name in arguments.names or present:
        if arguments.action == "fetch":
            console.print(f"{name}: {weights.fetch(name)}")
        elif weights.verify(name):
            console.print(f"{name}: verified")
        else:
            raise ValueError(f"{name}: {weights.resolve(name)} does not have the recorded checksum")
