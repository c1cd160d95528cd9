"""Reading option files: `base:` inheritance, overrides, and errors that name the key."""

import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from restoration.common import plugins
from restoration.common.errors import ListedError, in_file
from restoration.common.messages import shorten
from restoration.options.base import unknown_option
from restoration.options.parse import DEEPEST, parse_yaml
from restoration.options.schema import Options
from restoration.options.shipped import find_option_file
from restoration.options.text import parse_options
from restoration.options.unsupported import unsupported

Checked = TypeVar("Checked", bound=BaseModel)
MOST_MISTAKES = 3  # that one message names
LONGEST_VALUE = 80  # characters of a value in a message


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another: nested mappings merge, everything else replaces.

    A mapping that names another `type` replaces the whole one below it, whose keys were arguments
    of that other type.
    """
    if base.get("type", over.get("type")) != over.get("type", base.get("type")):
        return dict(over)
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_mapping(path: Path) -> dict[str, Any]:
    """Read an option file and the files that its `base:` names, the nearer one winning.

    Raises:
        FileNotFoundError: the file, or a base, does not exist.
        ValueError: not YAML, not a mapping, or a base that leads back to itself.
    """
    chain: list[Path] = []
    merged: dict[str, Any] = {}
    following: Path | None = find_option_file(path)
    while following is not None:
        if following in chain:
            raise ValueError(f"{path}: `base` leads back to {following.name}")
        chain.append(following)
        try:
            content = parse_options(following.read_text(encoding="utf-8"))
        except ValueError as error:
            raise in_file(following, error) from error
        if not isinstance(content, dict):
            raise ValueError(f"{following}: expected a mapping of options")
        base = content.pop("base", None)
        if base is not None and not isinstance(base, str):
            raise ValueError(f"{following}: expected the path of one file as `base`, got {base!r}")
        imports = content.get("imports")
        if isinstance(imports, list):  # a file is beside the option file that names it
            folder = following.parent
            content["imports"] = [
                plugins.resolve(e, folder) if isinstance(e, str) else e for e in imports
            ]
        merged = merge(content, merged)
        following = find_option_file(base, following.parent) if base else None
    return merged


def override(options: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Apply BasicSR's `--force_yml` assignments, such as `train:total_iter=300`.

    Raises:
        ValueError: an assignment without `=`.
    """
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        keys = path.split(":")
        if not equals or len(keys) > DEEPEST:
            raise ValueError(f"expected KEY:KEY=VALUE, got {assignment!r}")
        nested: Any = parse_yaml(value)
        for key in reversed(keys):
            nested = {key: nested}
        options = merge(options, nested)
    return options


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the sections that a type annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation):
        return [m for part in typing.get_args(annotation) for m in models_in(part)]
    return []


def _model_at(
    location: Sequence[str | int], model: type[BaseModel] = Options
) -> type[BaseModel] | None:
    """Find the section that a path of keys leads to; None where it leads to a plain value."""
    for key in location:
        if isinstance(key, int):
            continue
        field = model.model_fields.get(key)
        extra = model.__annotations__.get("__pydantic_extra__")
        found = models_in(field.annotation if field else extra)
        if not found:
            return None
        model = found[0]
    return model


def _own_part(
    location: Sequence[str | int], root: type[BaseModel] = Options
) -> tuple[str | int, ...]:
    """Keys of the file in a location; pydantic also puts the alternatives of a type there."""
    own: tuple[str | int, ...] = ()
    for key in location:
        inside = _model_at(own, root) is not None
        if inside or isinstance(key, int):
            own += (key,)
    return own


def _explain(
    location: tuple[str | int, ...],
    errors: Sequence[ErrorDetails],
    root: type[BaseModel] = Options,
) -> str:
    """Say in one phrase what is wrong with one key."""
    path = ".".join(str(key) for key in location)
    kind = errors[0]["type"]
    if kind == "extra_forbidden":
        model = _model_at(location[:-1], root)
        return unknown_option(path, str(location[-1]), list(model.model_fields) if model else [])
    if kind == "missing":
        return f"option `{path}` is missing"
    messages = dict.fromkeys(error["msg"].removeprefix("Value error, ") for error in errors)
    message = ", or: ".join(messages)
    if kind != "value_error" and not isinstance(errors[0]["input"], dict):
        message += f", got {shorten(repr(errors[0]['input']), LONGEST_VALUE)}"
    return f"option `{path}`: {message}" if path else message


@overload
def validate(mapping: dict[str, Any]) -> Options: ...
@overload
def validate(mapping: dict[str, Any], model: type[Checked]) -> Checked: ...
def validate(mapping: dict[str, Any], model: type[BaseModel] = Options) -> BaseModel:
    """Check a mapping and return typed options.

    Args:
        mapping: keys and values of an option file.
        model: what the file holds.

    Raises:
        ValueError: the first mistakes in one line, each with the path of its key; of a file that
            asks for what is not done here, that alone, a line for each subject.
    """
    mapping = _with_imports(mapping)
    subjects = unsupported(mapping) if issubclass(model, Options) else []
    if subjects:
        raise ListedError("asks for what is not done here:", subjects)
    try:
        return model.model_validate(mapping)
    except ValidationError as error:
        by_key: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
        for mistake in error.errors():
            by_key.setdefault(_own_part(mistake["loc"], model), []).append(mistake)
        mistakes = [_explain(location, errors, model) for location, errors in by_key.items()]
        more = len(mistakes) - MOST_MISTAKES
        mistakes[MOST_MISTAKES:] = [f"and {more} more mistakes"] if more > 0 else []
        raise ValueError("; ".join(mistakes)) from None


def _with_imports(mapping: dict[str, Any]) -> dict[str, Any]:
    """Import what the options ask for, and keep whole paths of its files."""
    entries = mapping.get("imports")
    if entries is None:
        plugins.import_installed()
        return mapping
    if not (isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)):
        raise ValueError(f"option `imports`: expected a list of files and modules, got {entries!r}")
    entries = [plugins.resolve(entry, Path.cwd()) for entry in entries]
    plugins.import_all(entries)
    return {**mapping, "imports": entries}


@overload
def load_options(path: str | Path, assignments: list[str] | None = None) -> Options: ...
@overload
def load_options(
    path: str | Path, assignments: list[str] | None, model: type[Checked]
) -> Checked: ...
@overload
def load_options(path: str | Path, *, model: type[Checked]) -> Checked: ...
def load_options(
    path: str | Path, assignments: list[str] | None = None, model: type[BaseModel] = Options
) -> BaseModel:
    """Read, merge, override and check an option file.

    Args:
        path: the YAML file; `options/...` means a shipped one where there is no such file.
        assignments: `KEY:KEY=VALUE` overrides.
        model: what the file holds.

    Returns:
        Typed options.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is wrong, and where.
    """
    mapping = override(read_mapping(Path(path)), assignments or [])
    try:
        return validate(mapping, model)
    except ValueError as error:
        raise in_file(path, error) from None


def _without_effect(options: BaseModel, name: str) -> bool:
    field = type(options).model_fields.get(name)
    extra = None if field is None else field.json_schema_extra
    return isinstance(extra, dict) and "ignored" in extra


def _keys(options: BaseModel) -> list[str]:
    return [*type(options).model_fields, *(options.__pydantic_extra__ or {})]


def ignored_keys(options: BaseModel, prefix: str = "") -> list[str]:
    """List the keys that the user gave and that have no effect here."""
    found = []
    for name in _keys(options):
        value = getattr(options, name)
        if _without_effect(options, name):
            found += [f"{prefix}{name}"] if name in options.model_fields_set else []
        elif isinstance(value, BaseModel):
            found += ignored_keys(value, f"{prefix}{name}.")
    return found


def plain(value: Any) -> Any:
    """Turn options into YAML's own types, without the keys that have no effect or no value."""
    if isinstance(value, BaseModel):
        declared = type(value).model_fields
        return {
            name: plain(getattr(value, name))
            for name in _keys(value)
            if not _without_effect(value, name)
            and not (name in declared and getattr(value, name) is None)
        }
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def dump_yaml(options: BaseModel) -> str:
    """Write resolved options as YAML that `load_options` reads back."""
    return yaml.safe_dump(plain(options), sort_keys=False)


def differing_keys(
    first: Any, second: Any, path: str = "", absent: Any = "absent"
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, value of the first, value of the second) where two nested mappings differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys([*first, *second]):
            below = f"{path}.{key}" if path else str(key)
            yield from differing_keys(
                first.get(key, absent), second.get(key, absent), below, absent
            )
    elif first != second:
        yield path, first, second
