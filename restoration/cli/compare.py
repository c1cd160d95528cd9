"""`restoration compare -opt FILE`: train every recipe alike, benchmark all, write one report."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from restoration.cli import session

if TYPE_CHECKING:
    from rich.console import Console

    from restoration.compare.plan import Plan, ResolvedRecipe
    from restoration.compare.result import Record
    from restoration.compare.resume import Begun
    from restoration.evaluate import EvaluationSet

logger = logging.getLogger("restoration")
RECIPES = "recipes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the comparison")
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="go on with an interrupted comparison; what is done is not done again",
    )
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="compare recipes that differ in more than the loss, marked in the report",
    )


def for_debugging(plan: "Plan") -> "Plan":
    """Shorten a comparison: a few steps, the first image of every set."""
    from dataclasses import replace

    from restoration.cli import test, train

    recipes = [
        replace(one, options=train.for_debugging(test.for_debugging(one.options)))
        for one in plan.recipes
    ]
    return replace(plan, name=f"debug_{plan.name}", recipes=recipes)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.compare.plan import load_comparison

    plan = load_comparison(arguments.opt, arguments.force_yml)
    if arguments.debug:
        plan = for_debugging(plan)
    folder = arguments.out or plan.shared.path.experiments_root / plan.name
    with session.process_group(plan.shared) as device:
        compare(plan, folder, device, arguments.auto_resume, arguments.allow_different)


def compare(
    plan: "Plan", folder: Path, device, auto_resume: bool = False, allow_different: bool = False
) -> "Record":
    """Check, train, benchmark, and write and print what was found."""
    from restoration.common import distributed
    from restoration.compare import fairness, findings, resume, seeds
    from restoration.evaluate import sets as recipe

    sets = recipe.open_sets(plan.shared.datasets.test)
    metrics = recipe.open_metrics(plan.shared.val.metric_specs)
    if not metrics.by_name:
        raise ValueError(" ".join(["a comparison needs a metric that can be had.", *metrics.notes]))
    findings.check_expected(plan.settings.expected, plan.shared.val.metric_specs)
    known = resume.going_on(plan, folder, folder / RECIPES) if auto_resume else {}
    single = resume.identities(plan, folder / RECIPES, known)
    identities = {
        one.name: seeds.merge_identities([single[run.place] for run in plan.runs_of(one)])
        for one in plan.recipes
        if one.trained
    }
    marks = fairness.find_marks(plan, identities)
    if not allow_different:
        fairness.refuse(plan, marks)
    weights = _check_recipes(plan, device, known)
    session.open_folder(folder, keep=auto_resume)
    console = session.make_console()
    if distributed.rank() == 0:
        for note in metrics.notes:
            console.print(note)
    for heading, run in _trainings(plan):
        if distributed.rank() == 0:
            console.print(heading, style="bold")
        if run.trained:
            resume.note(run, folder, folder / RECIPES, single[run.place], weights[run.name])
        _train(run, folder / RECIPES / run.place, device, auto_resume)
    sets_hash = fairness.hash_test_sets(sets)
    with session.logging_to(console, folder / "compare.log"):
        rows = _benchmark(plan, folder, sets, sets_hash, metrics, device, console)
        record = _record(plan, folder, rows, metrics, identities, sets_hash, marks, device)
        if distributed.rank() == 0:
            _write(record, folder, sets, device, console)
    distributed.barrier()
    return record


def _trainings(plan: "Plan") -> "Iterator[tuple[str, ResolvedRecipe]]":
    """Yield every run with its heading for the terminal."""
    count = sum(run.trained for run in plan.runs)
    done = 0
    for number, one in enumerate(plan.recipes, start=1):
        for run in plan.runs_of(one):
            done += run.trained
            seeded = f" (training {done} of {count})" if run.seed is not None else ""
            yield f"Recipe {number} of {len(plan.recipes)}: {run.title}{seeded}", run


def _check_recipes(plan: "Plan", device, known: "Begun") -> dict[str, str]:
    """Find every mistake of every recipe before the first one is trained.

    Returns:
        SHA-256 of the weights of every trained recipe's loss.
    """
    from restoration.compare.measure import load
    from restoration.compare.resume import check_weights
    from restoration.evaluate.candidates import weights_digest
    from restoration.train.run import prepare

    weights = {}
    for one in plan.recipes:
        try:
            if one.trained:
                criterion = prepare(one.options, device).trainer.criterion
                weights[one.name] = weights_digest(criterion)
            else:
                load(one.options, device)
        except (ValueError, OSError) as error:
            raise type(error)(f"recipe {one.name}: {error}") from error
        for run in plan.runs_of(one) if one.trained else []:
            check_weights(run, known.get(str(run.place), {}), weights[one.name])
    return weights


def _train(one: "ResolvedRecipe", folder: Path, device, auto_resume: bool) -> None:
    from restoration.cli.train import train
    from restoration.common import distributed
    from restoration.compare.resume import is_finished

    console = session.make_console()
    if not one.trained:
        said = f"not trained: {one.options.path.pretrain_network_g} is only benchmarked"
    elif auto_resume and is_finished(one, folder):
        said = "trained already"
    else:
        try:
            train(one.options, folder, folder / "tb_logger", device, auto_resume, with_notes=False)
        except FloatingPointError as error:
            raise FloatingPointError(f"recipe {one.title}: {error}") from error
        return
    if distributed.rank() == 0:
        console.print(said)


def _benchmark(
    plan: "Plan", folder: Path, sets, sets_hash: str, metrics, device, console: "Console"
) -> list[dict[str, Any]]:
    from restoration.common import distributed
    from restoration.compare import seeds
    from restoration.compare.measure import benchmark

    size, rank = distributed.world_size(), distributed.rank()
    each = sum(len(one) * len(one.sigmas) for one in sets.values()) / size
    rows = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (console.is_terminal and rank == 0),
    ) as bar:
        task = bar.add_task("evaluating", total=max(1, round(each * len(plan.runs))))
        for number, run in enumerate(plan.runs):
            logger.info("evaluating %s (%d of %d)", run.title, number + 1, len(plan.runs))
            bar.update(task, description=f"evaluating {run.title}")
            found = benchmark(
                run,
                folder / RECIPES / run.place,
                sets,
                sets_hash,
                metrics,
                device,
                with_noisy=number == 0,
                on_progress=lambda: bar.advance(task),
            )
            rows += seeds.mark(found, run.name, run.seed)
            bar.update(task, completed=round(each * (number + 1)))
    return rows


def _record(plan: "Plan", folder: Path, rows, metrics, identities, sets_hash, marks, device):
    from restoration.common import distributed
    from restoration.common.folders import environment
    from restoration.compare import findings, measure, seeds
    from restoration.compare import result as record
    from restoration.evaluate.candidates import file_digest

    directions = {name: metric.higher_is_better for name, metric in metrics.by_name.items()}
    found = findings.find(
        rows,
        directions,
        list(metrics.labels),
        plan.reference.name,
        [one.name for one in plan.challengers],
        plan.settings.expected,
        plan.settings.statistics,
    )
    checkpoints, parameters, curves = {}, {}, {}
    for one in plan.recipes:
        runs = {run.seed: run for run in plan.runs_of(one)}
        folders = {seed: folder / RECIPES / run.place for seed, run in runs.items()}
        tested = {s: measure.tested_options(run, folders[s]) for s, run in runs.items()}
        checkpoints[one.name] = {
            seed: file_digest(options.path.pretrain_network_g) for seed, options in tested.items()
        }
        network = measure.load(next(iter(tested.values())), device)
        parameters[one.name] = sum(p.numel() for p in network.parameters())
        curves[one.name] = seeds.mean_curves(
            [record.read_curves(path / "curves.csv") for path in folders.values()]
        )
    return record.Record(
        plan,
        metrics,
        found,
        identities,
        sets_hash,
        marks,
        checkpoints,
        parameters,
        curves,
        environment(device, distributed.world_size()),
    )


def _write(
    record: "Record", folder: Path, sets: dict[str, "EvaluationSet"], device, console: "Console"
) -> None:
    from restoration.compare.report import page, words
    from restoration.compare.report.pictures import draw_crops
    from restoration.compare.result import write_files

    write_files(record, folder)
    crops = draw_crops(record, folder / RECIPES, sets, device)
    page.write(folder / "report.html", record, crops)
    for line in words.summary(record):
        console.print(f"- {line}")
    logger.info("written: %s (report.html, results.json, per_image.csv, table.md)", folder)
