"""`restoration options`: the reference of all option keys, made from the typed options."""

import argparse
import json
import sys
import typing
from collections.abc import Iterator

from pydantic import BaseModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--schema", action="store_true", help="JSON schema, for editors")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.options import Options

    text = json.dumps(Options.model_json_schema(), indent=2) if arguments.schema else reference()
    sys.stdout.write(text.rstrip() + "\n")


def _type_name(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if typing.get_origin(annotation) is not None:
        text = str(annotation)
    for noise in ("typing.", "pathlib.", "restoration.options."):
        text = text.replace(noise, "")
    while "Annotated[" in text:
        head, _, rest = text.partition("Annotated[")
        inner, _, after = rest.partition("]")
        text = head + inner.split(",")[0] + after
    return text.replace("|", "or")


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    from restoration.options_file import models_in

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
    from restoration.options import Options

    lines = [
        "# Option keys",
        "",
        "Made by `restoration options`; do not edit. A file may name another one as its `base:`;",
        "mappings merge (one that names another `type` replaces), everything else replaces.",
    ]
    for path, model in _sections(Options, ""):
        lines += ["", f"## `{path}`" if path else "## Top level", "", (model.__doc__ or "").strip()]
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
