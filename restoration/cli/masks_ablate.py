"""`restoration masks ablate -opt FILE`: train variants of masks, measure all alike, one table."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from restoration.cli import masks_train, session

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from restoration.masks.ablation import Row
    from restoration.masks.options import AblationPlan, MaskOptions
    from restoration.masks.trainable import EnhancedMetric
    from restoration.opinion.table import OpinionTable

VARIANTS = "variants"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_option_file(parser)
    parser.add_argument(
        "--auto_resume",
        action="store_true",
        help="go on with an interrupted ablation; variants that are trained are not trained again",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.masks.options import load_ablation
    from restoration.options.load import dump_yaml

    plan = load_ablation(arguments.opt, arguments.force_yml)
    folder = Path("experiments") / plan.name
    console = session.make_console()
    for name, options in plan.variants.items():
        where = folder / VARIANTS / name
        if arguments.auto_resume and (where / "options.yml").is_file():
            masks_train.check_unchanged(options, where)
        try:
            masks_train.build_metric(options)
        except (ValueError, OSError) as error:
            raise type(error)(f"variant {name}: {error}") from error
    figure_pair(plan)
    test = masks_train.open_table(plan.settings.test, plan.seed, console)
    session.open_folder(folder, keep=arguments.auto_resume)
    (folder / "options.yml").write_text(dump_yaml(plan.settings), encoding="utf-8")
    for number, (name, options) in enumerate(plan.variants.items(), start=1):
        console.print(f"Variant {number} of {len(plan.variants)}: {name}", style="bold")
        where = folder / VARIANTS / name
        if (where / masks_train.SCORES).is_file():  # it is written last
            console.print("trained already")
            continue
        masks_train.train(options, where, folder / "tb_logger" / name, True, test)
    report(plan, folder, test, console)


def figure_pair(plan: "AblationPlan") -> "tuple[np.ndarray, np.ndarray]":
    """Reference and distorted image of the figure, (H, W, 3) uint8."""
    from restoration.data import open_source
    from restoration.degradations.distortions import distort

    given = plan.settings.figure
    reference = open_source(given.image).read(0)
    return reference, distort(reference, given.distortion, given.level, plan.seed)


def trained_metric(options: "MaskOptions", folder: Path) -> "EnhancedMetric":
    """The metric of a variant with the masks that it has trained."""
    return masks_train.build_metric(options).load(folder / masks_train.MASKS)


def report(plan: "AblationPlan", folder: Path, test: "OpinionTable", console: "Console") -> None:
    """Measure plain metrics and variants, write and print the table, draw the maps."""
    from restoration.masks.ablation import table_cells, write_table

    rows = measure(plan, folder, test, console)
    about = (
        f"Spearman correlation with held-out opinion ({plan.settings.test.type}): "
        f"{masks_train.describe(test)}; higher is better."
    )
    write_table(folder, rows, about)
    draw(plan, folder)
    heading, *lines = table_cells(rows)
    view = Table(heading[0], show_edge=False)
    for name in heading[1:]:
        view.add_column(name, justify="right")
    for line in lines:
        view.add_row(*line)
    session.print_table(console, view)
    console.print(about)
    console.print(f"{folder}: ablation.md, ablation.csv, error_maps.png")


def measure(
    plan: "AblationPlan", folder: Path, test: "OpinionTable", console: "Console"
) -> "list[Row]":
    """A row per plain metric, and one per variant."""
    import json

    from restoration.masks.ablation import Row
    from restoration.masks.outcome import agreement, distances

    plain, enhanced = {}, []
    kinds = {options.metric.model_dump_json() for options in plan.variants.values()}
    count = (len(kinds) + len(plan.variants)) * len(test.references)
    with session.progress_bar(console, "measuring", count) as advance:

        def row(metric: "EnhancedMetric", masked: bool, name: str, training: str) -> "Row":
            found = distances(lambda r, d: metric(r, d, masked), test, advance)
            return Row(name, training, *agreement(found, test, by_family=True))

        for name, options in plan.variants.items():
            where = folder / VARIANTS / name
            metric = trained_metric(options, where)
            key = options.metric.model_dump_json()
            if key not in plain:
                plain[key] = row(metric, False, f"plain {metric.kind.removeprefix('e-')}", "-")
            scores = json.loads((where / masks_train.SCORES).read_text(encoding="utf-8"))
            enhanced.append(row(metric, True, name, scores["training"]))
    return [*plain.values(), *enhanced]


def draw(plan: "AblationPlan", folder: Path) -> None:
    """Draw the error maps of one pair."""
    import losses
    from restoration.masks.ablation import error_map, maps_figure
    from restoration.opinion.pairs import to_tensor

    reference, distorted = figure_pair(plan)
    pair, maps, plain = (to_tensor([reference]), to_tensor([distorted])), {}, None
    for name, options in plan.variants.items():
        file = folder / VARIANTS / name / masks_train.MASKS
        metric = trained_metric(options, file.parent)
        if plain is None:
            title = f"plain {metric.kind.removeprefix('e-')}"
            plain = title, error_map(metric, *pair, masked=False)
        maps[name] = error_map(metric, *pair, scaler=losses.load_scaler(file))
    given = plan.settings.figure
    pictures = {"reference": reference, f"{given.distortion}, level {given.level:g}": distorted}
    maps_figure(folder / "error_maps.png", pictures, plain, maps)
