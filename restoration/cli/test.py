"""`restoration test -opt FILE`."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from restoration.cli import session

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor, nn

    from restoration.evaluate.recipe import Report
    from restoration.options import Options

logger = logging.getLogger("restoration")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_option_file(parser)


def for_debugging(options: "Options") -> "Options":
    """Shorten a test: its own name, the first image of every set."""
    options = options.model_copy(deep=True)
    options.name = f"debug_{options.name}"
    for one in options.datasets.test.values():
        one.max_images = 1
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.options_file import load_options

    options = load_options(arguments.opt, arguments.force_yml)
    if arguments.debug:
        options = for_debugging(options)
    folder = options.path.results_root / options.name
    with session.process_group(options) as device:
        test(options, folder, device, run_name=options.name)


def test(
    options: "Options", folder: Path, device, run_name: str, keep_folder: bool = False
) -> "Report":
    """Evaluate the checkpoint that the options name, and write and print what was found."""
    from restoration import distributed
    from restoration.evaluate import recipe

    sets = recipe.open_sets(options.datasets.test)
    if not sets:
        raise ValueError("a test needs a test set: add one under `datasets`")
    metrics = recipe.open_metrics(options.val.metric_specs)
    network = recipe.load_tested(options, device)
    session.open_folder(folder, keep=keep_folder)
    if not keep_folder:
        session.write_run_files(options, folder, device)
    console = session.make_console()
    with session.logging_to(console, folder / "test.log"):
        report = _evaluate(options, network, sets, metrics, device, run_name, folder, console)
        if distributed.rank() == 0:
            recipe.write_report(folder, report, options.manual_seed, device)
            first = next(iter(sets))
            picture = folder / "picture.png"
            recipe.draw_picture(
                picture, network, sets[first], device, options.val.tile, options.val.tile_overlap
            )
            print_report(report, console)
            logger.info("written: %s (results.json, per_image.csv, table.md, picture.png)", folder)
    return report


def _evaluate(options, network: "nn.Module", sets, metrics, device, run_name, folder, console):
    from restoration import distributed
    from restoration.evaluate import recipe

    mine = len(range(distributed.rank(), sum(map(len, sets.values())), distributed.world_size()))
    steps = sum(len(one) * len(one.sigmas) for one in sets.values())
    visible = console.is_terminal and distributed.rank() == 0
    with Progress(
        TextColumn("evaluating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not visible,
    ) as bar:
        share = mine / max(1, sum(map(len, sets.values())))
        task = bar.add_task("evaluating", total=max(1, round(steps * share)))
        return recipe.run_evaluation(
            network,
            sets,
            metrics,
            device,
            run_name,
            options.val.tile,
            options.val.tile_overlap,
            on_image=_image_writer(folder / "visualization") if options.val.save_img else None,
            on_progress=lambda: bar.advance(task),
        )


def _image_writer(folder: Path):
    """Return a function that writes restored images, <set>/<folder/image>_sigma<N>.png."""
    from restoration.data import write_png

    def write(
        name: str, image: str, sigma: float, noisy: "Tensor", restored: "Tensor", clean: "Tensor"
    ) -> None:
        path = folder / name / f"{Path(image).with_suffix('')}_sigma{sigma:g}.png"
        pixels = (restored[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        write_png(path, pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    return write


def print_report(report: "Report", console: "Console") -> None:
    """Print the table and its footnotes."""
    table = Table(show_edge=False)
    for number, head in enumerate(report.heads):
        table.add_column(head, justify="left" if number in (0, 2) else "right", no_wrap=True)
    previous = None
    for row in report.table:
        group = tuple(row[:2])
        if previous is not None and group[0] != previous[0]:
            table.add_section()
        table.add_row(*row)
        previous = group
    console.print(table)
    for note in report.metrics.notes:
        console.print(f"- {note}")
