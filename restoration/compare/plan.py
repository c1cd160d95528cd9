"""Option files of `restoration compare`: shared training options and a list of recipes.

Every section of an ordinary option file may stand in it and holds for all recipes. A recipe is a
name and what it changes, normally `train.losses` only. Its `base:` is an option file that lies
below the shared options; its `pretrain_network_g` is a checkpoint, which is only benchmarked. A
`grid` makes several recipes of one, `start` lets all trainings branch from one checkpoint.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restoration.archs.checkpoint import tested_key
from restoration.archs.described import with_network
from restoration.compare.grid import (
    Setting,
    expand,
    keys_of,
    name_of,
    refuse_unknown,
    terms_in,
)
from restoration.compare.options import Comparison, Recipe
from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.evaluate.rows import in_order
from restoration.evaluate.sets import conditions_of_set
from restoration.options.base import check_name, unknown_option
from restoration.options.load import merge, override, read_mapping, validate
from restoration.options.schema import Options
from restoration.options.shipped import find_option_file

OVERRIDES = ("manual_seed", "datasets", "network_g", "path", "train")


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe with all of its options, or one of its trainings where there are several.

    Attributes:
        name: of the recipe.
        options: all of them.
        trained: False for a checkpoint that exists.
        seed: of this training, where the comparison has `seeds`.
        family: name of the recipe in the file, which a grid makes several of.
        settings: what the grid gave this one; empty without a grid.
    """

    name: str
    options: Options
    trained: bool
    seed: int | None = None
    family: str = ""
    settings: tuple[Setting, ...] = ()

    @property
    def title(self) -> str:
        """Name for people, with the seed."""
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"

    @property
    def place(self) -> Path:
        """Folder below that of all recipes."""
        return Path(self.name) if self.seed is None else Path(self.name) / f"seed_{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A whole comparison: its own settings, and its recipes with all of their options."""

    name: str
    settings: Comparison
    recipes: list[ResolvedRecipe]

    @property
    def shared(self) -> Options:
        """Options that hold for all recipes: test sets, metrics, device."""
        return self.recipes[0].options

    @property
    def reference(self) -> ResolvedRecipe:
        """The recipe that the others are compared with."""
        return next(r for r in self.recipes if r.name == self.settings.reference_name)

    @property
    def challengers(self) -> list[ResolvedRecipe]:
        """The other recipes."""
        return [r for r in self.recipes if r is not self.reference]

    @property
    def seeds(self) -> list[int]:
        """Seeds that every recipe is trained with; empty where the comparison names none."""
        return self.settings.seeds or []

    def runs_of(self, recipe: ResolvedRecipe) -> list[ResolvedRecipe]:
        """One run per training of a recipe; the recipe itself without `seeds` or training."""
        if not (recipe.trained and self.seeds):
            return [recipe]
        return [
            replace(recipe, options=recipe.options.model_copy(update={"manual_seed": s}), seed=s)
            for s in self.seeds
        ]

    @property
    def runs(self) -> list[ResolvedRecipe]:
        """Everything that is tested: the runs of all recipes."""
        return [run for recipe in self.recipes for run in self.runs_of(recipe)]

    @property
    def conditions(self) -> list[Condition]:
        """Conditions of all test sets: degradations as they come, levels ascending."""
        tests = self.shared.datasets.test.values()
        return in_order(condition for test in tests for condition in conditions_of_set(test))

    @property
    def picture_condition(self) -> Condition:
        """Condition of crops and scatter plots."""
        given, conditions = self.settings.picture_sigma, self.conditions
        if given is not None:
            return Condition(GAUSSIAN, given)
        return conditions[math.ceil((len(conditions) - 1) / 2)]


def _test_keys(mapping: dict[str, Any]) -> list[str]:
    return [key for key in mapping.get("datasets") or {} if key != "train"]


def _below(recipe: Recipe, shared: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe's own base, without test sets where the comparison has some."""
    if recipe.base is None:
        return {}
    losses = {"losses", "pixel_opt", "perceptual_opt"} & set(shared.get("train") or {})
    if losses:
        raise ValueError(
            f"recipe {recipe.name}: the shared train.{sorted(losses)[0]} would replace the losses "
            f"of {recipe.base}: give shared losses or recipes with `base`, not both"
        )
    base = read_mapping(find_option_file(recipe.base, folder))
    if base.get("datasets") and _test_keys(shared):
        base["datasets"] = {k: v for k, v in base["datasets"].items() if k == "train"}
    return base


def _mapping_of(
    recipe: Recipe, shared: dict[str, Any], folder: Path, assignments: list[str]
) -> dict[str, Any]:
    """Put the options of a recipe together, without its grid."""
    mapping = merge(_below(recipe, shared, folder), shared)
    changes = {key: getattr(recipe, key) for key in OVERRIDES if getattr(recipe, key) is not None}
    mapping = override(merge(mapping, changes), assignments)
    if recipe.pretrain_network_g is not None:
        start = {"pretrain_network_g": recipe.pretrain_network_g, "param_key_g": recipe.param_key_g}
        mapping["path"] = (mapping.get("path") or {}) | start  # not the key of another file
        mapping.pop("train", None)
        mapping["datasets"] = {k: mapping["datasets"][k] for k in _test_keys(mapping)}
    return mapping


def _branch(mapping: dict[str, Any], start: Path) -> dict[str, Any]:
    """Let a training begin with the weights of a checkpoint."""
    path = mapping.get("path") or {}
    if path.get("pretrain_network_g") is not None:
        raise ValueError("expected `start` or `path.pretrain_network_g`, got both")
    try:
        key = tested_key(start)
    except FileNotFoundError:
        key = "params"  # a missing one is found by training
    return mapping | {"path": path | {"pretrain_network_g": start, "param_key_g": key}}


def _described(options: Options) -> Options:
    """Fill in a network that the checkpoint says; a missing checkpoint is found by training."""
    try:
        return with_network(options)
    except FileNotFoundError:
        return options


def _resolve(
    recipe: Recipe, mapping: dict[str, Any], settings: Comparison, keys: Sequence[str]
) -> Iterator[ResolvedRecipe]:
    """Yield a recipe, or every one of its grid, whose keys hold for it."""
    trained = recipe.pretrain_network_g is None
    grid = settings.grid if recipe.grid is None else recipe.grid
    try:
        if trained and settings.start is not None:
            mapping = _branch(mapping, settings.start)
        for chosen, one in expand(mapping, {key: grid[key] for key in keys}):
            name = check_name(name_of(recipe.name, chosen))
            options: Options = _described(validate(one | {"name": name}))
            if options.path.resume_state is not None:
                raise ValueError("path.resume_state: use --auto_resume instead")
            yield ResolvedRecipe(name, options, trained, family=recipe.name, settings=chosen)
    except (ValueError, OSError) as error:
        raise type(error)(f"recipe {recipe.name}: {error}") from None


def _resolve_recipes(
    settings: Comparison, shared: dict[str, Any], folder: Path, assignments: list[str]
) -> list[ResolvedRecipe]:
    """Resolve every recipe, and make those of the grids."""
    recipes, common, terms = list[ResolvedRecipe](), set[str](), list[str]()
    for recipe in settings.recipes:
        mapping, keys = _mapping_of(recipe, shared, folder, assignments), list[str]()
        if recipe.pretrain_network_g is None:
            grid = settings.grid if recipe.grid is None else recipe.grid
            keys = keys_of(grid, mapping)
            if recipe.grid is None:
                common |= set(keys)
                terms += terms_in(mapping)
            else:
                refuse_unknown(grid, set(keys), terms_in(mapping))
        recipes += _resolve(recipe, mapping, settings, keys)
    refuse_unknown(settings.grid, common, terms)
    return recipes


def load_comparison(
    given: str | Path | Mapping[str, Any], assignments: list[str] | None = None
) -> Plan:
    """Read a comparison's file and resolve every recipe.

    The nearer wins: a recipe's `base`, the shared options, the recipe's own keys, `assignments`.

    Args:
        given: the YAML file, or the mapping that such a file holds.
        assignments: `KEY:KEY=VALUE` overrides; those of shared options hold for every recipe.

    Returns:
        The plan of the comparison.

    Raises:
        FileNotFoundError: no such file, or a base is missing.
        ValueError: what is wrong, and where.
    """
    if isinstance(given, Mapping):
        return _resolve_all(dict(given), Path(), assignments or [])
    mapping = read_mapping(Path(given))
    try:
        return _resolve_all(mapping, find_option_file(given).parent, assignments or [])
    except ValueError as error:
        raise ValueError(f"{given}: {error}") from None


def _resolve_all(mapping: dict[str, Any], folder: Path, assignments: list[str]) -> Plan:
    """Resolve every recipe; the bases of recipes are relative to the folder."""
    keys = list(Comparison.model_fields)
    top = ("name", *keys)  # of the comparison, not of its recipes
    outer = [a for a in assignments if a.partition("=")[0].split(":")[0] in top]
    others = [a for a in assignments if a not in outer]
    mapping = override(mapping, outer)
    _check_top_level(mapping, keys)
    settings = validate({k: v for k, v in mapping.items() if k in keys}, Comparison)
    shared = {k: v for k, v in mapping.items() if k not in keys}
    if not isinstance(shared.get("name"), str):
        raise ValueError("option `name` is missing")
    if settings.seeds is not None:
        if any(a.partition("=")[0] == "manual_seed" for a in others):
            raise ValueError("expected `manual_seed` or `seeds`, got both")
        shared["manual_seed"] = settings.seeds[0]
    name = check_name(shared["name"])
    recipes = _resolve_recipes(settings, shared, folder, others)
    settings.check_names([recipe.name for recipe in recipes])
    settings = settings.model_copy(update={"reference": settings.reference or recipes[0].name})
    return _checked(Plan(name, settings, recipes))


def _check_top_level(mapping: dict[str, Any], keys: list[str]) -> None:
    known = [*keys, *Options.model_fields]
    for key in mapping:
        if key not in known:
            raise ValueError(unknown_option(str(key), str(key), known))
    if "recipes" not in mapping:
        raise ValueError("option `recipes` is missing: a comparison lists what it compares")


def _checked(plan: Plan) -> Plan:
    """Refuse what no comparison can be: other test sets or metrics, or none."""
    if not plan.shared.datasets.test:
        raise ValueError("a comparison needs a test set: add one under `datasets`")
    for recipe in plan.recipes[1:]:
        if recipe.options.datasets.test != plan.shared.datasets.test:
            raise ValueError(
                f"recipe {recipe.name} has other test sets than {plan.recipes[0].name}: give the "
                "test sets of all recipes under the comparison's own `datasets`"
            )
        if recipe.options.val.metrics != plan.shared.val.metrics:
            raise ValueError(
                f"recipe {recipe.name} has other metrics than {plan.recipes[0].name}: give those "
                "of all recipes under the comparison's own `val`"
            )
        for key in ("tile", "tile_overlap"):
            value = getattr(recipe.options.val, key)
            other = getattr(plan.recipes[0].options.val, key)
            if value != other:
                raise ValueError(
                    f"recipe {recipe.name} is tested with val.{key} = {value}, "
                    f"{plan.recipes[0].name} with {other}: give that of all recipes under the "
                    "comparison's own `val`"
                )
    given = plan.settings.picture_sigma
    sigmas = [condition.level for condition in plan.conditions if condition.degradation == GAUSSIAN]
    if given is not None and given not in sigmas:
        raise ValueError(f"picture_sigma: expected one of {sigmas}, got {given:g}")
    return plan
