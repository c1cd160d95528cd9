"""`restoration train -opt FILE`."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli import session

if TYPE_CHECKING:
    import torch

    from restoration.options.schema import Options
    from restoration.train.run import Run

logger = logging.getLogger("restoration")
DEBUG_STEPS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument(
        "--auto_resume", action="store_true", help="go on from the newest state, if there is one"
    )


def for_debugging(options: "Options") -> "Options":
    """Shorten a run as BasicSR's --debug does: its own name, a few steps, everything logged.

    It ends with a validation on the first image of every set.
    """
    options = options.model_copy(deep=True)
    options.name = f"debug_{options.name}"
    if options.train is not None:
        options.train.total_iter = min(options.train.total_iter, DEBUG_STEPS)
        options.val.val_freq = options.train.total_iter
    for one in options.datasets.test.values():
        one.max_images = 1
    options.logger.print_freq = 1
    options.logger.save_checkpoint_freq = DEBUG_STEPS
    return options


def opening(run: "Run", device: "torch.device", processes: int) -> list[str]:
    """Lines that say what is about to train where, and what it has less of than was asked for."""
    trainer, asked = run.trainer, run.options.num_gpu
    count = sum(p.numel() for p in trainer.network.parameters())
    lines = [
        f"{run.options.network_g['type']} of {count:,} parameters on {device.type}, "
        f"{len(run.dataset)} images, step {run.start.step} of {run.recipe.total_iter}"
    ]
    if asked not in (0, "auto") and device.type == "cpu":
        lines.append(f"num_gpu is {asked}, but torch finds no GPU: training on the CPU")
    elif asked != "auto" and asked > processes:
        lines.append(
            f"num_gpu is {asked}, but {processes} process(es) train, and batches are per process: "
            f"torchrun --nproc-per-node {asked} -m restoration.train -opt FILE starts as many"
        )
    return lines


def changed_since(folder: Path, options: "Options") -> list[str]:
    """What differs from the options that the folder was last trained with."""
    from restoration.options.load import differing_keys, dump_yaml, parse_yaml

    before = folder / "options.yml"
    if not before.is_file():
        return []
    then, now = (parse_yaml(text) for text in (before.read_text("utf-8"), dump_yaml(options)))
    return [f"{key} {old} -> {new}" for key, old, new in differing_keys(then, now, absent=None)]


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.options.load import load_options

    options = load_options(arguments.opt, arguments.force_yml)
    if arguments.debug:
        options = for_debugging(options)
    folder = options.path.experiments_root / options.name
    with session.process_group(options) as device:
        train(options, folder, options.path.tb_root / options.name, device, arguments.auto_resume)


def train(
    options: "Options",
    folder: Path,
    tb_folder: Path,
    device,
    auto_resume: bool,
    with_notes: bool = True,
) -> Path:
    """Train into a folder, saying which metrics cannot be had; returns the last checkpoint."""
    from restoration.common import distributed
    from restoration.train import checkpoint
    from restoration.train.run import prepare, run_training

    state = checkpoint.latest_state(folder) if auto_resume else None
    state = state or options.path.resume_state
    run = prepare(options, device, state)
    goes_on = state is not None and folder.resolve() in state.resolve().parents
    changed = changed_since(folder, options) if goes_on else []
    session.open_folder(folder, keep=goes_on)
    if not goes_on:
        session.open_folder(tb_folder)
    session.write_run_files(options, folder, device)
    console = session.make_console()
    with session.logging_to(console, folder / "train.log"):
        session.note_ignored(options)
        for note in run.metrics.notes if with_notes else []:
            logger.info(note)
        for line in opening(run, device, distributed.world_size()):
            logger.info(line)
        if options.val.save_img:
            logger.info("val.save_img is for `restoration test`: a training writes no images")
        if state is not None:
            logger.info("going on from %s", state)
        if changed:
            logger.info("changed since: %s", "; ".join(changed))
        tb = tb_folder if options.logger.use_tb_logger else None
        last = run_training(run, folder, console, tb)
        logger.info("trained: %s", last)
    return last
