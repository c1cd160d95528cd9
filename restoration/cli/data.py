"""`restoration data list|fetch|verify|prepare`: the experiments' data sets on this machine."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from restoration.cli import session
from restoration.cli.progress import Work

if TYPE_CHECKING:
    from rich.console import Console

    from restoration.data.known_sets import DataSet, Findings

SHOWN = 8  # file names in one line of an answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    known = actions.add_parser("list", help="show all sets, their sources, and which are here")
    fetching = actions.add_parser("fetch", help="download sets that are free to download")
    verify = actions.add_parser("verify", help="compare images with the recorded checksums")
    prepare = actions.add_parser("prepare", help="cut training images into patches")
    for action in (known, fetching, verify, prepare):
        action.add_argument(
            "--root",
            type=Path,
            default=Path("datasets"),
            metavar="DIR",
            help="folder that holds one folder per set (default: %(default)s)",
        )
    fetching.add_argument(
        "names", nargs="+", metavar="NAME", help="sets, as `data list` names them"
    )
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="sets (default: all that are here)"
    )
    prepare.add_argument(
        "sets", nargs="+", metavar="SET", help="names of sets below the root, or folders"
    )
    prepare.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="new folder, or *.lmdb with --lmdb"
    )
    kinds = prepare.add_mutually_exclusive_group()
    kinds.add_argument("--lmdb", action="store_true", help="write one LMDB in BasicSR's layout")
    kinds.add_argument(
        "--decoded",
        action="store_true",
        help="write pixels instead of PNG: about twice the space, but no decoding in training",
    )
    prepare.add_argument(
        "--size", type=int, default=512, help="side of a patch (default: %(default)s)"
    )
    prepare.add_argument(
        "--overlap",
        type=int,
        default=96,
        help="pixels by which patches overlap (default: %(default)s)",
    )
    prepare.add_argument(
        "--whole",
        type=int,
        default=800,
        metavar="SIDE",
        help="images whose sides are no longer than this stay whole (default: %(default)s)",
    )
    prepare.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes; 0: work in this process (default: one per core)",
    )
    prepare.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="leave out images that cannot be read, and list them",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    console = session.make_console()
    actions = {"list": _list, "fetch": _fetch, "verify": _verify, "prepare": _prepare}
    actions[arguments.action](arguments, console)


def _list(arguments: argparse.Namespace, console: "Console") -> None:
    from restoration.data.known_sets import manifest
    from restoration.data.sources import find_pictures

    table = Table("set", "for", "images", "here", "size", "checksum", "folder", show_edge=False)
    for entry in manifest().values():
        folder = arguments.root / entry.name
        count = len(find_pictures(folder)) if folder.is_dir() else 0
        checksum = entry.digest or "not recorded"
        total = "" if entry.count is None else str(entry.count)
        here = presence(entry, count)
        table.add_row(entry.name, entry.kind, total, here, entry.sizes, checksum, str(folder))
    session.print_table(console, table)
    console.print()
    for entry in manifest().values():
        how = "" if entry.url is None else f" `restoration data fetch {entry.name}` brings it."
        console.print(f"{entry.name}: {entry.source}. Licence: {entry.licence}.{how}")


def _fetch(arguments: argparse.Namespace, console: "Console") -> None:
    from restoration.data.fetching import fetch
    from restoration.data.known_sets import find_entry

    for entry in [find_entry(name) for name in arguments.names]:
        console.print(f"{entry.name}: {entry.source}. Licence: {entry.licence}.")
        with Work(console, "fetching") as work:
            folder = fetch(entry, arguments.root, on_progress=work.update)
        console.print(f"{entry.name}: {len(entry.files)} images in {folder}, checksums agree")


def presence(entry: "DataSet", count: int) -> str:
    """Say whether a set is on this machine, from the number of its images that are."""
    if count == 0:
        return "no"
    if entry.count is None:
        return f"{count} patches"
    return "yes" if count == entry.count else f"{count} of {entry.count}"


def _verify(arguments: argparse.Namespace, console: "Console") -> None:
    from restoration.data.known_sets import compare, digests_of, find_entry, manifest
    from restoration.data.sources import FolderSource

    present = [name for name in manifest() if (arguments.root / name).is_dir()]
    if not arguments.names and not present:
        raise FileNotFoundError(
            f"expected a folder named like a known set in {arguments.root}, got none of "
            f"{', '.join(manifest())}; `restoration data list` says where they come from"
        )
    wrong = []
    for entry in [find_entry(name) for name in arguments.names or present]:
        source = FolderSource(arguments.root / entry.name)
        with Work(console, f"verifying {entry.name}") as work:
            digests = digests_of(source, on_progress=work.update)
        findings = compare(entry, digests)
        console.print(f"{entry.name}: {describe(entry, findings)}")
        if not findings.complete:
            wrong.append(entry.name)
    if wrong:
        raise ValueError(f"not as recorded: {', '.join(wrong)}")


def describe(entry: "DataSet", findings: "Findings") -> str:
    """Say what was found, in one line, with the names of the files."""
    if findings.complete:
        how = "checksums agree" if findings.recorded else "all readable; checksum not recorded"
        what = "patches" if entry.count is None else "images"
        text = f"{findings.checked} {what}, {how}"
        return f"{text} ({len(findings.renamed)} under other names)" if findings.renamed else text
    parts = []
    if entry.count not in (None, findings.checked):
        parts.append(f"expected {entry.count} images, got {findings.checked}")
    for kind in ("missing", "altered", "unreadable", "extra"):
        names = getattr(findings, kind)
        if names:
            parts.append(f"{len(names)} {kind}: {some(names)}")
    return "; ".join(parts)


def some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _prepare(arguments: argparse.Namespace, console: "Console") -> None:
    from restoration.data.cutting import Cutting, cut_folders

    cutting = Cutting(arguments.size, arguments.overlap, arguments.whole, decoded=arguments.decoded)
    folders = [_folder_of(name, arguments.root) for name in arguments.sets]
    try:
        with Work(console, "cutting") as work:
            result = cut_folders(
                folders,
                arguments.out,
                cutting,
                as_lmdb=arguments.lmdb,
                workers=arguments.workers,
                skip_unreadable=arguments.skip_unreadable,
                on_progress=work.update,
            )
    except KeyboardInterrupt:
        console.print(f"kept in {arguments.out}.part: the same command continues from there")
        raise
    reused = f", {result.reused} of them from before" if result.reused else ""
    console.print(f"{arguments.out}: {result.patches} patches of {result.pictures} images{reused}")
    if result.unreadable:
        console.print(f"left out, unreadable: {', '.join(result.unreadable)}")


def _folder_of(name: str, root: Path) -> Path:
    below = root / name
    return below if below.is_dir() else Path(name)
