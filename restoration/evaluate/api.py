"""`restoration.test`: evaluate what options name, and write what was found into a folder."""

from pathlib import Path
from typing import Any

import torch

from restoration.common import distributed
from restoration.evaluate.measure import OnProgress
from restoration.evaluate.report import Report
from restoration.evaluate.run import for_debugging, run_test
from restoration.options.given import Given, resolve
from restoration.options.schema import Options


def test(
    options: Given,
    *,
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    resume: bool = False,
    debug: bool = False,
    keep_folder: bool = False,
    on_progress: OnProgress | None = None,
    **overrides: Any,
) -> Report:
    """Test checkpoints and baselines as options describe.

    Args:
        options: path of an option file, the mapping that such a file holds, or `Options`.
        folder: of the results; default: `<path.results_root>/<name>`. One that holds an earlier
            test is archived under another name, unless that test is resumed.
        device: where to compute, such as "cuda:1"; default: what `num_gpu` says.
        resume: use what an interrupted test left in the folder.
        debug: the first image of every set alone.
        keep_folder: the folder is that of a training, whose options it keeps.
        on_progress: told how far the test is, see `evaluate_runs`.
        **overrides: top-level keys of the options, as in `val={"metrics": ["psnr"]}`.

    Returns:
        Values per image, and their means.

    Raises:
        FileNotFoundError: images, a checkpoint, weights or the option file are missing.
        ValueError: what is wrong in the options, or what does not fit.
    """
    resolved = resolve(options, overrides, Options)
    if debug:
        resolved = for_debugging(resolved)
    folder = Path(folder or resolved.path.results_root / resolved.name)
    asked = resolved.num_gpu if device is None else str(device)
    processes = resolved.dist_params
    with distributed.process_group(asked, processes.backend, processes.timeout_minutes) as used:
        return run_test(
            resolved,
            folder,
            used,
            keep_folder=keep_folder,
            resume=resume,
            on_progress=on_progress,
        )


test.__test__ = False  # type: ignore[attr-defined]  # no test case, whatever pytest makes of its name
