"""Users' own modules: imported before options are read, so that their short names are known."""

import importlib
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

GROUP = "restoration.plugins"  # entry points of installed packages


def resolve(entry: str, folder: Path) -> str:
    """An entry of `imports` as other folders understand it: files by their whole path.

    Args:
        entry: "my_module.py", a file; or "my.package", a module.
        folder: what a file is relative to.
    """
    return str((folder / entry).resolve()) if entry.endswith(".py") else entry


def import_all(entries: Sequence[str]) -> None:
    """Import files and modules that register things, and the plugins of installed packages.

    Args:
        entries: whole paths of files, or names of modules. The folder of a file is appended to
            the places where Python looks for modules, so that `type: my_module:Name` and the
            processes of a data loader find it too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a module fails to import, or its name belongs to another one.
    """
    import_installed()
    for entry in entries:
        if entry.endswith(".py"):
            _import_file(Path(entry))
        else:
            _import(entry, entry)


@cache
def import_installed() -> None:
    """Import what installed packages name under the group `restoration.plugins`, once."""
    for plugin in entry_points(group=GROUP):
        try:
            plugin.load()
        except Exception as error:  # a plugin's own code may raise anything
            raise ValueError(f"plugin {plugin.name} ({plugin.value}): {error}") from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"imports: there is no file {path}")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    _import(path.stem, str(path))
    found = getattr(sys.modules[path.stem], "__file__", None)
    if found is None or Path(found).resolve() != path.resolve():
        raise ValueError(
            f"imports: {path.name} has the name of another module ({found}): rename the file"
        )


def _import(name: str, entry: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:  # the module's own code may raise anything
        raise ValueError(f"imports: {entry}: {type(error).__name__}: {error}") from error
