"""Reading option files: safe YAML, `base:` inheritance, overrides, and errors that name the key."""

import difflib
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from restoration.options import Options

FLOAT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-4` is a number, as YAML 1.2 has it."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """Parse safe YAML. Raises ValueError where the text is not YAML."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {error}") from error


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
    following: Path | None = path
    while following is not None:
        following = following.resolve()
        if following in chain:
            raise ValueError(f"{path}: `base` leads back to {following.name}")
        chain.append(following)
        if not following.is_file():
            raise FileNotFoundError(f"option file {following} does not exist")
        content = parse_yaml(following.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"{following}: expected a mapping of options")
        base = content.pop("base", None)
        merged = merge(content, merged)
        following = following.parent / base if base else None
    return merged


def override(options: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Apply BasicSR's `--force_yml` assignments, such as `train:total_iter=300`.

    Raises:
        ValueError: an assignment without `=`.
    """
    for assignment in assignments:
        keys, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"expected KEY:KEY=VALUE, got {assignment!r}")
        nested: Any = parse_yaml(value)
        for key in reversed(keys.split(":")):
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


def _model_at(location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Find the section that a path of keys leads to."""
    model: type[BaseModel] = Options
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


def _explain(error: dict[str, Any]) -> str:
    location = tuple(error["loc"])
    path = ".".join(str(key) for key in location)
    if error["type"] == "extra_forbidden":
        model = _model_at(location[:-1])
        known = list(model.model_fields) if model else []
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(known)}"
        return f"unknown option `{path}`{hint}"
    if error["type"] == "missing":
        return f"option `{path}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"option `{path}`: {message}" if path else message


def validate(mapping: dict[str, Any]) -> Options:
    """Check a mapping and return typed options.

    Raises:
        ValueError: one line per mistake, each with the path of its key.
    """
    try:
        return Options.model_validate(mapping)
    except ValidationError as error:
        raise ValueError("\n".join(_explain(one) for one in error.errors())) from None


def load_options(path: str | Path, assignments: list[str] | None = None) -> Options:
    """Read, merge, override and check an option file.

    Args:
        path: the YAML file.
        assignments: `KEY:KEY=VALUE` overrides.

    Returns:
        Typed options.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is wrong, and where.
    """
    mapping = override(read_mapping(Path(path)), assignments or [])
    try:
        return validate(mapping)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def ignored_keys(options: BaseModel, prefix: str = "") -> list[str]:
    """List the keys that the user gave and that have no effect here."""
    found = []
    extra = options.__pydantic_extra__ or {}
    for name in [*type(options).model_fields, *extra]:
        value = getattr(options, name)
        field = type(options).model_fields.get(name)
        marks = (field.json_schema_extra or {}) if field else {}
        if "ignored" in marks and name in options.model_fields_set:
            found.append(f"{prefix}{name}")
        elif isinstance(value, BaseModel):
            found += ignored_keys(value, f"{prefix}{name}.")
    return found


def dump_yaml(options: Options) -> str:
    """Write resolved options as YAML that `load_options` reads back."""
    return yaml.safe_dump(options.model_dump(mode="json", exclude_none=True), sort_keys=False)


def shipped_options() -> Path:
    """Folder of the option files: beside the source tree, or where the wheel put them."""
    beside = Path(__file__).parents[1] / "options"
    return beside if beside.is_dir() else Path(sys.prefix) / "share" / "restoration" / "options"
