"""What every section of an option file shares: strict keys, names, and keys without effect."""

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def ignored(default: Any, why: str) -> Any:
    """Describe a key of other projects' files that is accepted and changes nothing here."""
    return Field(
        default,
        description=f"Accepted, without effect: {why}.",
        json_schema_extra={"ignored": True},
    )


def check_name(name: str) -> str:
    """Return a name that may become a folder's.

    Raises:
        ValueError: it would name another place than a folder below its parent, or has characters
            that not every file system takes.
    """
    if not re.fullmatch(r"\w([\w+. =-]*[\w+-])?", name):
        raise ValueError(
            "expected a name that can be a folder's, of letters, digits and `_ + - . =`, such as "
            f"mae_evgg, got {name!r}"
        )
    return name


Name = Annotated[str, AfterValidator(check_name)]


class Strict(BaseModel):
    """A section whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), validate_default=True)


def unknown_option(path: str, key: str, known: Sequence[str]) -> str:
    """Say that there is no such option, with the nearest one, or all that there are.

    Args:
        path: the key after those that it is in, as in "train.total_itr".
        key: the last key alone.
        known: the keys that may stand there.
    """
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(known)}"
    return f"unknown option `{path}`{hint}"
