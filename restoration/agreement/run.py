"""How well metrics agree with quality ratings: measure every pair, compare, write all files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from restoration.agreement.measure import PairValues
from restoration.agreement.metrics import build_named
from restoration.agreement.plots import bar_figure, scatter_figure
from restoration.agreement.ratings import Ratings
from restoration.agreement.report import AgreementReport, compare, write_agreement
from restoration.common import distributed
from restoration.common.folders import environment
from restoration.common.progress import Progress, no_progress

FILES = ("table.md", "scores.csv", "scores.json", "per_pair.csv", "scatter.png", "bars.png")


def evaluate_metrics(
    ratings: Ratings,
    metrics: Sequence[str],
    folder: str | Path,
    *,
    backbone: str = "embedded",
    masks: Sequence[str] = (),
    num_resamples: int = 1000,
    seed: int = 0,
    device: str | torch.device = "cpu",
    about: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> AgreementReport:
    """Compare metrics with ratings, and write tables and figures.

    Args:
        ratings: from `human_ratings`, `calibrated_ratings` or `pseudo_ratings`.
        metrics: names, see `agreement.metrics`.
        folder: where results go; values that an earlier run measured there are used again.
        backbone: of vgg and e-vgg where they name none.
        masks: mask files of enhanced metrics that name none.
        num_resamples: bootstrap resamples of the references; 0 for no intervals.
        seed: of the bootstrap.
        device: where the metrics are computed.
        about: further content of scores.json.
        progress: shows how many pairs are measured.

    Raises:
        FileNotFoundError: weights or images are missing.
        ValueError: an unknown metric, or an image that cannot be measured.
    """
    if num_resamples < 0:
        raise ValueError(f"expected a number of resamples of 0 or more, got {num_resamples}")
    place = distributed.choose_device(str(device))
    named = build_named(metrics, backbone, masks)
    functions = {**ratings.teachers, **{metric.label: metric.function for metric in named}}
    pairs = ratings.pairs
    values = PairValues(pairs, functions, Path(folder), place)
    if values.num_missing:
        with progress("measuring", values.num_missing) as advance:
            values.measure(advance)
    scores = ratings.scores(values)
    values.save(scores)
    measured = {metric.label: values[metric.label] for metric in named}
    report = compare(
        named, measured, scores, pairs.references, pairs.categories, num_resamples, seed
    )
    content = {"data": ratings.description, **(about or {}), **environment(place)}
    write_agreement(Path(folder), report, content)
    scatter_figure(
        Path(folder) / "scatter.png",
        named,
        measured,
        scores,
        pairs.categories,
        report,
        ratings.axis_label,
    )
    bar_figure(Path(folder) / "bars.png", named, report)
    return report
