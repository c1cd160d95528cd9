"""`restoration test -opt FILE`."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from restoration.cli import session
from restoration.cli.progress import Work

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from restoration.evaluate.benchmark import Benchmark
    from restoration.evaluate.sets import Report
    from restoration.options.schema import Options

logger = logging.getLogger("restoration")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="go on from what an interrupted test left, where weights, protocol, metrics and "
        "images are the same",
    )


def for_debugging(options: "Options") -> "Options":
    """Shorten a test: its own name, the first image of every set."""
    options = options.model_copy(deep=True)
    options.name = f"debug_{options.name}"
    for one in options.datasets.test.values():
        one.max_images = 1
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.options.load import load_options

    options = load_options(arguments.opt, arguments.force_yml)
    if arguments.debug:
        options = for_debugging(options)
    folder = options.path.results_root / options.name
    with session.process_group(options) as device:
        test(options, folder, device, run_name=options.name, resume=arguments.auto_resume)


def test(
    options: "Options",
    folder: Path,
    device,
    run_name: str,
    keep_folder: bool = False,
    resume: bool = False,
) -> "Report":
    """Evaluate what the options name, and write and print what was found.

    Args:
        options: a whole option file.
        folder: where the results go.
        device: where to compute.
        run_name: name of the rows of `path.pretrain_network_g`.
        keep_folder: the folder belongs to a run whose options are already there.
        resume: use what an earlier test left in the folder.
    """
    from restoration.common import distributed
    from restoration.evaluate import benchmark as benchmarks

    benchmark = benchmarks.prepare(options, device, run_name)
    session.open_folder(folder, keep=keep_folder or resume)
    if not keep_folder:
        session.write_run_files(options, folder, device)
    console = session.make_console()
    with session.logging_to(console, folder / "test.log"):
        for note in benchmark.notes:
            logger.warning(note)
        first = _FirstPicture(benchmark)
        report = _evaluate(benchmark, folder, console, resume, first)
        if distributed.rank() == 0:
            _write(benchmark, report, folder, console, first)
    return report


def is_single(options: "Options") -> bool:
    """Whether one checkpoint is tested, beside its noisy input at most."""
    checkpoint = not options.runs.by_name and options.network_g is not None
    return checkpoint and set(options.baselines) <= {"noisy"}


class _FirstPicture:
    """Keeps what the picture shows, where one is drawn: the first image of the first set."""

    def __init__(self, benchmark: "Benchmark"):
        from restoration.evaluate.sets import PICTURE_SIGMAS

        self.set, one = next(iter(benchmark.sets.items()))
        self.image = one.source.names[0]
        self.sigmas = one.sigmas[:PICTURE_SIGMAS] if is_single(benchmark.options) else ()
        self.checkpoints = {name for name, run in benchmark.runs.items() if run.network is not None}
        self.known: dict[float, tuple[Tensor, Tensor]] = {}

    def __call__(self, run: str, name: str, image: str, sigma: float, *tensors: "Tensor") -> None:
        """Keep noisy and restored image of a checkpoint."""
        shown = sigma in self.sigmas and (name, image) == (self.set, self.image)
        if shown and run in self.checkpoints:
            self.known[sigma] = (tensors[0], tensors[1])


def _evaluate(
    benchmark: "Benchmark",
    folder: Path,
    console: "Console",
    resume: bool,
    first: _FirstPicture,
) -> "Report":
    from restoration.common import distributed
    from restoration.evaluate.benchmark import run_benchmark

    single = is_single(benchmark.options)
    names = {name: picture_names(one.source.names) for name, one in benchmark.sets.items()}
    writer = _image_writer(folder / "visualization", names, by_run=not single)

    def on_result(*result) -> None:
        first(*result)
        if benchmark.options.val.save_img:
            writer(*result)

    try:
        with Work(console, "evaluating", visible=distributed.rank() == 0) as work:
            return run_benchmark(
                benchmark,
                folder,
                resume,
                on_result=on_result,
                on_progress=work.update,
            )
    except KeyboardInterrupt:
        logger.info("interrupted: finished pictures are kept; go on with --auto_resume")
        raise


def _write(
    benchmark: "Benchmark",
    report: "Report",
    folder: Path,
    console: "Console",
    shown: _FirstPicture,
) -> None:
    """Write the result files, and print the table."""
    from restoration.evaluate import benchmark as benchmarks
    from restoration.evaluate import sets

    options, device = benchmark.options, benchmark.device
    single = is_single(options)
    more = benchmarks.origins(benchmark)
    if options.val.tile_report:
        more["tiles"] = benchmarks.tile_differences(benchmark)
        report.metrics.notes += tile_notes(more["tiles"], options.val.tile)
    sets.write_report(
        folder, report, options.manual_seed, device, benchmark.protocol, more, wide=not single
    )
    names = ["results.json", "per_image.csv", "table.md", "table.tex"]
    if single:
        (network,) = [run.network for run in benchmark.runs.values() if run.network is not None]
        first = next(iter(benchmark.sets.values()))
        tiles = (options.val.tile, options.val.tile_overlap)
        sets.draw_picture(folder / "picture.png", network, first, device, *tiles, shown.known)
        names.append("picture.png")
    if options.val.save_img:
        names.append("visualization/")
    if report.metrics.by_name:
        print_report(report, console, only_average=not single)
    logger.info("written: %s (%s)", folder, ", ".join(names))


def tile_notes(differences: list[dict], tile: int | None) -> list[str]:
    """Say in one line per run how much tiles change."""
    if not differences:
        return [f"no image is larger than a tile of {tile} pixels: tiles change nothing"]
    notes = []
    for run in dict.fromkeys(one["run"] for one in differences):
        own = [one for one in differences if one["run"] == run]
        changes = ", ".join(f"{one['psnr_change']:+.3f} dB at {one['sigma']:g}" for one in own)
        largest = max(one["max_abs"] for one in own)
        notes.append(
            f"tiles of {tile} pixels against the whole {own[0]['set']}/{own[0]['image']}, {run}: "
            f"{changes}; largest difference {largest:.1f} of 255"
        )
    return notes


def picture_names(names: list[str]) -> dict[str, str]:
    """What the restored images of a set are called, by the name of the image.

    That of the image without its extension; with it in the whole set where two images, such as
    a.jpg and a.png, would be written to one file.
    """
    bare = {name: str(Path(name).with_suffix("")) for name in names}
    distinct = len(set(bare.values())) == len(bare)
    return bare if distinct else {name: name for name in names}


def _image_writer(folder: Path, names: dict[str, dict[str, str]], by_run: bool):
    """Return a function that writes restored images, [<run>/]<set>/<folder/image>_sigma<N>.png."""
    from restoration.data import write_png

    def write(
        run: str,
        name: str,
        image: str,
        sigma: float,
        noisy: "Tensor",
        restored: "Tensor",
        clean: "Tensor",
    ) -> None:
        if run == "noisy" and not by_run:
            return
        below = folder / run if by_run else folder
        path = below / name / f"{names[name][image]}_sigma{sigma:g}.png"
        pixels = (restored[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        write_png(path, pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    return write


def print_report(report: "Report", console: "Console", only_average: bool = False) -> None:
    """Print the table and its footnotes; of several sets only the average, if so wanted."""
    from restoration.evaluate.tables import AVERAGE

    rows = report.table
    if only_average and any(row[0] == AVERAGE for row in rows):
        rows = [row for row in rows if row[0] == AVERAGE]
    table = Table(show_edge=False)
    for number, head in enumerate(report.heads):
        table.add_column(head, justify="left" if number in (0, 2) else "right", no_wrap=True)
    previous = None
    for row in rows:
        group = tuple(row[:2])
        if previous is not None and group[0] != previous[0]:
            table.add_section()
        table.add_row(*row)
        previous = group
    session.print_table(console, table)
    for note in report.metrics.notes:
        console.print(f"- {note}")
