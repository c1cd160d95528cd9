"""The trainings of a comparison: each prepared before any work starts, then trained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from losses import Criterion
from restoration.common import distributed
from restoration.common.digests import plain_digest, weights_digest
from restoration.compare import fairness, resume, seeds
from restoration.compare.absent import Absent, divergence, how_far, note_divergence
from restoration.compare.measure import load_tested
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.evaluate.candidates import TestedRun
from restoration.options.training import Share
from restoration.train.criterion import build_criterion
from restoration.train.prepared import train_prepared
from restoration.train.run import Run, Tests, build_run, go_on, prepare
from restoration.train.shares import adopt_weights
from restoration.train.states import newest_whole

RECIPES = "recipes"


@dataclass
class Candidate:
    """One training of a recipe, or a checkpoint, tried before any work starts.

    Attributes:
        run: what it is.
        folder: of the training.
        training: builds it when its turn comes, since many do not fit into memory together; None
            for what is finished, for a checkpoint, and for what diverged.
        tested: the network under test; None before the training is finished.
        identity: see `fairness.identify`; empty for a checkpoint.
        loss_weights: SHA-256 of the weights of the loss; empty for a checkpoint.
        absent: why there is nothing to measure; empty where there is.
    """

    run: ResolvedRecipe
    folder: Path
    training: Callable[[], Run] | None
    tested: TestedRun | None
    identity: dict[str, Any]
    loss_weights: str
    absent: str = ""


def prepare_candidate(
    run: ResolvedRecipe, recipes: Path, device: torch.device, known: resume.Begun, tests: Tests
) -> Candidate:
    """Try what a run needs, and find every mistake before the first one is trained.

    Args:
        run: a training or a checkpoint.
        recipes: folder of the recipes' folders.
        device: where to compute.
        known: what trainings began with that go on; see `resume.going_on`.
        tests: sets and metrics of all runs, checked.

    Raises:
        FileNotFoundError: images, weights or a checkpoint are missing.
        ValueError: it cannot be trained or tested, or not gone on with.
    """
    folder, before = recipes / run.place, known.get(str(run.place), {})
    if before:
        run = replace(run, options=adopt_weights(run.options, folder))
    failed = divergence(folder) if before else ""
    try:
        if not run.trained:
            return Candidate(run, folder, None, load_tested(run, folder, device), {}, "")
        assert run.options.train is not None
        if before and (failed or resume.is_finished(run, folder)):
            criterion, training = build_criterion(run.options.train.terms()), None
            identity = before["identity"] | fairness.start_of(run.options)
        else:
            tried = prepare(run.options, device, tests=tests)
            run = replace(run, options=tried.options)
            criterion, identity = tried.trainer.criterion, fairness.identify(tried)
            training = partial(build_run, run.options, device, tests)
    except (ValueError, OSError) as error:
        raise type(error)(f"recipe {run.name}: {error}") from error
    resume.check_identity(run, before, identity)
    weights = _digest_weights(criterion, run)
    resume.check_weights(run, before, weights)
    return Candidate(run, folder, training, None, identity, weights, failed)


def collect_candidate(
    run: ResolvedRecipe, recipes: Path, device: torch.device, known: resume.Begun, tests: Tests
) -> Candidate:
    """Take what a run left; one that is not finished is absent, and nothing is built for it."""
    folder, before = recipes / run.place, known.get(str(run.place), {})
    done = before and (divergence(folder) or resume.is_finished(run, folder))
    if run.trained and not done:
        return Candidate(run, folder, None, None, {}, "", how_far(run, folder))
    return prepare_candidate(run, recipes, device, known, tests)


def _digest_weights(criterion: Criterion, run: ResolvedRecipe) -> str:
    """SHA-256 of the weights of a loss: of its networks, and of its terms where they are shares."""
    digest = weights_digest(criterion)
    assert run.options.train is not None
    given = [term.weight for term in run.options.train.losses]
    if not any(isinstance(weight, Share) for weight in given):
        return digest
    return plain_digest([digest, run.options.train.weights()])


def identities_of(plan: Plan, candidates: Sequence[Candidate]) -> dict[str, dict[str, Any]]:
    """Hashes of every trained recipe, of all its trainings together, where all have some."""
    found = {}
    for recipe in plan.recipes:
        own = [candidate.identity for candidate in candidates if candidate.run.name == recipe.name]
        if recipe.trained and all(own):
            found[recipe.name] = seeds.merge_identities(own)
    return found


def absent_of(candidates: Sequence[Candidate]) -> list[Absent]:
    """Trainings that left nothing to measure."""
    return [Absent(c.run.name, c.run.seed, c.absent) for c in candidates if c.absent]


def headings(plan: Plan) -> Iterator[str]:
    """Yield a heading for every run."""
    count = sum(run.trained for run in plan.runs)
    done = 0
    for number, recipe in enumerate(plan.recipes, start=1):
        for run in plan.runs_of(recipe):
            done += run.trained
            seeded = f" (training {done} of {count})" if run.seed is not None else ""
            yield f"Recipe {number} of {len(plan.recipes)}: {run.title}{seeded}"


def train_candidate(
    candidate: Candidate, folder: Path, device: torch.device, auto_resume: bool, console: Console
) -> None:
    """Train what is not finished, and load what it left; note it where it diverges."""
    run, place = candidate.run, candidate.folder
    if candidate.tested is not None:
        path = run.options.path.pretrain_network_g
        console.print(f"not trained: {path} is a checkpoint, which is only measured")
        return
    if candidate.absent:
        console.print(candidate.absent)
        return
    if candidate.training is None or (auto_resume and resume.is_finished(run, place)):
        console.print("trained already")
    else:
        resume.note(run, folder, folder / RECIPES, candidate.identity, candidate.loss_weights)
        state, passed_over = newest_whole(place) if auto_resume else (None, [])
        training = candidate.training()
        if state is not None:
            go_on(training, state)
        try:
            train_prepared(training, place, place / "tb_logger", state, console, passed_over)
        except FloatingPointError as error:
            candidate.absent = f"diverged: {error}"
            if distributed.rank() == 0:
                note_divergence(place, error)
            console.print(f"{run.title} {candidate.absent}")
            return
        del training  # its memory is for the next one
    candidate.tested = load_tested(run, place, device)
