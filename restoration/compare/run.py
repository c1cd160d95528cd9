"""A whole comparison: check everything, train every recipe alike, measure all, write a report."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from restoration.common import distributed
from restoration.common.folders import environment
from restoration.common.log import log_file
from restoration.compare import fairness, resume, seeds
from restoration.compare.absent import Absent, without
from restoration.compare.candidates import (
    RECIPES,
    Candidate,
    absent_of,
    collect_candidate,
    headings,
    identities_of,
    prepare_candidate,
    train_candidate,
)
from restoration.compare.differences import check_primary
from restoration.compare.findings import find
from restoration.compare.fronts import fronts_of
from restoration.compare.judges import add_judges, standings
from restoration.compare.measure import name_rows
from restoration.compare.plan import Plan
from restoration.compare.report import fronts, page
from restoration.compare.report.crops import dark_smooth
from restoration.compare.report.montage import write_montages
from restoration.compare.report.pictures import choose_crops, draw_crops
from restoration.compare.report.restorer import Restorer
from restoration.compare.result import Record
from restoration.compare.result_files import read_curves, write_files
from restoration.compare.signs import check_expected
from restoration.evaluate import EvaluationSet
from restoration.evaluate.benchmark import Benchmark, run_benchmark
from restoration.evaluate.candidates import baseline
from restoration.evaluate.checks import check_metrics
from restoration.evaluate.measure import NOISY, OnProgress
from restoration.metrics import Metrics
from restoration.options.run_folder import note_ignored, own_folder
from restoration.train.run import Tests, open_tests

logger = logging.getLogger("restoration")
LOG = "compare.log"


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
    collect: bool = False,
) -> Record:
    """Check, train, measure, and write what was found.

    A recipe that diverges, or of which `collect` finds a training missing, is named in the report;
    the others are compared.

    Args:
        plan: see `load_comparison`.
        folder: of the comparison; one that holds an earlier one is archived, unless that goes on.
        device: where to compute.
        auto_resume: continue with what is in the folder; what is done is not done again.
        allow_different: compare recipes that differ in more than the loss, marked in the report.
        console: where the trainings show their progress.
        on_progress: of the measurement, see `evaluate_runs`.
        collect: train nothing; measure what was trained in this folder before.

    Returns:
        Everything that is known in the end.

    Raises:
        FileNotFoundError: images, weights or a checkpoint are missing.
        ValueError: a recipe cannot be trained or tested, they cannot be compared, or none is left.
    """
    auto_resume |= collect
    prepared = prepare_comparison(plan, folder, device, auto_resume, allow_different, collect)
    main = distributed.rank() == 0
    shown = console if console is not None and main else Console(quiet=True)
    for note in prepared.metrics.notes:
        shown.print(note)
    with own_folder(folder, keep=auto_resume, signs=resume.SIGNS):
        for heading, candidate in zip(headings(plan), prepared.candidates, strict=True):
            shown.print(heading, style="bold")
            train_candidate(candidate, folder, device, auto_resume, shown)
        with log_file(folder / LOG):
            note_ignored(plan.shared)
            left, absent = _left(prepared)
            record = _measure(left, folder, auto_resume, on_progress)
            record.absent = absent
            if main:
                _write(record, left, folder)
        distributed.barrier()
    return record


def prepare_comparison(
    plan: Plan,
    folder: Path,
    device: torch.device,
    auto_resume: bool = False,
    allow_different: bool = False,
    collect: bool = False,
) -> Preparation:
    """Try everything once, and find every mistake before a folder is made.

    See `run_comparison` for arguments and errors.
    """
    tests, metrics = open_measurement(plan, device)
    recipes = folder / RECIPES
    known = resume.going_on(plan.runs, folder, recipes) if auto_resume else {}
    if not allow_different:
        fairness.refuse(plan, fairness.find_marks(plan))
    build = collect_candidate if collect else prepare_candidate
    candidates = [build(run, recipes, device, known, tests) for run in plan.runs]
    if collect:
        without(plan, absent_of(candidates))  # an error where nothing is left
    identities = identities_of(plan, candidates)
    marks = fairness.find_marks(plan, identities)
    if not allow_different:
        fairness.refuse(plan, marks)
    return Preparation(plan, tests[0], metrics, candidates, identities, marks, device)


def open_measurement(plan: Plan, device: torch.device) -> tuple[Tests, Metrics]:
    """Open what the networks are measured on and by, and find every mistake in it.

    Returns:
        Sets and metrics of the option file, and these metrics with the judges.

    Raises:
        FileNotFoundError: images are missing.
        ValueError: no metric, or something does not fit.
    """
    sets, metrics = tests = open_tests(plan.shared)
    if not metrics.by_name:
        raise ValueError(
            " ".join(["a comparison needs a metric that can be computed.", *metrics.notes])
        )
    check_expected(plan.settings.expected, plan.shared.val.metric_specs)
    check_metrics(metrics, sets, device)
    metrics = add_judges(metrics, plan.settings.judges, plan.recipes, sets, device)
    check_primary(plan.settings.statistics.primary, metrics.by_name)
    judges = {name: one for name, one in metrics.by_name.items() if name not in tests[1].by_name}
    check_metrics(Metrics(judges), sets, device)
    return tests, metrics


def _left(prepared: Preparation) -> tuple[Preparation, list[Absent]]:
    """What is left to compare, and the trainings that left nothing."""
    absent = absent_of(prepared.candidates)
    for one in absent:
        logger.warning("left out: %s: %s", one.title, one.reason)
    if not absent:
        return prepared, []
    plan = without(prepared.plan, absent)
    names = [recipe.name for recipe in plan.recipes]
    left = replace(
        prepared,
        plan=plan,
        candidates=[one for one in prepared.candidates if one.run.name in names],
        identities={name: one for name, one in prepared.identities.items() if name in names},
        marks=[mark for mark in prepared.marks if mark.recipe in names],
    )
    return left, absent


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
    rows = name_rows(report.rows, plan)
    findings = find(
        rows,
        {name: metric.higher_is_better for name, metric in metrics.by_name.items()},
        plan.reference.name,
        [recipe.name for recipe in plan.challengers],
        plan.settings.expected,
        plan.settings.statistics,
    )
    hashes = prepared.identities, sets_hash
    record = Record(plan, metrics, findings, *hashes, prepared.marks, {}, {}, folder=folder)
    record.fronts = fronts_of(plan, metrics.by_name, rows)
    record.standings = standings(metrics.by_name, plan.recipes)
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
    """Write result files and report; images are of the first of several trainings."""
    write_files(record, folder)
    tested = {candidate.run.name: candidate.tested for candidate in reversed(prepared.candidates)}
    denoisers = {name: run.denoise for name, run in tested.items() if run is not None}
    restorer = Restorer(record, denoisers, prepared.sets, prepared.device)
    dark = dark_smooth(prepared.sets, restorer.condition)
    chosen = choose_crops(record, restorer, dark)
    crops = draw_crops(record, restorer, chosen)
    write_montages(record, restorer, chosen, dark, folder / "figures")
    fronts.write_figures(record, folder / "figures")
    page.write(folder, record, crops)
    files = "report.html, figures/, results.json, per_image.csv, table.md, table.tex"
    logger.info("written: %s (%s)", folder, files)
