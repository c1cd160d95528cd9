"""A whole test: check, measure, and write what was found into a folder."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration.common import distributed
from restoration.common.log import log_file
from restoration.degradations.conditions import Condition
from restoration.evaluate.benchmark import Benchmark, origins, prepare, run_benchmark
from restoration.evaluate.images import image_writer
from restoration.evaluate.measure import NOISY, OnProgress
from restoration.evaluate.picture import PICTURE_CONDITIONS, Shown, draw_picture, shown_with_mask
from restoration.evaluate.report import Report, write_report
from restoration.evaluate.tiles import tile_differences, tile_notes
from restoration.options.run_folder import note_ignored, own_folder, write_run_files
from restoration.options.schema import Options

logger = logging.getLogger("restoration")


def run_test(
    options: Options,
    folder: Path,
    device: torch.device,
    run_name: str | None = None,
    keep_folder: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Report:
    """Evaluate what the options name, and write what was found; test.log keeps the log.

    Args:
        options: a whole option file.
        folder: where the results go.
        device: where to compute.
        run_name: name of the rows of `path.pretrain_network_g`; that of the options if absent.
        keep_folder: the folder belongs to a run whose options are already there.
        resume: use what an earlier test left in the folder.
        on_progress: see `evaluate_runs`.

    Returns:
        Values per image and their means.

    Raises:
        FileNotFoundError: a folder, a checkpoint or weights are missing.
        ValueError: an image is missing or unreadable, or something does not fit.
    """
    benchmark = prepare(options, device, run_name or options.name)
    with own_folder(folder, keep=keep_folder or resume):
        if not keep_folder:
            write_run_files(options, folder, device)
        with log_file(folder / "test.log"):
            note_ignored(options)
            for note in benchmark.notes:
                logger.warning(note)
            first = FirstImage(benchmark)
            report = _measure(benchmark, folder, resume, first, on_progress)
            if distributed.rank() == 0:
                _write(benchmark, report, folder, first)
    return report


def is_single(options: Options) -> bool:
    """Whether one checkpoint is tested, beside its noisy input at most."""
    checkpoint = options.network_g is not None or options.path.pretrain_network_g is not None
    return not options.runs.by_name and checkpoint and set(options.baselines) <= {NOISY}


def for_debugging(options: Options) -> Options:
    """Shorten a test: its own name, the first image of every set."""
    options = options.model_copy(deep=True)
    options.name = f"debug_{options.name}"
    for test_set in options.datasets.test.values():
        test_set.max_images = 1
    return options


class FirstImage:
    """Keeps what the picture shows, where one is drawn: the first image of the first set.

    What is kept has the size of the picture, not that of the image.
    """

    def __init__(self, benchmark: Benchmark):
        self.set, test_set = next(iter(benchmark.sets.items()))
        self.image = test_set.source.names[0]
        drawn = is_single(benchmark.options)
        self.conditions = test_set.conditions[:PICTURE_CONDITIONS] if drawn else ()
        self.checkpoints = {name for name, run in benchmark.runs.items() if run.network is not None}
        self.known: dict[Condition, Shown] = {}

    def __call__(
        self, run: str, name: str, image: str, condition: Condition, *tensors: Tensor
    ) -> None:
        """Keep noisy, restored and clean image of a checkpoint."""
        drawn = condition in self.conditions and (name, image) == (self.set, self.image)
        if drawn and run in self.checkpoints:
            self.known[condition] = shown_with_mask(*tensors)


def _measure(
    benchmark: Benchmark,
    folder: Path,
    resume: bool,
    first: FirstImage,
    on_progress: OnProgress | None,
) -> Report:
    by_run = not is_single(benchmark.options)
    write = image_writer(folder / "visualization", benchmark.sets, by_run)

    def on_result(*result: Any) -> None:
        first(*result)
        if benchmark.options.val.save_img:
            write(*result)

    try:
        return run_benchmark(benchmark, folder, resume, on_result, on_progress)
    except KeyboardInterrupt:
        logger.info("interrupted: finished images are kept; continue with --auto_resume")
        raise


def _write(benchmark: Benchmark, report: Report, folder: Path, first: FirstImage) -> None:
    """Write the result files."""
    options, device = benchmark.options, benchmark.device
    single = is_single(options)
    more = origins(benchmark)
    if options.val.tile_report:
        more["tiles"] = tile_differences(benchmark)
        report.metrics.notes += tile_notes(more["tiles"], options.val.tile)
    names = write_report(
        folder, report, options.manual_seed, device, benchmark.protocol, more, wide=not single
    )
    if single:
        (denoise,) = [run.denoise for run in benchmark.runs.values() if run.network is not None]
        test_set = benchmark.sets[first.set]
        draw_picture(folder / "picture.png", denoise, test_set, device, first.known)
        names.append("picture.png")
    if options.val.save_img:
        names.append("visualization/")
    logger.info("written: %s (%s)", folder, ", ".join(names))
