"""A training that was prepared, in its folder: options, log, checkpoints."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from restoration.common import distributed
from restoration.common.bf16 import SLOW, fast_in_bf16
from restoration.common.folders import OPTIONS_FILE
from restoration.common.installation import tensorboard_conflict
from restoration.common.log import log_file
from restoration.common.signals import signals_interrupt
from restoration.options.run_folder import (
    TENSORBOARD_SIGNS,
    changed_since,
    note_ignored,
    open_folder,
    own_folder,
    write_run_files,
)
from restoration.options.training import Train
from restoration.train.estimate import estimate
from restoration.train.run import Run, run_training
from restoration.train.states import set_aside_later

logger = logging.getLogger("restoration")
SIGNS = (OPTIONS_FILE, "training_states/*.state")  # of a training's folder


def train_prepared(
    run: Run,
    folder: Path,
    tb_folder: Path,
    state: Path | None = None,
    console: Console | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Train into a folder, and say in its log what is trained on what.

    Args:
        run: from `prepare`, on its device.
        folder: of the run; one that holds an earlier run is archived, unless `state` is in it.
        tb_folder: of TensorBoard's events.
        state: the training state that the run continues from, or None.
        console: where progress is shown.
        notes: lines for the log.

    Returns:
        The checkpoint of the last step.
    """
    options, device = run.options, run.trainer.device
    goes_on = state is not None and folder.resolve() in state.resolve().parents
    changed = changed_since(folder, options) if goes_on else []
    with own_folder(folder, keep=goes_on, signs=SIGNS), signals_interrupt():
        if not goes_on:
            open_folder(tb_folder, signs=TENSORBOARD_SIGNS)
        write_run_files(options, folder, device)
        with log_file(folder / "train.log"):
            note_ignored(options)
            for line in [*notes, *opening(run, device, distributed.world_size())]:
                logger.info(line)
            if options.val.save_img:
                logger.info("val.save_img is for `restoration test`: a training writes no images")
            if state is not None:
                logger.info("going on from %s", state)
                _set_aside(folder, run.start.step)
            if changed:
                logger.info("changed since: %s", "; ".join(changed))
            for line in foresee(run):
                logger.info(line)
            for setting in slow_settings(run.recipe, device):
                logger.warning(SLOW, setting)
            conflict = tensorboard_conflict() if options.logger.use_tb_logger else None
            if conflict is not None:
                logger.warning(conflict)
            events = tb_folder if options.logger.use_tb_logger else None
            last = run_training(run, folder, console or Console(quiet=True), events)
            logger.info("trained: %s", last)
    return last


def _set_aside(folder: Path, step: int) -> None:
    """Move states of later steps away: the next --auto_resume is not to continue from them."""
    if distributed.rank() != 0:
        return
    aside = set_aside_later(folder, step)
    if aside is not None:
        logger.info("states after step %d are set aside in %s", step, aside)


def foresee(run: Run) -> list[str]:
    """Lines that say what the steps that are left will take; none where something is compiled."""
    images, recipe, start = run.options.datasets.train, run.recipe, run.start.step
    compiled = recipe.compile or any(term.compile for term in recipe.losses)
    if images is None or compiled or start >= recipe.total_iter:
        return []
    channels = (images.in_ch + images.noise_map, images.in_ch)
    found = estimate(
        run.trainer, run.patches, channels, start, recipe.total_iter, recipe.accumulate
    )
    return found.lines(run.trainer.device)


def slow_settings(recipe: Train, device: torch.device) -> list[str]:
    """Settings that ask for bf16 on a device that is slow in it."""
    if fast_in_bf16(device):
        return []
    terms = [f"{t.type}'s precision: bf16" for t in recipe.losses if t.precision == "bf16"]
    return [*(["amp: bf16"] if recipe.amp == "bf16" else []), *terms]


def opening(run: Run, device: torch.device, processes: int) -> list[str]:
    """Lines that say what is about to train where, and what it has less of than was asked for."""
    trainer, asked = run.trainer, run.options.num_gpu
    count = sum(p.numel() for p in trainer.network.parameters())
    architecture = (run.options.network_g or {})["type"]
    lines = [
        f"{architecture} of {count:,} parameters on {device.type}, "
        f"{len(run.dataset)} images, step {run.start.step} of {run.recipe.total_iter}"
    ]
    smaller = run.dataset.smaller
    if smaller:
        side = max(run.patches.patch_sizes)
        lines.append(
            f"{len(smaller)} of {len(run.dataset)} images are smaller than patches of "
            f"{side}x{side} pixels and are padded by reflection, such as {smaller[0]}"
        )
    if asked == "auto" or asked == 0:
        return lines
    if device.type == "cpu":
        lines.append(f"num_gpu is {asked}, but torch finds no GPU: training on the CPU")
    elif asked > processes:
        lines.append(
            f"num_gpu is {asked}, but {processes} process(es) train, and batches are per process: "
            f"torchrun --nproc-per-node {asked} -m restoration.train -opt FILE starts as many"
        )
    return lines
