"""A whole comparison: check everything, train every recipe alike, measure all, write a report."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from restoration.common import distributed
from restoration.common.digests import weights_digest
from restoration.common.folders import environment
from restoration.common.log import log_file
from restoration.compare import fairness, resume, seeds
from restoration.compare.findings import find
from restoration.compare.measure import load_tested, name_rows
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.compare.report import page
from restoration.compare.report.pictures import draw_crops
from restoration.compare.result import Record, read_curves, write_files
from restoration.compare.signs import check_expected
from restoration.evaluate import EvaluationSet
from restoration.evaluate.benchmark import Benchmark, run_benchmark
from restoration.evaluate.candidates import TestedRun, baseline
from restoration.evaluate.checks import check_metrics
from restoration.evaluate.measure import NOISY, OnProgress
from restoration.evaluate.rows import Row
from restoration.evaluate.sets import open_sets
from restoration.metrics import Metrics, open_metrics
from restoration.options.run_folder import open_folder
from restoration.train import checkpoint
from restoration.train.criterion import build_criterion
from restoration.train.prepared import train_prepared
from restoration.train.run import Run, go_on, prepare

logger = logging.getLogger("restoration")
RECIPES = "recipes"


@dataclass
class Candidate:
    """One training of a recipe, or a checkpoint, built once before any work starts.

    Attributes:
        run: what it is.
        folder: of the training.
        training: to be trained; None for what is finished, and for a checkpoint.
        tested: the network under test; None before the training is finished.
        identity: see `fairness.identify`; empty for a checkpoint.
        loss_weights: SHA-256 of the weights of the loss; empty for a checkpoint.
    """

    run: ResolvedRecipe
    folder: Path
    training: Run | None
    tested: TestedRun | None
    identity: dict[str, Any]
    loss_weights: str


def run_comparison(
    plan: Plan,
    folder: Path,
    device: torch.device,
    auto_resume: bool = False,
    allow_different: bool = False,
    console: Console | None = None,
    on_progress: OnProgress | None = None,
) -> Record:
    """Check, train, measure, and write what was found.

    Args:
        plan: see `load_comparison`.
        folder: of the comparison; one that holds an earlier one is archived, unless that goes on.
        device: where to compute.
        auto_resume: go on with what is in the folder; what is done is not done again.
        allow_different: compare recipes that differ in more than the loss, marked in the report.
        console: where the trainings show their progress.
        on_progress: of the measurement, see `evaluate_runs`.

    Returns:
        Everything that is known in the end.

    Raises:
        FileNotFoundError: images, weights or a checkpoint are missing.
        ValueError: a recipe cannot be trained or tested, or they cannot be compared.
        FloatingPointError: the loss of a recipe is not finite.
    """
    console = console or Console(quiet=True)
    say = console.print if distributed.rank() == 0 else Console(quiet=True).print
    sets, metrics = _open(plan, device)
    known = resume.going_on(plan, folder, folder / RECIPES) if auto_resume else {}
    if not allow_different:
        fairness.refuse(plan, fairness.find_marks(plan))
    candidates = [_prepare(run, folder / RECIPES, device, known) for run in plan.runs]
    identities = _identities(plan, candidates)
    marks = fairness.find_marks(plan, identities)
    if not allow_different:
        fairness.refuse(plan, marks)
    open_folder(folder, keep=auto_resume)
    for note in metrics.notes:
        say(note)
    for heading, candidate in zip(_headings(plan), candidates, strict=True):
        say(heading, style="bold")
        _train(candidate, folder, device, auto_resume, console, say)
    with log_file(folder / "compare.log"):
        sets_hash, digests = fairness.hash_test_sets(sets)
        rows = _measure(
            plan, candidates, sets, digests, metrics, device, folder, auto_resume, on_progress
        )
        record = _record(plan, candidates, rows, metrics, identities, sets_hash, marks, device)
        if distributed.rank() == 0:
            _write(record, candidates, folder, sets, device)
    distributed.barrier()
    return record


def _open(plan: Plan, device: torch.device) -> tuple[dict[str, EvaluationSet], Metrics]:
    """Open test sets and metrics, and check what is asked of them."""
    specs = plan.shared.val.metric_specs
    sets, metrics = open_sets(plan.shared.datasets.test), open_metrics(specs)
    if not metrics.by_name:
        raise ValueError(" ".join(["a comparison needs a metric that can be had.", *metrics.notes]))
    check_expected(plan.settings.expected, specs)
    check_metrics(metrics, sets, device)
    return sets, metrics


def _prepare(
    run: ResolvedRecipe, recipes: Path, device: torch.device, known: resume.Begun
) -> Candidate:
    """Build what a run needs, and find every mistake before the first one is trained."""
    folder, before = recipes / run.place, known.get(str(run.place), {})
    try:
        if not run.trained:
            return Candidate(run, folder, None, load_tested(run, folder, device), {}, "")
        assert run.options.train is not None
        if before and resume.is_finished(run, folder):
            criterion, training = build_criterion(run.options.train.terms()), None
            identity = before["identity"]
        else:
            training = prepare(run.options, device)
            criterion, identity = training.trainer.criterion, fairness.identify(training)
    except (ValueError, OSError) as error:
        raise type(error)(f"recipe {run.name}: {error}") from error
    resume.check_identity(run, before, identity)
    weights = weights_digest(criterion)
    resume.check_weights(run, before, weights)
    return Candidate(run, folder, training, None, identity, weights)


def _identities(plan: Plan, candidates: list[Candidate]) -> dict[str, dict[str, Any]]:
    """Hashes of every trained recipe, of all its trainings together."""
    return {
        recipe.name: seeds.merge_identities(
            [one.identity for one in candidates if one.run.name == recipe.name]
        )
        for recipe in plan.recipes
        if recipe.trained
    }


def _headings(plan: Plan) -> Iterator[str]:
    """Yield a heading for every run."""
    count = sum(run.trained for run in plan.runs)
    done = 0
    for number, recipe in enumerate(plan.recipes, start=1):
        for run in plan.runs_of(recipe):
            done += run.trained
            seeded = f" (training {done} of {count})" if run.seed is not None else ""
            yield f"Recipe {number} of {len(plan.recipes)}: {run.title}{seeded}"


def _train(
    candidate: Candidate,
    folder: Path,
    device: torch.device,
    auto_resume: bool,
    console: Console,
    say: Callable[..., None],
) -> None:
    """Train what is not finished, and load what it left."""
    run, training, place = candidate.run, candidate.training, candidate.folder
    if candidate.tested is not None:
        say(f"not trained: {run.options.path.pretrain_network_g} is only benchmarked")
        return
    if training is None or (auto_resume and resume.is_finished(run, place)):
        say("trained already")
    else:
        resume.note(run, folder, folder / RECIPES, candidate.identity, candidate.loss_weights)
        state = checkpoint.latest_state(place) if auto_resume else None
        if state is not None:
            go_on(training, state)
        try:
            train_prepared(training, place, place / "tb_logger", state, console)
        except FloatingPointError as error:
            raise FloatingPointError(f"recipe {run.title}: {error}") from error
    candidate.training = None  # its optimiser's memory is for the next one
    candidate.tested = load_tested(run, place, device)


def _measure(
    plan: Plan,
    candidates: list[Candidate],
    sets: dict[str, EvaluationSet],
    digests: dict[str, list[str]],
    metrics: Metrics,
    device: torch.device,
    folder: Path,
    resume_journal: bool,
    on_progress: OnProgress | None,
) -> list[Row]:
    """Measure all networks, every test image read once for all of them."""
    runs = {NOISY: baseline(NOISY)}
    for candidate in candidates:
        assert candidate.tested is not None
        runs[str(candidate.run.place)] = candidate.tested
    logger.info("evaluating %s", "; ".join(candidate.run.title for candidate in candidates))
    benchmark = Benchmark(plan.shared, sets, digests, metrics, runs, device)
    report = run_benchmark(benchmark, folder, resume_journal, on_progress=on_progress)
    return name_rows(report.rows, plan)


def _record(
    plan: Plan,
    candidates: list[Candidate],
    rows: list[Row],
    metrics: Metrics,
    identities: dict[str, dict[str, Any]],
    sets_hash: str,
    marks: list[fairness.Mark],
    device: torch.device,
) -> Record:
    """Compare, and gather what the report says about every recipe."""
    found = find(
        rows,
        {name: metric.higher_is_better for name, metric in metrics.by_name.items()},
        plan.reference.name,
        [recipe.name for recipe in plan.challengers],
        plan.settings.expected,
        plan.settings.statistics,
    )
    record = Record(plan, metrics, found, identities, sets_hash, marks, {}, {})
    for recipe in plan.recipes:
        runs = [one for one in candidates if one.run.name == recipe.name]
        tested = {one.run.seed: one.tested for one in runs if one.tested is not None}
        record.checkpoints[recipe.name] = {s: t.identity["sha256"] for s, t in tested.items()}
        network = next(iter(tested.values())).network
        assert network is not None
        record.parameters[recipe.name] = sum(p.numel() for p in network.parameters())
        curves = [read_curves(one.folder / "curves.csv") for one in runs]
        record.curves[recipe.name] = seeds.mean_curves(curves)
    record.environment = environment(device, distributed.world_size())
    return record


def _write(
    record: Record,
    candidates: list[Candidate],
    folder: Path,
    sets: dict[str, EvaluationSet],
    device: torch.device,
) -> None:
    write_files(record, folder)
    first = {one.run.name: one.tested for one in reversed(candidates)}  # of several seeds
    denoisers = {name: tested.denoise for name, tested in first.items() if tested is not None}
    crops = draw_crops(record, denoisers, sets, device)
    page.write(folder / "report.html", record, crops)
    logger.info("written: %s (report.html, results.json, per_image.csv, table.md)", folder)
