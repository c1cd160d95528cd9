"""`restoration doctor`: what this installation has, what is wrong with it, and what mends it.

It prints without rich, which a core install does not have.
"""

import argparse
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from losses import weights
from losses.extras import DISTRIBUTION, name_extra
from restoration import __version__
from restoration.common import checkup
from restoration.common.checkup import Problem

SHOWN = ("torch", "torchvision", "numpy", "timm", "tensorboard")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("datasets"),
        metavar="DIR",
        help="folder that holds one folder per data set (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 1 where something is wrong."""
    place = f"{platform.system()} {platform.machine()}"
    _write(f"{DISTRIBUTION} {__version__}, Python {platform.python_version()}, {place}")
    opencv = [name for name in checkup.OPENCV if checkup.installed(name)]
    names = [*SHOWN, *(opencv or checkup.OPENCV[:1])]
    versions = [f"{name} {checkup.installed(name) or 'not installed'}" for name in names]
    _section("packages", versions)
    _section("extras", checkup.extra_lines())
    _section("devices", checkup.devices())
    _section("weights", list(weight_lines()))
    lines, problems = check_data_sets(arguments.root)
    _section("data sets", lines)
    problems = [
        *checkup.package_problems(),
        *checkup.torch_problems(),
        *checkup.weight_problems(),
        *problems,
    ]
    for problem in problems:
        _section("problem", [problem.what, f"fix: {problem.cure}"])
    _write("" if problems else "\nno problem found")
    return 1 if problems else 0


def weight_lines() -> Iterator[str]:
    """Say which weights are here."""
    with suppress(ModuleNotFoundError):  # a core install has no networks
        import restoration.archs.denoisers  # noqa: F401  # enters them in the manifest
    here = [name for name, entry in weights.MANIFEST.items() if entry.find()]
    ship = [name for name in here if weights.MANIFEST[name].ships]
    yield f"{len(ship)} that ship: {', '.join(ship)}"
    yield f"also here: {', '.join(name for name in here if name not in ship) or 'none'}"
    absent = [name for name in weights.MANIFEST if name not in here]
    if absent:
        yield f"not here: {', '.join(absent)}; `restoration weights list` says what needs them"


def check_data_sets(root: Path) -> tuple[list[str], list[Problem]]:
    """Say which data sets are here, and which of them are incomplete."""
    try:
        from restoration.cli.data import presence
        from restoration.data.known_sets import manifest
        from restoration.data.sources import find_pictures
    except ModuleNotFoundError as error:
        return [str(name_extra(error, "looking for them"))], []
    lines, problems = [], []
    for entry in manifest().values():
        folder = root / entry.name
        count = len(find_pictures(folder)) if folder.is_dir() else 0
        if count == 0:
            continue
        lines.append(f"{entry.name}: {presence(entry, count)}")
        if entry.count not in (None, count):
            problems.append(
                Problem(
                    f"{folder}: expected {entry.count} images, got {count}",
                    f"restoration data verify {entry.name} --root {root}",
                )
            )
    where = "`restoration data list` says where each comes from"
    return lines or [f"none in {root.resolve()}; {where}"], problems


def _section(title: str, lines: list[str]) -> None:
    _write(f"\n{title}")
    for line in lines:
        _write(f"  {line}")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
