"""Options however they are given: as a file, as a mapping, or typed already."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from restoration.common.errors import in_file
from restoration.options.base import Strict
from restoration.options.load import merge, plain, read_mapping, validate
from restoration.options.schema import Options

Given = str | Path | Mapping[str, Any] | Options
Model = TypeVar("Model", bound=Strict)


def resolve(given: Any, overrides: Mapping[str, Any], model: type[Model]) -> Model:
    """Check options and return them typed.

    Args:
        given: path of an option file, the mapping that such a file holds, or typed options.
        overrides: top-level keys laid over them; mappings merge.
        model: what they must be.

    Returns:
        Typed options.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what is wrong, and where.
        TypeError: something else was given.
    """
    if isinstance(given, model):
        return validate(merge(plain(given), dict(overrides)), model) if overrides else given
    if isinstance(given, Mapping):
        return validate(merge(dict(given), dict(overrides)), model)
    if not isinstance(given, str | Path):
        raise TypeError(
            f"expected the path of an option file, a mapping or {model.__name__}, "
            f"got {type(given).__name__}"
        )
    mapping = merge(read_mapping(Path(given)), dict(overrides))
    try:
        return validate(mapping, model)
    except ValueError as error:
        raise in_file(given, error) from None
