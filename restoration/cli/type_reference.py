"""Reference of what `type` can name in an option file: arguments and meanings, from the code."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from losses import TERMS
from restoration.archs.build import ARCHS
from restoration.degradations.registry import DEGRADATIONS
from restoration.metrics.piq_metrics import PIQ
from restoration.metrics.registry import METRICS

HEAD = """\
# Losses, networks, metrics, degradations

Made by `restoration options types`; do not edit. What an option file may name as a `type`, with
the further keys that it takes. Each can also be a class or function of yours,
`package.module:Name` ([how](../tutorials/bring_your_own.md)).
"""
LOSSES = """\
In `train.losses`: `{type: E-VGG, weight: 1.2e-2, backbone: embedded}`. Every term also takes
`weight` and `name` ([keys](options.md#trainlosses)), is called as `(prediction, target)` on
(B, 3, H, W) RGB in [0, 1], and has a `reduction`: "mean", "sum" or "none" over the batch. With the
extra `[basicsr]` the losses of BasicSR's registry can be named too.
"""
NETWORKS = """\
In `network_g`: `{type: restormer_xs}`. The extra `[basicsr]` adds BasicSR's architectures, the
extra `[archs]` those of spandrel; `{type: spandrel, file: model.pth}` takes what a file holds.
"""
METRIC_TEXT = """\
In `val.metrics`: `[psnr, {type: lpips, net: vgg}]`. Any loss above is a metric too, with its own
arguments. `name` gives a column another heading; `optional: true` leaves out what cannot be had.
"""
DEGRADATION_TEXT = """\
In `datasets.<name>.degradation`: `{type: gaussian, sigma: [0, 50]}`, or a list that is applied in
order. A number is itself, `[low, high]` (drawn for each sample), or `{choice: [a, b]}`. In a list
each also takes a `probability`. A test set takes one number, or a list of levels.
"""
TYPES = {
    "Path": "path",
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
}
UNSAID = ("name", "reduction")  # said of all at once
ENTRY = re.compile(r"^(\w+): (.*)$")


def type_reference() -> str:
    """Write every loss, network, metric and degradation with its arguments, as Markdown."""
    parts = [HEAD]
    for title, text, known in (
        ("Losses", LOSSES, TERMS),
        ("Networks", NETWORKS, ARCHS),
        ("Metrics", METRIC_TEXT, {k: v for k, v in METRICS.items() if k not in PIQ}),
        ("Degradations", DEGRADATION_TEXT, DEGRADATIONS),
    ):
        parts.append(f"## {title}\n\n{text}")
        parts += [_entry(name, factory) for name, factory in known.items() if _is_ours(factory)]
        if title == "Metrics":
            parts.append(_piq())
    return "\n".join(parts)


def _is_ours(factory: Callable[..., Any]) -> bool:
    """Whether it comes with this package: users register theirs in the same places."""
    module = _plain(factory).__module__
    return module.partition(".")[0] in ("losses", "restoration")


def _plain(factory: Callable[..., Any]) -> Callable[..., Any]:
    return factory.func if isinstance(factory, partial) else factory


def _entry(name: str, factory: Callable[..., Any]) -> str:
    """One heading, the first paragraph of the docstring, and the table of arguments."""
    plain = _plain(factory)
    if isinstance(factory, partial):
        changed = ", ".join(f"`{key}: {_yaml(value)}`" for key, value in factory.keywords.items())
        return f"### {name}\n\n`{plain.__name__}` with {changed}.\n"
    lines = [f"### {name}", "", _paragraph(plain), ""]
    rows = list(_rows(plain))
    if rows:
        lines += ["| argument | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _rows(plain: Callable[..., Any]) -> Iterator[str]:
    meanings = _meanings(plain)
    for key, parameter in inspect.signature(plain).parameters.items():
        if key in UNSAID or meanings.get(key, "").startswith("the former name"):
            continue
        required = parameter.default is parameter.empty
        default = "required" if required else f"`{_yaml(parameter.default)}`"
        meaning = re.sub(r"\bNone\b", "null", meanings.get(key, "")).replace("|", "\\|")
        yield f"| `{key}` | {_type(parameter.annotation)} | {default} | {meaning} |"


def _yaml(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _paragraph(plain: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(plain) or "").partition("\n\n")[0].split())


def _meanings(plain: Callable[..., Any]) -> dict[str, str]:
    """What the docstrings of a function, or of a class and its bases, say of each argument."""
    found: dict[str, str] = {}
    for one in reversed(inspect.getmro(plain) if inspect.isclass(plain) else [plain]):
        found.update(_documented(one.__doc__ or ""))
    return found


def _documented(text: str) -> dict[str, str]:
    """The entries of the section Args of a docstring, each on one line."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(text), re.S | re.M)
    found: dict[str, str] = {}
    key = ""
    for line in inspect.cleandoc(section[1]).splitlines() if section else []:
        entry = ENTRY.match(line)
        if entry:
            key, found[key] = entry[1], entry[2]
        elif key:
            found[key] += f" {line.strip()}"
    return found


def _type(annotation: object) -> str:
    """Write an annotation for people, without None: "text or path", "list of integer"."""
    text = inspect.formatannotation(annotation).replace("collections.abc.", "")
    text = re.sub(r"pathlib\.(?:_local\.)?", "", text)
    if "Mapping[" in text:
        return "number, list of number, or choice"
    text = re.sub(r"Sequence\[(\w+)\]", r"list of \1", text)
    words = [re.sub(r"\w+", lambda word: TYPES.get(word[0], word[0]), part)
             for part in text.split(" | ") if part != "None"]  # fmt: skip
    return " or ".join(words)


def _piq() -> str:
    """The metrics of piq, which take no argument."""
    rows = [f"| `{name}` | {label} | {'higher' if up else 'lower'} is better |"
            for name, (_, label, up) in PIQ.items()]  # fmt: skip
    head = [
        "### With the extra [masks]",
        "",
        "From `piq`, with its own settings, without arguments.",
    ]
    return "\n".join([*head, "", "| name | metric | |", "|---|---|---|", *rows, ""])
