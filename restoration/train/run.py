"""From typed options to a training run: network, criterion, sample stream, folders, order."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from restoration.archs import build_network, load_network
from restoration.archs.described import with_network
from restoration.archs.probe import PROBE_SIDE, answers_finite, check_network
from restoration.archs.protocol import offer
from restoration.archs.speed import arrange
from restoration.common import distributed
from restoration.common.signals import interrupts_deferred
from restoration.data import BatchPlan, CropDataset, PairedDataset, PatchSchedule, make_loader
from restoration.data.dataset import Sample
from restoration.degradations import BatchDegradation
from restoration.evaluate.checks import check_metrics, check_sizes
from restoration.evaluate.sets import EvaluationSet, open_sets
from restoration.metrics import Metrics, open_metrics
from restoration.options.datasets import TrainSet
from restoration.options.load import plain
from restoration.options.schema import Options
from restoration.options.training import SCHEDULE_KEYS, Train
from restoration.train import checkpoint
from restoration.train.finite import BrokenSteps
from restoration.train.learning_rate import (
    Schedule,
    build_own_schedule,
    build_schedule,
    check_end,
)
from restoration.train.loop import Trainer
from restoration.train.monitor import Monitor
from restoration.train.optimizer import build_optimizer
from restoration.train.shares import adopt_weights, provisional_criterion, resolve_shares
from restoration.train.skipped import say_skipped
from restoration.train.states import is_whole
from restoration.train.steps import Keeper, take_steps
from restoration.train.stream import build_degradation_of, open_stream
from restoration.train.tensorboard import introduce
from restoration.train.trackers import Trackers, check_wandb, open_wandb
from restoration.train.validation import best_of, first_pictures, is_due, keep_best, validate

logger = logging.getLogger("restoration")
Tests = tuple[dict[str, EvaluationSet], Metrics]


@dataclass
class Run:
    """Everything that a training run needs, built and checked before its first step."""

    options: Options
    recipe: Train
    trainer: Trainer
    dataset: CropDataset
    patches: PatchSchedule
    sets: dict[str, EvaluationSet]
    metrics: Metrics
    start: checkpoint.Progress


def build_learning_rate(recipe: Train) -> Schedule:
    """Build the learning rate as a function of the step."""
    scheduler, base, warmup = recipe.scheduler, recipe.optim_g.lr, recipe.warmup_iter
    own = scheduler.type not in SCHEDULE_KEYS
    build = build_own_schedule if own else build_schedule
    schedule = build(scheduler.type, base, warmup=warmup, **scheduler.arguments)
    check_end(schedule, recipe.total_iter)
    return schedule


def initial_network(options: Options) -> nn.Module:
    """Build the network that training starts from; its weights follow from the seed alone."""
    torch.manual_seed(options.manual_seed)
    network = build_network(options.network_g)
    if options.val.window_size is not None:
        offer(network, window_size=options.val.window_size)
    paths = options.path
    if paths.pretrain_network_g is not None:
        key = paths.param_key_g or "params"
        load_network(network, paths.pretrain_network_g, key, paths.strict_load_g)
    return network


def build_trainer(
    options: Options, recipe: Train, degrade: BatchDegradation, device: torch.device
) -> Trainer:
    """Build network, losses and optimiser."""
    network = initial_network(options).to(device)
    arrange(network, recipe.compile, recipe.channels_last, recipe.checkpointing)
    return Trainer(
        network,
        provisional_criterion(recipe).to(device),
        build_optimizer(network, recipe.optim_g),
        build_learning_rate(recipe),
        device,
        degrade,
        clip=recipe.grad_clip_norm if recipe.use_grad_clip else None,
        amp=recipe.amp,
        ema_decay=recipe.ema_decay,
        parallel=distributed.world_size() > 1,
        find_unused=options.find_unused_parameters,
        seed=options.manual_seed,
        shares_every=options.logger.print_freq,
        network_g=plain(options.network_g),
    )


def check_fit(trainer: Trainer, images: TrainSet) -> None:
    """Run network and losses on flat patches of every size, before a folder is made."""
    for side in sorted(set(images.stages[2])):
        check_network(trainer.network, images.in_ch, side, trainer.device, False, images.noise_map)
        patch = torch.full((1, images.in_ch, side, side), 0.5, device=trainer.device)
        with torch.no_grad():
            trainer.criterion(patch, patch)


def open_tests(options: Options) -> Tests:
    """Open the test sets of an option file, and its metrics."""
    return open_sets(options.datasets.test), open_metrics(options.val.metric_specs)


def build_run(options: Options, device: torch.device, tests: Tests | None = None) -> Run:
    """Build a training without trying whether its parts fit together.

    Args:
        options: a whole option file.
        device: where to train.
        tests: its test sets and metrics, where they are open already; checked and shared.

    Raises:
        ValueError: the options miss a part.
        FileNotFoundError: images or weights are missing.
    """
    check_wandb(options)
    options = with_network(options)
    recipe, images, patches, dataset = open_stream(options)
    sets, metrics = open_tests(options) if tests is None else tests
    if sets and not metrics.by_name:
        raise ValueError("val.metrics: expected a metric for the validation sets, got none")
    degrade = build_degradation_of(images, isinstance(dataset, PairedDataset))
    trainer = build_trainer(options, recipe, degrade, device)
    return Run(options, recipe, trainer, dataset, patches, sets, metrics, checkpoint.Progress())


def prepare(
    options: Options,
    device: torch.device,
    resume_from: Path | None = None,
    tests: Tests | None = None,
) -> Run:
    """Build everything and find every mistake before a folder is made.

    Args:
        options: a whole option file.
        device: where to train.
        resume_from: a training state to continue from, or None.
        tests: see `build_run`.

    Returns:
        A Run for `run_training`.

    Raises:
        ValueError: the options miss a part, or a file does not fit.
        FileNotFoundError: images or weights are missing.
    """
    if resume_from is not None:
        options = adopt_weights(options, resume_from.resolve().parents[1])
    run = build_run(options, device, tests)
    options = run.options
    trainer, images = run.trainer, options.datasets.train
    assert images is not None  # `build_run` has seen to it
    check_fit(trainer, images)
    for one in options.datasets.test.values():
        check_network(trainer.network, one.in_ch, PROBE_SIDE, device, True, one.noise_map)
    check_sizes(trainer.network, run.sets, device, options.val.tile, options.datasets.noise_map)
    if tests is None:
        check_metrics(run.metrics, run.sets, device)
    run.options = resolve_shares(options, trainer, run.dataset, run.patches)
    run.recipe = run.options.train or run.recipe
    if resume_from is not None:
        go_on(run, resume_from)
    return run


def go_on(run: Run, state: Path) -> None:
    """Let a prepared run continue from a training state.

    Raises:
        ValueError: the state does not fit, or is beyond the last step.
    """
    run.start = checkpoint.resume(run.trainer, state)
    if run.start.step > run.recipe.total_iter:
        raise ValueError(
            f"{state} is at step {run.start.step}, beyond train.total_iter = "
            f"{run.recipe.total_iter}"
        )
    if run.start.best_of not in (None, best_of(run)):
        run.start.best = run.start.best_step = None
    kept = state.resolve().parents[1] / "models" / f"net_g_{checkpoint.BEST}.pth"
    if run.start.best is not None and not is_whole(kept):
        logger.warning("%s is missing or damaged: the next validation is the best", kept)
        run.start.best = run.start.best_step = None


def _loader(run: Run, start: int) -> DataLoader[Sample]:
    plan = BatchPlan(
        run.patches,
        start,
        run.recipe.total_iter,
        distributed.rank(),
        distributed.world_size(),
        run.recipe.accumulate,
    )
    images = run.options.datasets.train
    assert images is not None  # `prepare` has seen to it
    workers = images.num_worker_per_gpu
    return make_loader(run.dataset, plan, workers, pin_memory=run.trainer.device.type == "cuda")


def run_training(run: Run, folder: Path, console: Console, tb_folder: Path | None = None) -> Path:
    """Train from where the run stands to the last step.

    Args:
        run: from `prepare`.
        folder: the experiment's folder; it exists.
        console: where progress is shown.
        tb_folder: folder of TensorBoard events, or None for none.

    Returns:
        The checkpoint of the last step, models/net_g_latest.pth.
    """
    trainer, start, total = run.trainer, run.start.step, run.recipe.total_iter
    main = distributed.rank() == 0
    tb = SummaryWriter(tb_folder, purge_step=start + 1) if main and tb_folder else None
    trackers = Trackers(tb, open_wandb(run.options, folder, start > 0) if main else None)
    monitor = Monitor(
        console if main else Console(quiet=True),
        folder if main else None,
        trackers,
        start,
        total,
        trainer.criterion.names,
        run.options.logger.print_freq,
        run.sets,
        list(run.metrics.by_name),
        run.start.validated,
        BrokenSteps(run.recipe.max_skipped, start, total, run.recipe.amp == "fp16"),
        partial(say_skipped, run.dataset, run.patches, run.recipe.accumulate),
        run.options.val.val_freq if run.sets else None,
    )
    if tb is not None:
        introduce(tb, run.options, start, list(run.metrics.by_name), monitor.tags)
    if trackers and start == 0 and run.options.val.val_freq <= total:
        monitor.show(0, first_pictures(run))
    means, terms = run.start.means, {"total", "grad_norm", *trainer.criterion.names}
    if means is not None and set(means["sums"]) in (set(), terms):  # not those of other losses
        monitor.means.restore(means)
    keeper = Keeper(trainer, folder, run.options, monitor, run.start, partial(_is_sound, run))
    keeper.now.best_of = best_of(run)
    look = partial(_look, run, folder, monitor)
    with monitor:
        take_steps(trainer, _loader(run, start), run.options, keeper, partial(is_due, run), look)
    if main:
        with interrupts_deferred(patient=True):
            checkpoint.save_weights(trainer, folder, checkpoint.LATEST)
    trackers.close()
    distributed.barrier()
    return folder / "models" / f"net_g_{checkpoint.LATEST}.pth"


def _is_sound(run: Run) -> bool:
    """Whether the network's answer to a flat patch is finite."""
    images, trainer = run.options.datasets.train, run.trainer
    assert images is not None  # `prepare` has seen to it
    side = min(images.stages[2])
    return answers_finite(trainer.network, images.in_ch, side, trainer.device, images.noise_map)


def _look(
    run: Run, folder: Path, monitor: Monitor, progress: checkpoint.Progress
) -> checkpoint.Progress:
    """Validate, and keep the weights if they are the best so far."""
    with monitor.validating(progress.step) as tell:
        found = validate(run, tell)
    monitor.validated(progress.step, found.means, found.pictures)
    return keep_best(run, folder, progress, found)
