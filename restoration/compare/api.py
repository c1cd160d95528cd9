"""`restoration.compare`: train recipes alike, measure all, and write one report."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from restoration.common import distributed
from restoration.compare.absent import Absent
from restoration.compare.jobs import train_at_once
from restoration.compare.measuring import measured_together
from restoration.compare.plan import Plan, load_comparison
from restoration.compare.result import Record
from restoration.compare.run import run_comparison
from restoration.compare.single import train_only
from restoration.evaluate.measure import OnProgress
from restoration.train.api import for_debugging as shorten


def compare(
    plan: str | Path | Mapping[str, Any] | Plan,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    resume: bool = False,
    allow_different: bool = False,
    debug: bool = False,
    console: Console | None = None,
    on_progress: OnProgress | None = None,
    collect: bool = False,
    jobs: int = 1,
    on_training: OnProgress | None = None,
) -> Record:
    """Train recipes that differ in their loss, and say which is better.

    Args:
        plan: path of a comparison's option file, the mapping that such a file holds, or what
            `load_comparison` made of it.
        folder: of the comparison; default: `<path.experiments_root>/<name>`. One that holds an
            earlier comparison is archived under another name, unless that is resumed.
        device: where to compute, such as "cuda:1"; default: what `num_gpu` says.
        resume: continue with an interrupted comparison; what is done is not done again.
        allow_different: compare recipes that differ in more than the loss, marked in the report.
        debug: a few steps, and the first image of every set.
        console: where the trainings show their progress.
        on_progress: told how far the measurement is, see `evaluate_runs`.
        collect: train nothing; measure what `train_recipe` trained, and name what is missing.
        jobs: trainings at once, each in a process of its own, which are dealt out to the GPUs of
            the machine; as many processes measure. A script that calls this with more than one has
            to guard its work with `if __name__ == "__main__":`.
        on_training: with more than one job: told how far the trainings are.

    Returns:
        Everything that was found; the folder holds report.html.

    Raises:
        FileNotFoundError: images, weights, a checkpoint or the option file are missing.
        ValueError: what is wrong in the options, or what cannot be compared.
        ChildProcessError: the process of a training was killed.
    """
    plan, folder = _resolve(plan, folder, debug)
    together: AbstractContextManager[None] = nullcontext()
    if jobs != 1:
        with _device_of(plan, device) as used:
            train_at_once(plan, folder, used, jobs, resume, allow_different, on_training)
        together = measured_together(plan, folder, used, jobs, allow_different)
        device, resume = used.type, True  # of a GPU without a number, each process takes its own
    with together, _device_of(plan, device) as used:
        return run_comparison(
            plan, folder, used, resume, allow_different, console, on_progress, collect
        )


def train_recipe(
    plan: str | Path | Mapping[str, Any] | Plan,
    recipe: str,
    seed: int | None = None,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    resume: bool = False,
    allow_different: bool = False,
    debug: bool = False,
    console: Console | None = None,
) -> list[Absent]:
    """Train one recipe of a comparison, beside other machines that train the others.

    `compare(plan, collect=True)` measures them when they are done.

    Args:
        plan: see `compare`.
        recipe: its name.
        seed: one of the comparison's seeds; None for all of them.
        folder: see `compare`; the same for all machines.
        device: see `compare`.
        resume: continue with what is in the folder; else an earlier training of the same recipe and
            seed is archived.
        allow_different: see `compare`.
        debug: see `compare`.
        console: where the training shows its progress.

    Returns:
        Trainings that diverged.

    Raises:
        FileNotFoundError: images, weights or the option file are missing.
        ValueError: what is wrong in the options, or no such recipe or seed.
    """
    plan, folder = _resolve(plan, folder, debug)
    with _device_of(plan, device) as used:
        return train_only(plan, folder, used, recipe, seed, resume, allow_different, console)


def _resolve(
    plan: str | Path | Mapping[str, Any] | Plan, folder: str | Path | None, debug: bool
) -> tuple[Plan, Path]:
    if not isinstance(plan, Plan):
        plan = load_comparison(plan)
    if debug:
        plan = for_debugging(plan)
    return plan, Path(folder or plan.shared.path.experiments_root / plan.name)


def _device_of(
    plan: Plan, device: str | torch.device | None
) -> AbstractContextManager[torch.device]:
    asked = plan.shared.num_gpu if device is None else str(device)
    processes = plan.shared.dist_params
    return distributed.process_group(asked, processes.backend, processes.timeout_minutes)


def for_debugging(plan: Plan) -> Plan:
    """Shorten a comparison: a few steps, the first image of every set."""
    recipes = [replace(recipe, options=shorten(recipe.options)) for recipe in plan.recipes]
    return replace(plan, name=f"debug_{plan.name}", recipes=recipes)
