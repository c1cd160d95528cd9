"""`restoration train -opt FILE`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from restoration.cli import session

if TYPE_CHECKING:
    from restoration.options.schema import Options

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
    from restoration.train import checkpoint
    from restoration.train.prepared import train_prepared
    from restoration.train.run import prepare

    state = checkpoint.latest_state(folder) if auto_resume else None
    state = state or options.path.resume_state
    run = prepare(options, device, state)
    console = session.make_console()
    notes = run.metrics.notes if with_notes else []
    with session.logging_to(console, None):
        return train_prepared(run, folder, tb_folder, state, console, notes)
