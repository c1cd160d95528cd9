"""What an installation has, and what is wrong with it, each with its cure: `restoration doctor`.

Nothing here needs a package beyond the core, so that it works where something is missing.
"""

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from losses import weights
from losses.extras import DISTRIBUTION, EXTRAS, install_command
from restoration.common.installation import tensorboard_conflict

NEWEST_PYTHON = (3, 13)  # that was tried
BASICSR_ENDS = (3, 13)  # its build fails from this Python on
NAMED = 4  # modules in one line
OPENCV = (
    *("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "opencv-contrib-python-headless",
)
REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+).*?>=(?P<least>[\d.]+)")


class Problem(NamedTuple):
    """Something that is wrong, and what mends it."""

    what: str
    cure: str


def installed(name: str) -> str | None:
    """Version of a distribution that is installed; None where it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version: "2.14.1+cu130" is (2, 14, 1)."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found.group().split("."))) if found else ()


def requirements() -> list[tuple[str, str]]:
    """(distribution, least version) of all that this distribution requires, extras included."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # run from a source tree
        return []
    found = (REQUIREMENT.match(line) for line in lines)
    return sorted({(one["name"], one["least"]) for one in found if one})


def reinstall_command(name: str | None = None) -> str:
    """Write what brings a distribution's files back; None for this one."""
    if name is None and installed(DISTRIBUTION) is None:
        return "pip install -e . in the source tree"
    return f"pip install --force-reinstall --no-deps {name or DISTRIBUTION}"


def missing_by_extra() -> dict[str, list[str]]:
    """Modules that are not installed, by extra; an extra that is whole has none."""
    lacking: dict[str, list[str]] = {extra: [] for extra in ("train", *sorted(EXTRAS.values()))}
    for module, extra in EXTRAS.items():
        if find_spec(module) is None:
            lacking[extra].append(module)
    return lacking


def package_problems() -> Iterator[Problem]:
    """Find packages that are too old, or stand in each other's way."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        yield Problem(
            f"Python {platform.python_version()} is newer than {newest}, the newest that was tried",
            f"make an environment with Python 3.10 to {newest}",
        )
    for name, least in requirements():
        here = installed(name)
        if here is not None and numbers(here) < numbers(least):
            yield Problem(f"expected {name} >= {least}, got {here}", f"pip install -U '{name}'")
    conflict = tensorboard_conflict()
    if conflict is not None:
        what, _, cure = conflict.partition(" Mend it with: ")
        yield Problem(what, cure)
    several = [name for name in OPENCV if installed(name)]
    if len(several) > 1:
        yield Problem(
            f"{' and '.join(several)} are installed: they overwrite each other's files",
            f"pip uninstall -y {' '.join(several)} && pip install opencv-python-headless",
        )
    if installed("restoration"):
        yield Problem(
            "a distribution named `restoration` is installed, whose files take the place of ours",
            f"pip uninstall -y restoration && {reinstall_command()}",
        )


def torch_problems() -> Iterator[Problem]:
    """Find what keeps torch from working with NumPy, torchvision or a GPU."""
    try:
        torch.zeros(1).numpy()
    except RuntimeError as error:
        yield Problem(
            f"torch {torch.__version__} does not work with NumPy {installed('numpy')}: {error}",
            "pip install 'numpy<2', or a newer torch",
        )
    if find_spec("torchvision") is not None:
        try:
            importlib.import_module("torchvision")
        except (ImportError, RuntimeError, OSError, AttributeError) as error:
            yield Problem(
                f"torchvision {installed('torchvision')} does not fit torch {torch.__version__}: "
                f"{str(error).splitlines()[0]}",
                "pip install --force-reinstall torch torchvision, both in one command and from "
                "one index",
            )
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU build"
        yield Problem(
            f"nvidia-smi is here, but torch {torch.__version__} ({built}) finds no GPU",
            "update the driver, or install the build of torch that fits it: "
            "https://pytorch.org/get-started/locally",
        )


def devices() -> list[str]:
    """Describe what torch can compute on."""
    found = [f"cpu: {torch.get_num_threads()} threads of {os.cpu_count()} cores"]
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number}: {about.name}, {about.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps: this Mac's GPU")
    return found


def weight_problems() -> Iterator[Problem]:
    """Find weights that are here and altered, or that should ship; and a cache for none."""
    for name, entry in weights.MANIFEST.items():
        found = entry.find()
        reinstall = reinstall_command(entry.package)
        if found is None:
            if entry.ships:
                yield Problem(f"weights {name} should ship, but {entry.path} is missing", reinstall)
        elif not weights.verify(name):
            again = f"rm {found} && restoration weights fetch {name}"
            yield Problem(
                f"weights {name}: {found} does not have the recorded checksum",
                again if entry.sources else reinstall,
            )
    folder = weights.cache_dir()
    if not _writable(folder):
        yield Problem(
            f"nothing can be written to {folder}, where weights are kept",
            "mend its permissions, or name another folder: export RESTORATION_WEIGHTS=DIR",
        )


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest folder above that exists."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def extra_lines() -> list[str]:
    """Say of every extra whether it is whole, and what installs it."""
    lines = []
    for extra, lacking in missing_by_extra().items():
        more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        if not lacking:
            lines.append(f"{extra}: installed")
        elif extra == "basicsr" and sys.version_info >= BASICSR_ENDS:
            lines.append(f"{extra}: not for Python {'.'.join(map(str, BASICSR_ENDS))} and later")
        else:
            names = f"{', '.join(lacking[:NAMED])}{more}"
            lines.append(f"{extra}: without {names}; {install_command(extra)}")
    return lines
