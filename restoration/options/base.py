"""What every section of an option file shares: strict keys, names, and keys without effect."""

import difflib
import re
import typing
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)


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
MOST = 1_000_000_000  # of steps: what is larger was not meant


class Section(BaseModel):
    """A section of an option file: numbers are finite, and `true` is no number."""

    model_config = ConfigDict(protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python would take `true` for 1."""
        found = value if isinstance(value, list) else [value]
        if any(isinstance(one, bool) for one in found) and not _takes_truth(cls, info.field_name):
            raise ValueError(f"expected no true or false here, got {str(value).lower()}")
        return value


@cache
def _takes_truth(section: type[BaseModel], name: str | None) -> bool:
    """Whether true and false are values of an option."""
    field = section.model_fields.get(name or "")
    return field is None or not {bool, Any}.isdisjoint(_kinds_in(field.annotation))


def _kinds_in(annotation: Any) -> set[Any]:
    parts = typing.get_args(annotation)
    return set().union(*map(_kinds_in, parts)) if parts else {annotation}


class Strict(Section):
    """A section whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


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
