"""One training of a comparison by itself: many machines share a folder, each trains its own."""

from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from losses.naming import nearest
from restoration.common import distributed
from restoration.compare import fairness, resume
from restoration.compare.absent import Absent
from restoration.compare.candidates import (
    RECIPES,
    absent_of,
    headings,
    prepare_candidate,
    train_candidate,
)
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.evaluate.checks import check_metrics
from restoration.options.run_folder import open_folder
from restoration.train.run import open_tests


def chosen_runs(plan: Plan, recipe: str, seed: int | None = None) -> list[ResolvedRecipe]:
    """Trainings of one recipe.

    Args:
        plan: of the comparison.
        recipe: its name.
        seed: one of the comparison's seeds; None for all of them.

    Raises:
        ValueError: no such recipe or seed, or one that is not trained.
    """
    known = [one.name for one in plan.recipes if one.trained]
    if recipe not in known:
        raise ValueError(
            f"expected a recipe that is trained ({', '.join(known)}), "
            f"got {recipe!r}{nearest(recipe, known)}"
        )
    if seed is not None and seed not in plan.seeds:
        told = ", ".join(map(str, plan.seeds)) or "none: the comparison has no `seeds`"
        raise ValueError(f"expected a seed of the comparison ({told}), got {seed}")
    runs = [run for run in plan.runs if run.name == recipe]
    return [run for run in runs if seed is None or run.seed == seed]


def train_only(
    plan: Plan,
    folder: Path,
    device: torch.device,
    recipe: str,
    seed: int | None = None,
    auto_resume: bool = False,
    allow_different: bool = False,
    console: Console | None = None,
) -> list[Absent]:
    """Train one recipe into the folder of its comparison, beside other processes that do the same.

    Args:
        plan: see `load_comparison`.
        folder: of the comparison; what is in it stays, but an earlier training of the same recipe
            and seed is archived, unless that goes on.
        device: where to compute.
        recipe: its name.
        seed: one of the comparison's seeds; None for all of them.
        auto_resume: continue with what is in the folder; what is done is not done again.
        allow_different: train it even if the recipes differ in more than the loss.
        console: where the training shows its progress.

    Returns:
        Trainings that diverged.

    Raises:
        FileNotFoundError: images or weights are missing.
        ValueError: no such recipe, or it cannot be trained.
    """
    runs = chosen_runs(plan, recipe, seed)
    if not allow_different:
        fairness.refuse(plan, fairness.find_marks(plan))
    known = resume.going_on(runs, folder, folder / RECIPES) if auto_resume else {}
    sets, metrics = tests = open_tests(plan.shared)
    check_metrics(metrics, sets, device)
    candidates = [prepare_candidate(run, folder / RECIPES, device, known, tests) for run in runs]
    open_folder(folder, keep=True, signs=resume.SIGNS)
    shown = console if console is not None and distributed.rank() == 0 else Console(quiet=True)
    alone = replace(plan, recipes=[one for one in plan.recipes if one.name == recipe])
    for heading, candidate in zip(headings(alone), candidates, strict=False):
        if seed is None:
            shown.print(heading, style="bold")
        train_candidate(candidate, folder, device, auto_resume, shown)
        candidate.tested = None
    distributed.barrier()
    return absent_of(candidates)
