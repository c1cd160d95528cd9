"""`restoration options`: the reference of all option keys, and the option files that ship."""

import argparse
import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from pydantic import BaseModel

from restoration.compare.options import Comparison
from restoration.masks.options import Ablation, MaskOptions
from restoration.options import shipped
from restoration.options.load import models_in
from restoration.options.schema import Options

ACTIONS = {
    "keys": "all option keys, as Markdown (the default)",
    "types": "losses, networks, metrics and degradations with their arguments, as Markdown",
    "list": "the option files that ship: give one to -opt by this name, from any folder",
    "copy": "copy such files, with those that they are based on, to change them",
}
INDENT = "    "
PLAIN_TYPES: dict[object, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    dict: "mapping",
    Path: "path",
    typing.Any: "any",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    told = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="keys", help=told)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="for copy: as `list` shows them; all if none"
    )
    parser.add_argument(
        "--schema", action="store_true", help="JSON schema of the keys, for editors"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("options"),
        metavar="DIR",
        help="for copy: folder to copy to (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="for copy: replace files")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.names and arguments.action != "copy":
        raise ValueError(f"expected no names after `{arguments.action}`, got {arguments.names[0]}")
    if arguments.action == "list":
        text = listing()
    elif arguments.action == "copy":
        copied = shipped.copy_options(arguments.names, arguments.out, arguments.force)
        text = "\n".join(map(str, copied))
    elif arguments.action == "types":
        from restoration.cli.type_reference import type_reference  # imports every network

        text = type_reference()
    elif arguments.schema:
        text = json.dumps(Options.model_json_schema(), indent=2)
    else:
        text = reference()
    sys.stdout.write(text.rstrip() + "\n")


def listing() -> str:
    """Write the option files that ship, as `-opt` takes them from any folder, and what each is."""
    lines = []
    for name in shipped.shipped_names():
        text = shipped.first_sentence(name)
        lines += [name, *wrap(text, 88, initial_indent=INDENT, subsequent_indent=INDENT)]
    return "\n".join(lines)


def _type_name(annotation: object) -> str:
    """Write a type for people: "integer or `auto`", "list of number", "section"."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in parts)
    if origin is typing.Annotated:
        return _type_name(parts[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(part) for part in parts if part is not type(None))
    if origin in (list, tuple):
        return f"list of {_type_name(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    plain = annotation if origin is None else origin
    return PLAIN_TYPES.get(plain, str(annotation))


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        below = f"{path}.{name}" if path else name
        for child in models_in(field.annotation):
            is_list = str(field.annotation).startswith("list")
            yield from _sections(child, f"{below}[]" if is_list else below)
    extra = model.__annotations__.get("__pydantic_extra__")
    for child in models_in(extra):
        yield from _sections(child, f"{path}.<name>")


def reference() -> str:
    """Write every option key with type, default and meaning, as Markdown."""
    lines = [
        "# Option keys",
        "",
        "Made by `restoration options`; do not edit. A file may name another one as its `base:`;",
        "mappings merge (one that names another `type` replaces), everything else replaces.",
    ]
    comparison = [(f"comparison: {p}" if p else "", m) for p, m in _sections(Comparison, "")]
    masks = [(f"masks: {p}" if p else "", m) for p, m in _sections(MaskOptions, "")]
    ablation = [
        (f"ablation: {p}" if p else "", m)
        for p, m in _sections(Ablation, "")
        if not p.startswith("test")  # the same keys as masks: data
    ]
    titles = ["Top level"]
    titles += [f"Files of `restoration {c}`" for c in ("compare", "masks train", "masks ablate")]
    for path, model in [*_sections(Options, ""), *comparison, *masks, *ablation]:
        title = f"## `{path}`" if path else f"## {titles.pop(0)}"
        lines += ["", title, "", (model.__doc__ or "").strip()]
        if not model.model_fields:
            continue
        lines += ["", "| key | type | default | meaning |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            if field.is_required():
                default = "required"
            elif isinstance(field.default, BaseModel):
                default = "see its section"
            else:
                default = f"`{json.dumps(field.default, default=str)}`"
            kind = _type_name(field.annotation)
            lines.append(f"| `{name}` | {kind} | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
