"""`restoration weights list|fetch|verify|path`."""

import argparse

from rich.console import Console
from rich.table import Table

import restoration.archs.denoisers  # noqa: F401  # enters them in the manifest
from losses import weights
from losses.weights import MANIFEST, Weights
from restoration.cli import session
from restoration.cli.progress import Work

ACTIONS = {
    "list": "every file, whether it is here, its size and licence",
    "fetch": "download into the cache what does not ship",
    "verify": "compare checksums; all that is here if no name is given",
    "path": "where a file is, or would be",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    told = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=ACTIONS, help=told)
    parser.add_argument("names", nargs="*", metavar="NAME", help="as `list` shows them")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    console, names = session.make_console(), arguments.names
    if arguments.action == "list":
        _list(console, names)
    elif arguments.action == "verify":
        _verify(console, names or [name for name, entry in MANIFEST.items() if entry.find()])
    elif not names:
        raise ValueError(f"{arguments.action} needs names; known: {', '.join(MANIFEST)}")
    elif arguments.action == "fetch":
        for name in names:
            _fetch(console, name)
    else:
        for name in names:
            entry = weights.find_entry(name)
            console.print(str(entry.find() or entry.path), soft_wrap=True, highlight=False)


def _list(console: Console, names: list[str]) -> None:
    """Print all as a table, or all about some."""
    for name in names:
        _describe(console, name, weights.find_entry(name))
    if names:
        return
    table = Table("name", "here", "size", "used by", "licence", show_edge=False)
    for name, entry in MANIFEST.items():
        licence, _, _ = entry.licence.partition(":")
        here = ("ships" if entry.ships else "yes") if entry.find() else "no"
        table.add_row(name, here, weights.megabytes(entry.size), entry.used_by, licence)
    console.print(table)
    console.print(f"What `fetch` brings goes to {weights.cache_dir()}.", soft_wrap=True)


def _describe(console: Console, name: str, entry: Weights) -> None:
    """Print what is to be known before a download."""
    lines = {
        "used by": entry.used_by,
        "trained on": entry.trained_on,
        "licence": entry.licence,
        "here" if entry.find() else "its place": str(entry.find() or entry.path),
    }
    if entry.package:
        lines["comes with"] = f"the package {entry.package}"
    for number, source in enumerate(entry.sources):
        lines["or from" if number else "from"] = str(source)
    console.print(name, style="bold", highlight=False)
    for heading, text in lines.items():
        console.print(f"  {heading}: {text}", soft_wrap=True, highlight=False)


def _verify(console: Console, names: list[str]) -> None:
    """Check all before an altered one is an error."""
    altered = []
    for name in names:
        if not weights.find_entry(name).has_checksum:
            console.print(f"{name}: not verified: no checksum of it was published")
        elif weights.verify(name):
            console.print(f"{name}: verified")
        else:
            altered.append(f"{name}: {weights.find_entry(name).find()}")
    if altered:
        raise ValueError(f"{', '.join(altered)} does not have the recorded checksum")


def _fetch(console: Console, name: str) -> None:
    """Fetch one file: what it is and its licence first, then each source that is asked."""
    entry = weights.find_entry(name)
    _describe(console, name, entry)
    if entry.find() is not None:
        ships = "ships with this package" if entry.ships else "is here"
        console.print(f"  nothing to fetch: it {ships}")

    def tell(text: str) -> None:
        console.print(f"  {text}", soft_wrap=True, highlight=False)

    with Work(console, "fetching") as work:

        def update(done: int, total: int) -> None:
            work.update(done, total, name, f"{done / 1e6:.1f}/{total / 1e6:.1f} MB")

        path = weights.fetch(name, tell=tell, on_progress=update)
    console.print(f"{name}: {path}", soft_wrap=True, highlight=False)
