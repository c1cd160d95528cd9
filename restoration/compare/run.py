"""A whole comparison: check everything, train every recipe alike, measure all, write a report."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from losses import Criterion
from restoration.common import distributed
from restoration.common.digests import plain_digest, weights_digest
from restoration.common.folders import OPTIONS_FILE, environment
from restoration.common.log import log_file
from restoration.compare import fairness, resume, seeds
from restoration.compare.differences import check_primary
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
from restoration.evaluate.sets import open_sets
from restoration.metrics import Metrics, open_metrics
from restoration.options.run_folder import open_folder
from restoration.options.training import Share
from restoration.train import checkpoint
from restoration.train.criterion import build_criterion
from restoration.train.prepared import train_prepared
from restoration.train.run import Run, go_on, prepare
from restoration.train.shares import adopt_weights

logger = logging.getLogger("restoration")
RECIPES, LOG = "recipes", "compare.log"
SIGNS = (LOG, resume.FILE, f"{RECIPES}/**/{OPTIONS_FILE}")  # of a comparison's folder


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


@dataclass
class Preparation:
    """A comparison that was checked, before its first training.

    Attributes:
        plan: what is compared.
        sets: test sets by name.
        metrics: what is measured.
        candidates: every training and every checkpoint.
        identities: hashes of every trained recipe, of all its trainings together.
        marks: what differs beside the loss.
        device: where to compute.
    """

    plan: Plan
    sets: dict[str, EvaluationSet]
    metrics: Metrics
    candidates: list[Candidate]
    identities: dict[str, dict[str, Any]]
    marks: list[fairness.Mark]
    device: torch.device


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
    prepared = prepare_comparison(plan, folder, device, auto_resume, allow_different)
    open_folder(folder, keep=auto_resume, signs=SIGNS)
    main = distributed.rank() == 0
    shown = console if console is not None and main else Console(quiet=True)
    for note in prepared.metrics.notes:
        shown.print(note)
    for heading, candidate in zip(_headings(plan), prepared.candidates, strict=True):
        shown.print(heading, style="bold")
        _train(candidate, folder, device, auto_resume, shown)
    with log_file(folder / LOG):
        record = _measure(prepared, folder, auto_resume, on_progress)
        if main:
            _write(record, prepared, folder)
    distributed.barrier()
    return record


def prepare_comparison(
    plan: Plan,
    folder: Path,
    device: torch.device,
    auto_resume: bool = False,
    allow_different: bool = False,
) -> Preparation:
    """Build everything once, and find every mistake before a folder is made.

    See `run_comparison` for arguments and errors.
    """
    specs = plan.shared.val.metric_specs
    sets, metrics = open_sets(plan.shared.datasets.test), open_metrics(specs)
    if not metrics.by_name:
        raise ValueError(" ".join(["a comparison needs a metric that can be had.", *metrics.notes]))
    check_expected(plan.settings.expected, specs)
    check_primary(plan.settings.statistics.primary, metrics.by_name)
    check_metrics(metrics, sets, device)
    recipes = folder / RECIPES
    known = resume.going_on(plan, folder, recipes) if auto_resume else {}
    if not allow_different:
        fairness.refuse(plan, fairness.find_marks(plan))
    candidates = [_prepare(run, recipes, device, known) for run in plan.runs]
    identities = _identities(plan, candidates)
    marks = fairness.find_marks(plan, identities)
    if not allow_different:
        fairness.refuse(plan, marks)
    return Preparation(plan, sets, metrics, candidates, identities, marks, device)


def _prepare(
    run: ResolvedRecipe, recipes: Path, device: torch.device, known: resume.Begun
) -> Candidate:
    """Build what a run needs, and find every mistake before the first one is trained."""
    folder, before = recipes / run.place, known.get(str(run.place), {})
    if before:
        run = replace(run, options=adopt_weights(run.options, folder))
    try:
        if not run.trained:
            return Candidate(run, folder, None, load_tested(run, folder, device), {}, "")
        assert run.options.train is not None
        if before and resume.is_finished(run, folder):
            criterion, training = build_criterion(run.options.train.terms()), None
            identity = before["identity"]
        else:
            training = prepare(run.options, device)
            run = replace(run, options=training.options)
            criterion, identity = training.trainer.criterion, fairness.identify(training)
    except (ValueError, OSError) as error:
        raise type(error)(f"recipe {run.name}: {error}") from error
    resume.check_identity(run, before, identity)
    weights = _digest_weights(criterion, run)
    resume.check_weights(run, before, weights)
    return Candidate(run, folder, training, None, identity, weights)


def _digest_weights(criterion: Criterion, run: ResolvedRecipe) -> str:
    """SHA-256 of the weights of a loss: of its networks, and of its terms where they are shares."""
    digest = weights_digest(criterion)
    assert run.options.train is not None
    given = [term.weight for term in run.options.train.losses]
    if not any(isinstance(weight, Share) for weight in given):
        return digest
    return plain_digest([digest, run.options.train.weights()])


def _identities(plan: Plan, candidates: list[Candidate]) -> dict[str, dict[str, Any]]:
    """Hashes of every trained recipe, of all its trainings together."""
    return {
        recipe.name: seeds.merge_identities(
            [candidate.identity for candidate in candidates if candidate.run.name == recipe.name]
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
    candidate: Candidate, folder: Path, device: torch.device, auto_resume: bool, console: Console
) -> None:
    """Train what is not finished, and load what it left."""
    run, training, place = candidate.run, candidate.training, candidate.folder
    if candidate.tested is not None:
        path = run.options.path.pretrain_network_g
        console.print(f"not trained: {path} is only benchmarked")
        return
    if training is None or (auto_resume and resume.is_finished(run, place)):
        console.print("trained already")
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
    prepared: Preparation, folder: Path, auto_resume: bool, on_progress: OnProgress | None
) -> Record:
    """Measure all networks, every test image read once for all of them, and compare."""
    plan, metrics = prepared.plan, prepared.metrics
    sets_hash, digests = fairness.hash_test_sets(prepared.sets)
    runs = {NOISY: baseline(NOISY)}
    for candidate in prepared.candidates:
        assert candidate.tested is not None
        runs[str(candidate.run.place)] = candidate.tested
    logger.info("evaluating %s", "; ".join(run.title for run in plan.runs))
    benchmark = Benchmark(plan.shared, prepared.sets, digests, metrics, runs, prepared.device)
    report = run_benchmark(benchmark, folder, auto_resume, on_progress=on_progress)
    findings = find(
        name_rows(report.rows, plan),
        {name: metric.higher_is_better for name, metric in metrics.by_name.items()},
        plan.reference.name,
        [recipe.name for recipe in plan.challengers],
        plan.settings.expected,
        plan.settings.statistics,
    )
    record = Record(plan, metrics, findings, prepared.identities, sets_hash, prepared.marks, {}, {})
    for recipe in plan.recipes:
        _describe(record, recipe.name, prepared.candidates)
    record.environment = environment(prepared.device, distributed.world_size())
    return record


def _describe(record: Record, recipe: str, candidates: list[Candidate]) -> None:
    """Note checkpoints, size and training curves of a recipe."""
    trainings = [candidate for candidate in candidates if candidate.run.name == recipe]
    tested = {c.run.seed: c.tested for c in trainings if c.tested is not None}
    record.checkpoints[recipe] = {seed: run.identity["sha256"] for seed, run in tested.items()}
    record.loss_weights[recipe] = [
        one.run.options.train.weights() for one in trainings if one.run.options.train is not None
    ]
    network = next(iter(tested.values())).network
    assert network is not None
    record.parameters[recipe] = sum(p.numel() for p in network.parameters())
    curves = [read_curves(candidate.folder / "curves.csv") for candidate in trainings]
    record.curves[recipe] = seeds.mean_curves(curves)


def _write(record: Record, prepared: Preparation, folder: Path) -> None:
    """Write result files and report; pictures are of the first of several trainings."""
    write_files(record, folder)
    tested = {candidate.run.name: candidate.tested for candidate in reversed(prepared.candidates)}
    denoisers = {name: run.denoise for name, run in tested.items() if run is not None}
    crops = draw_crops(record, denoisers, prepared.sets, prepared.device)
    page.write(folder / "report.html", record, crops)
    logger.info("written: %s (report.html, results.json, per_image.csv, table.md)", folder)
