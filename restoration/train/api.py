"""A whole training in its folder: options, checks, log, checkpoints, and going on after a stop."""

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from restoration.common import distributed
from restoration.options.given import Given, resolve
from restoration.options.schema import Options
from restoration.train.prepared import train_prepared
from restoration.train.run import prepare
from restoration.train.states import newest_whole

DEBUG_STEPS = 8


def train(
    options: Given,
    *,
    folder: str | Path | None = None,
    tb_folder: str | Path | None = None,
    device: str | torch.device | None = None,
    resume: bool = False,
    debug: bool = False,
    console: Console | None = None,
    **overrides: Any,
) -> Path:
    """Train a network as options describe, in a folder that explains the run.

    Args:
        options: path of an option file, the mapping that such a file holds, or `Options`.
        folder: of the run; default: `<path.experiments_root>/<name>`. One that holds an earlier
            run is archived under another name, unless that run is resumed.
        tb_folder: of TensorBoard's events; default: `<path.tb_root>/<name>`.
        device: where to compute, such as "cuda:1"; default: what `num_gpu` says.
        resume: continue from the newest training state in the folder that is whole, if any.
        debug: a few steps alone, see `for_debugging`.
        console: where a progress bar is shown; messages go to the logger `restoration`.
        **overrides: top-level keys of the options, as in `train={"total_iter": 1000}`.

    Returns:
        The checkpoint of the last step.

    Raises:
        FileNotFoundError: images, weights or the option file are missing.
        ValueError: what is wrong in the options, or what does not fit.
        FloatingPointError: the loss or the gradient is not finite, too often in a row.
        KeyboardInterrupt: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, or the end of `train.max_hours`; the
            last step is saved.
    """
    resolved = resolve(options, overrides, Options)
    if debug:
        resolved = for_debugging(resolved)
    folder = Path(folder or resolved.path.experiments_root / resolved.name)
    tb_folder = Path(tb_folder or resolved.path.tb_root / resolved.name)
    asked = resolved.num_gpu if device is None else str(device)
    processes = resolved.dist_params
    with distributed.process_group(asked, processes.backend, processes.timeout_minutes) as used:
        newest, passed_over = newest_whole(folder) if resume else (None, [])
        state = newest or resolved.path.resume_state
        run = prepare(resolved, used, state)
        notes = [*passed_over, *run.metrics.notes]
        return train_prepared(run, folder, tb_folder, state, console, notes)


def for_debugging(options: Options) -> Options:
    """Shorten a run as BasicSR's --debug does: its own name, a few steps, everything logged.

    It ends with a validation on the first image of every set.
    """
    options = options.model_copy(deep=True)
    options.name = f"debug_{options.name}"
    if options.train is not None:
        options.train.total_iter = min(options.train.total_iter, DEBUG_STEPS)
        options.val.val_freq = options.train.total_iter
    for test_set in options.datasets.test.values():
        test_set.max_images = 1
    options.logger.print_freq = 1
    options.logger.wandb.project = None
    options.logger.save_checkpoint_freq = DEBUG_STEPS
    return options
