"""Names that users write: the nearest known one, and objects by their import path."""

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence


def nearest(word: str, known: Iterable[str]) -> str:
    """Hint at the known name that is nearest to a misspelt one; case does not matter.

    Args:
        word: the name that is not known.
        known: the names that are.

    Returns:
        "; did you mean 'x'?", or "" where no name is near.
    """
    word = str(word)  # an option file may hold anything
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def check_name(kind: str, name: str, known: Sequence[str]) -> None:
    """Raise ValueError, with the nearest known name, unless a name is among the known.

    Args:
        kind: what is named, such as "tap".
        name: the name.
        known: the names that there are.
    """
    if name not in known:
        raise ValueError(
            f"unknown {kind} {name!r}; known: {', '.join(known)}{nearest(name, known)}"
        )


def check_new_name(kind: str, name: str, item: object, known: Mapping[str, object]) -> None:
    """Raise ValueError if something else has a name; the same thing may be registered again.

    Args:
        kind: what is named, with an article, such as "a loss".
        name: the name.
        item: the class or function that is to have it.
        known: what has a name already.
    """
    holder = known.get(name)
    if holder is not None and _origin(holder) != _origin(item):
        raise ValueError(f"expected a new name of {kind}, got {name!r}, which is taken: {holder!r}")


def _origin(item: object) -> tuple[object, object]:
    """Where a class or function is defined: a module that is imported again defines it again."""
    return getattr(item, "__module__", None), getattr(item, "__qualname__", item)


def is_import_path(name: str) -> bool:
    """Whether a name is an import path, `package.module:Name`, and no short name."""
    return ":" in name


def import_object(path: str) -> object:
    """Import an object by its path.

    Args:
        path: "package.module:Name"; the name may have dots, as in "module:Class.method". Modules
            that are imported already are taken as they are.

    Returns:
        The object: a class, a function, or whatever bears the name.

    Raises:
        ValueError: not such a path, a module that is not found or fails to import, or a name that
            the module does not have, with the nearest that it has.
    """
    module_name, _, name = path.partition(":")
    parts = name.split(".")
    if not all(part.isidentifier() for part in (*module_name.split("."), *parts)):
        raise ValueError(f"expected an import path like 'package.module:Name', got {path!r}")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(_missing_module(path, module_name, error)) from error
    except Exception as error:  # the module's own code may raise anything
        raise ValueError(
            f"{path!r}: module {module_name!r} fails to import: {type(error).__name__}: {error}"
        ) from error
    owner = f"module {module_name!r}"
    for part in parts:
        if not hasattr(found, part):
            public = [known for known in dir(found) if not known.startswith("_")]
            raise ValueError(f"{path!r}: {owner} has no {part!r}{nearest(part, public)}")
        owner, found = repr(part), getattr(found, part)
    return found


def _missing_module(path: str, module_name: str, error: ModuleNotFoundError) -> str:
    """Say whether the named module is missing, or another one that it imports."""
    missing = error.name or module_name
    if module_name == missing or module_name.startswith(f"{missing}."):
        return (
            f"{path!r}: no module {missing!r}: is its folder on the Python path (the folder you "
            "run in, or PYTHONPATH), or its package installed?"
        )
    return f"{path!r}: module {module_name!r} imports {missing!r}, which is not installed"
