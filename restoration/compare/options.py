"""Keys of a comparison's option file beside those of an ordinary one."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from losses.naming import nearest
from restoration.compare.grid import check_grid
from restoration.compare.photographs import SOURCE, check_group
from restoration.evaluate.measure import NOISY
from restoration.options.base import Name, Strict

MARGINS: dict[str, float | None] = {"psnr": 0.05, "ssim": 0.001, "lpips": 0.002}


class Recipe(Strict):
    """One recipe: a name, and what it changes of the shared options."""

    name: Name = Field(description="Name in tables, and of the recipe's folder.")
    base: str | None = Field(
        None,
        description="Option file below the shared options, relative to the comparison's file.",
    )
    pretrain_network_g: Path | None = Field(
        None, description="A checkpoint that exists: benchmarked, not trained."
    )
    param_key_g: str | None = Field(
        None,
        description="Which weights of that checkpoint; if absent, the averaged ones where it has "
        "them.",
    )
    manual_seed: int | None = Field(
        None, description="Overrides the shared key; not beside `seeds`."
    )
    datasets: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    network_g: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    path: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    train: dict[str, Any] | None = Field(
        None, description="Overrides shared keys; normally `losses` alone."
    )

    grid: dict[str, list[Any]] | None = Field(
        None, description="Of this recipe alone, instead of the comparison's; `{}` for none."
    )

    @field_validator("grid")
    @classmethod
    def _check_grid(cls, grid: dict[str, list[Any]] | None) -> dict[str, list[Any]] | None:
        check_grid(grid or {})
        return grid

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.name == NOISY:
            raise ValueError(f"expected a name of a recipe, got {NOISY!r}: the noisy input's own")
        if self.pretrain_network_g is not None and (self.train is not None or self.base):
            raise ValueError(
                f"recipe {self.name}: a checkpoint is only measured: remove `train` and `base` "
                "(to train from it, give `path: {pretrain_network_g: FILE}`)"
            )
        if self.pretrain_network_g is not None and self.grid:
            raise ValueError(f"recipe {self.name}: a checkpoint is not trained and has no `grid`")
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

    confidence: float = Field(0.95, gt=0, lt=1, description="Of the intervals.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the corrected tests.")
    margins: dict[str, PositiveFloat | None] = Field(
        MARGINS,
        description="By metric: a difference below it does not matter, and shown to lie below it "
        "is `equivalent`. Those not named keep their default; `null` takes one away.",
    )
    primary: list[str] | None = Field(
        None,
        description="Metrics whose tests are corrected together, apart from those of the others; "
        "all metrics if absent.",
    )
    group: str = Field(
        SOURCE,
        description="Which test images count as one photograph: those with one name but for the "
        "mark of a crop, `_y0_x128` or `_s001` (`source`), each for itself (`image`), or those for "
        "which a regular expression finds the same text.",
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_bootstrap(cls, given: Any) -> Any:
        """Accept the keys of the bootstrap that intervals were made with before."""
        if not isinstance(given, dict):
            return given
        for key in ("resamples", "seed", "min_images"):
            if key in given:
                text = f"`statistics.{key}` has no effect any more: intervals are not resampled"
                warnings.warn(text, DeprecationWarning, stacklevel=2)
        return {k: v for k, v in given.items() if k not in ("resamples", "seed", "min_images")}

    @field_validator("margins")
    @classmethod
    def _add_defaults(cls, margins: dict[str, float | None]) -> dict[str, float | None]:
        return MARGINS | margins

    @field_validator("group")
    @classmethod
    def _check_group(cls, group: str) -> str:
        return check_group(group)


class Comparison(Strict):
    """Keys of a comparison's file beside the shared options."""

    recipes: list[Recipe] = Field(description="What is compared; at least two, or one with a grid.")
    grid: dict[str, list[Any]] = Field(
        {},
        description="Makes several recipes of each: lists of values by the name of a loss term "
        "(its weight, such as `{share: 0.3}`), an argument of one (`VGG.precision`) or the path of "
        "an option (`train.optim_g.lr`). Terms that a recipe has not are left out of its grid. "
        "Names are made: `vgg share=0.3`.",
    )
    start: Path | None = Field(
        None,
        description="A checkpoint that every training branches from: its weights alone (the "
        "averaged ones, `params_ema`, where it has them), with a fresh optimiser.",
    )
    judges: list[str | dict[str, Any]] | None = Field(
        None,
        description="Metrics that no recipe was trained on, measured beside `val.metrics`. If "
        "absent, and no such metric is measured, the first of lpips, dists, ms_ssim and milo that "
        "no recipe has as a loss and whose weights are on this machine; `[]` for none.",
    )
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

    @field_validator("grid")
    @classmethod
    def _check_grid(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        check_grid(grid)
        return grid

    @model_validator(mode="after")
    def _check(self) -> "Comparison":
        for recipe in self.recipes if self.seeds is not None else []:
            if recipe.manual_seed is not None:
                raise ValueError(
                    f"recipe {recipe.name}: `manual_seed` cannot stand beside the comparison's "
                    "`seeds`, which every recipe is trained with"
                )
            if "manual_seed" in (self.grid if recipe.grid is None else recipe.grid):
                raise ValueError("`grid`: `manual_seed` cannot stand beside `seeds`")
        return self

    def check_names(self, names: Sequence[str]) -> None:
        """Check that recipes can be distinguished, and that those which are referred to exist.

        Args:
            names: of all recipes, those of a grid among them.

        Raises:
            ValueError: fewer than two, two of one name, or none of a name that is referred to.
        """
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"expected at least two recipes of different names, got {list(names)}")
        asked = {"reference": self.reference}
        for number, expectation in enumerate(self.expected):
            asked |= {f"expected.{number}.recipe": expectation.recipe}
            asked |= {f"expected.{number}.against": expectation.against}
        for key, name in asked.items():
            if name is not None and name not in names:
                raise ValueError(
                    f"`{key}`: expected a recipe of {', '.join(names)}, "
                    f"got {name!r}{nearest(name, names)}"
                )

    @property
    def reference_name(self) -> str:
        """Name of the recipe that the others are compared with."""
        return self.reference or self.recipes[0].name
