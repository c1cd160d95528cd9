"""Option files of `restoration compare`: shared training options and a list of recipes.

Every section of an ordinary option file may stand in it and holds for all recipes. A recipe is a
name and what it changes, normally `train.losses` only. Its `base:` is an option file that lies
below the shared options; its `pretrain_network_g` is a checkpoint, which is only benchmarked.
"""

import difflib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from restoration.options.base import Strict
from restoration.options.load import merge, override, read_mapping, validate
from restoration.options.schema import Options

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
OVERRIDES = ("manual_seed", "datasets", "network_g", "path", "train")


class Recipe(Strict):
    """One recipe: a name, and what it changes of the shared options."""

    name: str = Field(pattern=SAFE_NAME, description="Name in tables, and of the recipe's folder.")
    base: str | None = Field(
        None,
        description="Option file below the shared options, relative to the comparison's file.",
    )
    pretrain_network_g: Path | None = Field(
        None, description="A checkpoint that exists: benchmarked, not trained."
    )
    param_key_g: str = Field("params", description="Which weights of that checkpoint.")
    manual_seed: int | None = Field(
        None, description="Overrides the shared key; not beside `seeds`."
    )
    datasets: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    network_g: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    path: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    train: dict[str, Any] | None = Field(
        None, description="Overrides shared keys; normally `losses` alone."
    )

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.pretrain_network_g is not None and (self.train is not None or self.base):
            raise ValueError(
                f"recipe {self.name}: a checkpoint is only benchmarked, drop `train` and `base` "
                "(to train from it, give `path: {pretrain_network_g: FILE}`)"
            )
        return self


class Expectation(Strict):
    """Signs of differences that somebody found before, to be counted against what is found."""

    source: str = Field("", description="Who found them, for the report.")
    recipe: str = Field(description="Name of a recipe.")
    against: str | None = Field(None, description="Compared with it; the reference if absent.")
    sigmas: list[float] | None = Field(None, description="Noise levels; all tested if absent.")
    signs: dict[str, Literal["higher", "lower"]] = Field(
        description="By metric: is its value `higher` or `lower` for `recipe`?"
    )


class Statistics(Strict):
    """How differences are judged."""

    confidence: float = Field(0.95, gt=0, lt=1, description="Of the bootstrap intervals.")
    resamples: PositiveInt = Field(9999, description="Bootstrap samples.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the corrected tests.")
    min_images: PositiveInt = Field(6, description="Fewer images get an interval, but no test.")


class Comparison(Strict):
    """Keys of a comparison's file beside the shared options."""

    recipes: list[Recipe] = Field(description="What is compared; at least two.")
    reference: str | None = Field(
        None, description="Recipe that the others are compared with; the first if absent."
    )
    seeds: list[int] | None = Field(
        None,
        description="Train every recipe once with each of them; once with `manual_seed` if absent.",
    )
    expected: list[Expectation] = Field([], description="Signs found before.")
    notes: list[str] = Field([], description="Sentences for the report, such as caveats.")
    picture_sigma: float | None = Field(
        None, description="Noise level of crops and scatter plots; a middle one if absent."
    )
    statistics: Statistics = Field(Statistics(), description="How differences are judged.")

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: list[int] | None) -> list[int] | None:
        if seeds is not None and (not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)):
            raise ValueError(f"expected one or more different seeds of at least 0, got {seeds}")
        return seeds

    @model_validator(mode="after")
    def _check(self) -> "Comparison":
        names = [recipe.name for recipe in self.recipes]
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"expected at least two recipes of different names, got {names}")
        asked = {"reference": self.reference}
        for number, one in enumerate(self.expected):
            asked |= {f"expected.{number}.recipe": one.recipe}
            asked |= {f"expected.{number}.against": one.against}
        for key, name in asked.items():
            if name is not None and name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                known = ", ".join(names)
                raise ValueError(f"`{key}`: expected a recipe of {known}, got {name!r}{hint}")
        for recipe in self.recipes if self.seeds is not None else []:
            if recipe.manual_seed is not None:
                raise ValueError(
                    f"recipe {recipe.name}: `manual_seed` cannot stand beside the comparison's "
                    "`seeds`, which every recipe is trained with"
                )
        return self

    @property
    def reference_name(self) -> str:
        """Name of the recipe that the others are compared with."""
        return self.reference or self.recipes[0].name


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe with all of its options, or one of its trainings where there are several.

    Attributes:
        name: of the recipe.
        options: all of them.
        trained: False for a checkpoint that exists.
        seed: of this training, where the comparison has `seeds`.
    """

    name: str
    options: Options
    trained: bool
    seed: int | None = None

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
        options = {s: recipe.options.model_copy(update={"manual_seed": s}) for s in self.seeds}
        return [replace(recipe, options=one, seed=seed) for seed, one in options.items()]

    @property
    def runs(self) -> list[ResolvedRecipe]:
        """Everything that is tested: the runs of all recipes."""
        return [run for recipe in self.recipes for run in self.runs_of(recipe)]

    @property
    def sigmas(self) -> list[float]:
        """Noise levels of all test sets, ascending."""
        return sorted({s for one in self.shared.datasets.test.values() for s in one.sigma_test})

    @property
    def picture_sigma(self) -> float:
        """Noise level of crops and scatter plots."""
        given, sigmas = self.settings.picture_sigma, self.sigmas
        return sigmas[math.ceil((len(sigmas) - 1) / 2)] if given is None else given


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
    found = read_mapping(folder / recipe.base)
    if found.get("datasets") and _test_keys(shared):
        found["datasets"] = {k: v for k, v in found["datasets"].items() if k == "train"}
    return found


def _resolve(
    recipe: Recipe, shared: dict[str, Any], folder: Path, assignments: list[str]
) -> ResolvedRecipe:
    mapping = merge(_below(recipe, shared, folder), shared)
    own = {key: getattr(recipe, key) for key in OVERRIDES if getattr(recipe, key) is not None}
    mapping = override(merge(mapping, own), assignments) | {"name": recipe.name}
    trained = recipe.pretrain_network_g is None
    if not trained:
        start = {"pretrain_network_g": recipe.pretrain_network_g, "param_key_g": recipe.param_key_g}
        mapping["path"] = (mapping.get("path") or {}) | start
        mapping.pop("train", None)
        mapping["datasets"] = {k: mapping["datasets"][k] for k in _test_keys(mapping)}
    try:
        options = validate(mapping)
    except ValueError as error:
        raise ValueError(f"recipe {recipe.name}: {error}") from None
    if options.path.resume_state is not None:
        raise ValueError(f"recipe {recipe.name}: path.resume_state: use --auto_resume instead")
    return ResolvedRecipe(recipe.name, options, trained)


def load_comparison(path: str | Path, assignments: list[str] | None = None) -> Plan:
    """Read a comparison's file and resolve every recipe.

    The nearer wins: a recipe's `base`, the shared options, the recipe's own keys, `assignments`.

    Args:
        path: the YAML file.
        assignments: `KEY:KEY=VALUE` overrides; those of shared options hold for every recipe.

    Returns:
        The plan of the comparison.

    Raises:
        FileNotFoundError: no such file, or a base is missing.
        ValueError: what is wrong, and where.
    """
    path = Path(path)
    mapping = read_mapping(path)
    keys = list(Comparison.model_fields)
    own = ("name", *keys)  # of the comparison, not of its recipes
    mine = [a for a in assignments or [] if a.partition("=")[0].split(":")[0] in own]
    others = [a for a in assignments or [] if a not in mine]
    mapping = override(mapping, mine)
    try:
        _check_top_level(mapping, keys)
        settings = validate({k: v for k, v in mapping.items() if k in keys}, Comparison)
        shared = {k: v for k, v in mapping.items() if k not in keys}
        if not isinstance(shared.get("name"), str):
            raise ValueError("option `name` is missing")
        if settings.seeds is not None:
            if any(a.partition("=")[0] == "manual_seed" for a in others):
                raise ValueError("expected `manual_seed` or `seeds`, got both")
            shared["manual_seed"] = settings.seeds[0]
        recipes = [_resolve(one, shared, path.parent, others) for one in settings.recipes]
        return _checked(Plan(shared["name"], settings, recipes))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_top_level(mapping: dict[str, Any], keys: list[str]) -> None:
    known = [*keys, *Options.model_fields]
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(known)}"
            raise ValueError(f"unknown option `{key}`{hint}")
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
            value, other = (getattr(one.options.val, key) for one in (recipe, plan.recipes[0]))
            if value != other:
                raise ValueError(
                    f"recipe {recipe.name} is tested with val.{key} = {value}, "
                    f"{plan.recipes[0].name} with {other}: give that of all recipes under the "
                    "comparison's own `val`"
                )
    given = plan.settings.picture_sigma
    if given is not None and given not in plan.sigmas:
        raise ValueError(f"picture_sigma: expected one of {plan.sigmas}, got {given:g}")
    return plan
