"""Grids: one recipe becomes several, by the weights of its loss terms or by any other option."""

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from losses.naming import nearest
from restoration.options.schema import Options

Mappings = dict[str, Any]
Grid = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Setting:
    """What a recipe of a grid has for one key of the grid.

    Attributes:
        key: as the grid names it.
        value: of the option file.
        is_weight: whether the key is a loss term, and the value its weight.
    """

    key: str
    value: Any
    is_weight: bool

    @property
    def text(self) -> str:
        """Key and value in a few characters that a folder's name may have: "share=0.3"."""
        if self.is_weight and isinstance(self.value, Mapping):
            return _safe("-".join(f"{k}={_plain(v)}" for k, v in self.value.items()))
        last = "weight" if self.is_weight else re.split(r"[.:]", self.key)[-1]
        return _safe(f"{last}={_plain(self.value)}")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "-".join(f"{k}={_plain(v)}" for k, v in value.items())
    return "-".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _safe(text: str) -> str:
    return re.sub(r"[^\w+.=-]+", "_", text).rstrip(".")


def name_of(recipe: str, settings: Sequence[Setting]) -> str:
    """Name a recipe of a grid, such as "vgg share=0.3"; several weights with their terms."""
    several = sum(setting.is_weight for setting in settings) > 1
    parts = [
        f"{_safe(setting.key)} {setting.text}" if several and setting.is_weight else setting.text
        for setting in settings
    ]
    return " ".join([recipe, *parts])


def terms_in(mapping: Mappings) -> list[str]:
    """Names in the log of the loss terms of a recipe's options."""
    train = mapping.get("train")
    terms = train.get("losses") if isinstance(train, dict) else None
    if not isinstance(terms, list):
        return []  # what is wrong is said when the options are checked
    return [str(term.get("name") or term.get("type")) for term in terms if isinstance(term, dict)]


def check_grid(grid: Grid) -> None:
    """Refuse a grid without values.

    Raises:
        ValueError: a key with no list of different values.
    """
    for key, values in grid.items():
        texts = [Setting(key, value, False).text for value in values]
        if not values or len(set(texts)) < len(texts):
            raise ValueError(f"`grid`: expected different values for {key}, got {list(values)}")


def expand(mapping: Mappings, grid: Grid) -> list[tuple[tuple[Setting, ...], Mappings]]:
    """Make every recipe of a grid.

    Args:
        mapping: options of a recipe.
        grid: lists of values by the name of a loss term (its weight), by an argument of one
            ("VGG.precision"), or by the path of an option ("train.optim_g.lr").

    Returns:
        Settings and options of every combination, the last key fastest; the recipe itself, without
        settings, for an empty grid.

    Raises:
        ValueError: a path that leads nowhere.
    """
    terms = terms_in(mapping)
    axes = [[Setting(key, value, key in terms) for value in grid[key]] for key in grid]
    return [(settings, _with(mapping, settings)) for settings in itertools.product(*axes)]


def _with(mapping: Mappings, settings: Sequence[Setting]) -> Mappings:
    mapping = copy.deepcopy(mapping)
    terms = terms_in(mapping)
    for setting in settings:
        first, *rest = [setting.key] if setting.is_weight else re.split(r"[.:]", setting.key)
        if first in terms:
            term = mapping["train"]["losses"][terms.index(first)]
            _set(term, rest or ["weight"], setting)
        else:
            _set(mapping, [first, *rest], setting)
    return mapping


def _set(place: Any, keys: Sequence[str], setting: Setting) -> None:
    """Put a value where keys lead; sections that are missing are made, and checked later."""
    for key in keys[:-1]:
        if isinstance(place, list):
            place = _element(place, key, setting)
        else:
            place = place.setdefault(key, {}) if isinstance(place, dict) else None
    if isinstance(place, dict):
        place[keys[-1]] = setting.value
    elif isinstance(place, list):
        _element(place, keys[-1], setting)
        place[int(keys[-1])] = setting.value
    else:
        raise ValueError(f"`grid`: expected the path of an option, got {setting.key!r}")


def _element(place: list[Any], key: str, setting: Setting) -> Any:
    if not key.isdigit() or int(key) >= len(place):
        raise ValueError(
            f"`grid`: expected a number below {len(place)} for an element of a list, got {key!r} "
            f"in {setting.key!r}"
        )
    return place[int(key)]


def keys_of(grid: Grid, mapping: Mappings) -> list[str]:
    """Keys of a grid that hold for a recipe: options, and loss terms that it has."""
    terms = terms_in(mapping)
    return [
        key
        for key in grid
        if key in terms or re.split(r"[.:]", key)[0] in (*terms, *Options.model_fields)
    ]


def refuse_unknown(grid: Grid, used: set[str], terms: Sequence[str]) -> None:
    """Refuse keys of a grid that vary nothing.

    Args:
        grid: of the comparison, or of one recipe.
        used: keys that hold for a recipe.
        terms: loss terms of the recipes that it is for.

    Raises:
        ValueError: a key that is no loss term and no option.
    """
    for key in grid:
        if key not in used:
            known = list(dict.fromkeys(terms))
            raise ValueError(
                f"`grid`: expected a loss term ({', '.join(known)}) or the path of an option such "
                f"as train.optim_g.lr, got {key!r}{nearest(key, [*known, *Options.model_fields])}"
            )
