"""Option files that ship with this package: `options/...` means them where no such file is."""

import re
import shutil
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from losses.naming import nearest

PREFIX = "options"  # first part of their names, and their folder in the source tree
BASE = re.compile(r"\bbase: *([\w./-]+\.yml)")


def shipped_options() -> Path:
    """Folder of the option files: inside the package, or in the source tree."""
    inside = Path(__file__).with_name("files")  # setup.py puts them there
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / PREFIX


def shipped_names() -> list[str]:
    """Names of the option files, such as "options/compare/quick.yml"."""
    folder = shipped_options()
    return [f"{PREFIX}/{one.relative_to(folder).as_posix()}" for one in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.yml"))


def first_sentence(name: str) -> str:
    """What a shipped file is for: the first sentence of the comment that it begins with, or ""."""
    text = (shipped_options() / name.removeprefix(f"{PREFIX}/")).read_text(encoding="utf-8")
    comment = [line.removeprefix("#").strip() for line in takewhile(_is_comment, text.splitlines())]
    return re.split(r"(?<=[.]) (?=[A-Z])", " ".join(comment))[0]


def _is_comment(line: str) -> bool:
    return line.startswith("#")


def find_option_file(given: str | Path, folder: Path | None = None) -> Path:
    """Find an option file: a path, or else `options/...` among those that ship.

    Args:
        given: as it stands on the command line or as `base:`.
        folder: what a relative path starts from; None for the working directory.

    Returns:
        The file's absolute path.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = (Path.cwd() if folder is None else folder) / given
    if path.is_file():
        return path.resolve()
    first, *rest = Path(given).parts or ("",)
    hint = ""
    if first == PREFIX:
        shipped = shipped_options().joinpath(*rest)
        if shipped.is_file():
            return shipped.resolve()
        hint = nearest(Path(given).as_posix(), shipped_names())
        hint += "; `restoration options list` shows those that ship"
    raise FileNotFoundError(f"option file {path.resolve()} does not exist{hint}")


def copy_options(names: Sequence[str], out: Path, force: bool = False) -> list[Path]:
    """Copy option files that ship, each with the files that its `base:` names.

    Args:
        names: "options/compare/quick.yml", ...; all where there is none.
        out: folder that takes the place of `options`.
        force: replace files that are there.

    Returns:
        The files that were written.

    Raises:
        ValueError: an unknown name.
        FileExistsError: a file is there already; nothing is written.
    """
    known = shipped_names()
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(f"expected an option file that ships, got {name!r}{hint}")
    folder = shipped_options()
    sources = _with_bases([folder / name.removeprefix(f"{PREFIX}/") for name in names or known])
    targets = [out / source.relative_to(folder) for source in sources]
    there = [str(target) for target in targets if target.exists()]
    if there and not force:
        raise FileExistsError(f"expected new files, got {', '.join(there)}: --force replaces them")
    for source, target in zip(sources, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return targets


def _with_bases(files: Sequence[Path]) -> list[Path]:
    """Files, and those that they are based on."""
    found: list[Path] = []
    waiting = [file.resolve() for file in files]
    while waiting:
        file = waiting.pop(0)
        if file not in found:
            found.append(file)
            bases = BASE.findall(file.read_text(encoding="utf-8"))
            waiting += [(file.parent / base).resolve() for base in bases]
    return found
