"""Trainings that left nothing to measure: diverged, or not done yet. The others are compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.train import checkpoint

FILE = "diverged.txt"  # in the training's folder
DIVERGED = "diverged"


@dataclass(frozen=True)
class Absent:
    """A training that left nothing to measure.

    Attributes:
        recipe: its name.
        seed: of the training, or None.
        reason: such as "diverged: the loss is not finite at step 12", or "not begun".
    """

    recipe: str
    seed: int | None
    reason: str

    @property
    def title(self) -> str:
        """Name for people, with the seed."""
        return self.recipe if self.seed is None else f"{self.recipe}, seed {self.seed}"

    @property
    def diverged(self) -> bool:
        """Whether it will not get better by training on."""
        return self.reason.startswith(DIVERGED)

    @property
    def flags(self) -> str:
        """What `restoration compare` trains it with."""
        seeded = "" if self.seed is None else f" --seed {self.seed}"
        return f'--only "{self.recipe}"{seeded}'


def note_divergence(folder: Path, error: FloatingPointError) -> str:
    """Write into a training's folder that it diverged, and return the reason."""
    reason = f"{DIVERGED}: {error}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(reason + "\n", encoding="utf-8")
    return reason


def divergence(folder: Path) -> str:
    """Why a training diverged; empty if it did not."""
    file = folder / FILE
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def how_far(run: ResolvedRecipe, folder: Path) -> str:
    """Say how far a training came that is not finished."""
    state = checkpoint.latest_state(folder)
    assert run.options.train is not None
    if state is None:
        return "not begun" if not folder.is_dir() else "begun, without a state to continue from"
    return f"at step {int(state.stem)} of {run.options.train.total_iter}"


def without(plan: Plan, absent: Sequence[Absent]) -> Plan:
    """Leave out every recipe of which a training is absent.

    A recipe is compared by all of its seeds or not at all: seeds that did not diverge would flatter
    one that does. Where the reference is left out, the first recipe that is there stands in.

    Raises:
        ValueError: no recipe is left.
    """
    names = {one.recipe for one in absent}
    recipes = [recipe for recipe in plan.recipes if recipe.name not in names]
    if not recipes:
        told = "; ".join(
            f"recipe {one.title}: {one.reason.removeprefix(f'{DIVERGED}: ')}" for one in absent
        )
        raise ValueError(f"nothing to compare: every recipe lacks a training: {told}")
    left = [recipe.name for recipe in recipes]
    reference = plan.reference.name
    settings = plan.settings.model_copy(
        update={
            "reference": reference if reference in left else left[0],
            "expected": [
                one
                for one in plan.settings.expected
                if one.recipe in left and (one.against or reference) in left
            ],
        }
    )
    return replace(plan, recipes=recipes, settings=settings)
