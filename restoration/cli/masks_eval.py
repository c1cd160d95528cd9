"""`restoration masks eval`: how far metrics, plain and enhanced, agree with opinion."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from restoration.cli import session
from restoration.cli.masks_verify import KINDS, add_csv_arguments, open_data

if TYPE_CHECKING:
    import numpy as np

    from restoration.agreement.measure import Function, PairValues
    from restoration.agreement.report import AgreementReport
    from restoration.opinion.people import Pairs

DEFAULT_METRICS = "mae,e-mae,psnr,e-psnr,ssim,e-ssim,vgg,e-vgg"
TEACHER = "teacher "  # before the name of a metric that pseudo-opinion is made of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--data",
        required=True,
        metavar="KIND:PATH",
        help=f"{KINDS}; or pseudo:DIR for pseudo-opinion on a folder of clean photographs",
    )
    add_csv_arguments(parser)
    parser.add_argument(
        "--metrics",
        default=DEFAULT_METRICS,
        metavar="NAMES",
        help="comma-separated loss types or metrics; e-mae=FILE for other masks, "
        "lpips:net=vgg for arguments (default: %(default)s)",
    )
    parser.add_argument(
        "--backbone",
        default="embedded",
        help="backbone of vgg and e-vgg: embedded, vgg16, vgg19 (default: %(default)s)",
    )
    parser.add_argument(
        "--masks",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="masks of an enhanced metric (e-mae=FILE), or of all that name none; repeatable",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="result folder (default: results/masks_<data>)"
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap resamples of the references; 0 for no intervals (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap and of pseudo:")
    pseudo = parser.add_argument_group("pseudo-opinion (pseudo:)")
    pseudo.add_argument(
        "--distortions", metavar="NAMES", help="comma-separated kinds (default: KADID-10k's 25)"
    )
    pseudo.add_argument(
        "--levels", default="1,2,3,4,5", metavar="LIST", help="levels (default: %(default)s)"
    )
    pseudo.add_argument(
        "--references", type=int, metavar="N", help="number of photographs (default: all)"
    )
    pseudo.add_argument(
        "--size",
        default="whole",
        metavar="whole|N",
        help="whole photographs, or a square of N pixels from the middle (default: %(default)s)",
    )
    pseudo.add_argument(
        "--teachers",
        metavar="NAMES",
        help="comma-separated metrics whose mean rank is the score, or held-out for those that no "
        "shipped mask was trained on (default: the ones masks are trained on)",
    )
    pseudo.add_argument(
        "--by-family", action="store_true", help="categories are families (blur, noise, ...)"
    )


@dataclass
class Opinion:
    """Pairs, the metrics that make their scores if nobody was asked, and words for both."""

    pairs: "Pairs"
    name: str
    text: str
    axis: str
    teachers: "Mapping[str, Function]"

    def scores(self, values: "PairValues") -> "np.ndarray":
        """(N,) opinions, higher is better."""
        if not self.teachers:
            return self.pairs.scores
        from restoration.opinion.teachers import ensemble

        return ensemble({name: values[name] for name in self.teachers})


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.agreement.measure import PairValues
    from restoration.agreement.metrics import build_named
    from restoration.agreement.report import compare

    if arguments.resamples < 0:
        raise ValueError(f"expected --resamples 0 or more, got {arguments.resamples}")
    opinion = open_opinion(arguments)
    metrics = build_named(split(arguments.metrics), arguments.backbone, arguments.masks)
    folder = arguments.out or Path("results") / f"masks_{opinion.name}"
    console = session.make_console()
    functions = {**opinion.teachers, **{m.label: m.function for m in metrics}}
    values = PairValues(opinion.pairs, functions, folder)
    if values.num_missing:
        with session.progress_bar(console, "measuring", values.num_missing) as advance:
            values.measure(advance)
    scores = opinion.scores(values)
    values.save(scores)
    measured = {metric.label: values[metric.label] for metric in metrics}
    pairs = opinion.pairs
    report = compare(
        metrics,
        measured,
        scores,
        pairs.references,
        pairs.categories,
        arguments.resamples,
        arguments.seed,
    )
    write(folder, opinion, arguments, report)
    from restoration.agreement.plots import bar_figure, scatter_figure

    scatter = (metrics, measured, scores, pairs.categories, report, opinion.axis)
    scatter_figure(folder / "scatter.png", *scatter)
    bar_figure(folder / "bars.png", metrics, report)
    show(report, opinion, folder)


def split(text: str) -> list[str]:
    """Parts of a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def open_opinion(arguments: argparse.Namespace) -> Opinion:
    """Open what --data names; options of the other kind of data are an error."""
    kind, _, path = arguments.data.partition(":")
    if kind != "pseudo":
        data = open_data(arguments)
        for name in ("distortions", "references", "teachers", "by_family"):
            if getattr(arguments, name):
                raise ValueError(f"--{name.replace('_', '-')} is for pseudo: alone")
        low, high = data.score_range
        text = (
            f"{data.name}: {len(data)} pairs, {len(set(data.references))} references; "
            f"{data.direction} in [{low:g}, {high:g}], higher is better here."
        )
        return Opinion(data, data.name, text, f"opinion [{low:g}, {high:g}]", {})
    return open_pseudo(arguments, path)


def open_pseudo(arguments: argparse.Namespace, dataroot: str) -> Opinion:
    """Pseudo-opinion on a folder of photographs."""
    if arguments.direction or arguments.range:
        raise ValueError("--direction and --range are for csv: alone")
    if not dataroot:
        raise ValueError("expected pseudo:DIR with a folder of clean photographs")
    if arguments.size != "whole" and not arguments.size.isdigit():
        raise ValueError(f"expected --size whole or a number of pixels, got {arguments.size!r}")
    chosen = open_teachers(arguments.teachers)
    from restoration.opinion.pseudo import PseudoPairs

    pairs = PseudoPairs(
        dataroot,
        split(arguments.distortions) if arguments.distortions else None,
        tuple(numbers(arguments.levels)),
        arguments.references,
        None if arguments.size == "whole" else int(arguments.size),
        arguments.seed,
        arguments.by_family,
    )
    place = "whole" if arguments.size == "whole" else f"{arguments.size}x{arguments.size} cuts"
    text = (
        f"Pseudo-opinion, no human scores: {dataroot}, {len(set(pairs.references))} photographs, "
        f"{place}, {len(pairs)} pairs; mean rank of {', '.join(chosen)}, in [0, 1]."
    )
    name = "pseudo_" + re.sub(r"\W+", "_", Path(dataroot).name)
    teachers = {f"{TEACHER}{name}": function for name, function in chosen.items()}
    return Opinion(pairs, name, text, "pseudo-opinion (mean rank)", teachers)


def open_teachers(text: str | None) -> "dict[str, Function]":
    """Metrics that pseudo-opinion is made of, by name."""
    try:
        from restoration.opinion.teachers import HELD_OUT_TEACHERS, TEACHERS
    except ImportError as error:
        raise ValueError("pseudo: needs piq: pip install 'restoration[masks]'") from error
    groups = {None: TEACHERS, "held-out": HELD_OUT_TEACHERS}
    if text in groups:
        return groups[text]
    known = {**TEACHERS, **HELD_OUT_TEACHERS}
    names = split(text)
    if not names or (unknown := [name for name in names if name not in known]):
        wrong = unknown[0] if names else text
        raise ValueError(f"expected --teachers of {', '.join(known)} or held-out, got {wrong!r}")
    return {name: known[name] for name in names}


def numbers(text: str) -> list[float]:
    """Numbers of a comma-separated list."""
    try:
        return [float(part) for part in split(text)]
    except ValueError as error:
        raise ValueError(f"expected numbers such as 1,3,5, got {text!r}") from error


def write(
    folder: Path, opinion: Opinion, arguments: argparse.Namespace, report: "AgreementReport"
) -> None:
    """Write the tables, with what made them."""
    import torch

    from restoration.agreement.report import write_agreement
    from restoration.common.folders import environment

    given = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in vars(arguments).items()
        if not callable(value) and key not in ("command", "masks_command")
    }
    about = {"data": opinion.text, "arguments": given, **environment(torch.device("cpu"))}
    write_agreement(folder, report, about)


def show(report: "AgreementReport", opinion: Opinion, folder: Path) -> None:
    """Print SROCC per category and all statistics over all pairs."""
    from restoration.agreement.report import ALL, HEADINGS, format_cell

    console = session.make_console()
    console.print(opinion.text)
    view = Table("metric", show_edge=False)
    for name in HEADINGS.values():
        view.add_column(name, justify="right")
    view.add_column("SROCC 95 %", justify="right")
    for metric in report.metrics:
        row = report.row(metric, ALL)
        low, high = row["srocc_low"], row["srocc_high"]
        ends = "-" if low is None else f"{low:.3f} .. {high:.3f}"
        view.add_row(metric, *[format_cell(row, name) for name in HEADINGS], ends)
    session.print_table(console, view)
    for note in report.notes[-1:] if not all(r["logistic"] for r in report.rows) else []:
        console.print(note)
    names = "table.md (per category), scores.csv, scores.json, per_pair.csv, scatter.png, bars.png"
    console.print(f"{folder}: {names}")
