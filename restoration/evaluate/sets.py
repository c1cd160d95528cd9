"""From typed options to an evaluation: sets, metrics, result files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import losses
from restoration.archs import build_network, load_network
from restoration.archs.probe import PROBE_SIDE, check_network
from restoration.common import distributed
from restoration.common.folders import environment, write_json
from restoration.data import GreySource, Source, open_source
from restoration.evaluate.layouts import build_tables, latex, wide_markdown
from restoration.evaluate.measure import (
    PROTOCOL,
    EvaluationSet,
    Row,
    evaluate,
    noisy_and_restored,
    to_batch,
)
from restoration.evaluate.picture import denoising_figure
from restoration.evaluate.tables import (
    headings,
    markdown,
    summarize,
    table_rows,
    write_per_image,
)
from restoration.metrics import Metric, MetricUnavailable, as_rgb, build_metrics, error_strips
from restoration.options.datasets import TestSet
from restoration.options.schema import Options, TestRun

COLUMNS = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "e_mae": "E-MAE x100"}
LOWER_IS_BETTER = {"lpips", "e_mae"}
PICTURE_SIGMAS = 4


@dataclass
class Metrics:
    """The metrics that can be had, and a footnote for each optional one that cannot."""

    by_name: dict[str, Metric]
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        """Column headings: always the four of the publication, then what else was asked for."""
        extra = {name: m.label for name, m in self.by_name.items() if name not in COLUMNS}
        return COLUMNS | extra

    @property
    def directions(self) -> dict[str, bool]:
        """Whether higher is better, by column."""
        known = {name: name not in LOWER_IS_BETTER for name in COLUMNS}
        return known | {name: m.higher_is_better for name, m in self.by_name.items()}


def open_images(dataroot: str, channels: int) -> Source:
    """Open a `dataroot` as colour (3 channels) or grey (1) images."""
    source = open_source(dataroot)
    return GreySource(source) if channels == 1 else source


def open_sets(test: Mapping[str, TestSet]) -> dict[str, EvaluationSet]:
    """Open the test sets of an option file.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there is no picture in it, or one that cannot be read.
    """
    sets = {
        name: EvaluationSet(
            open_images(one.dataroot_gt, one.in_ch), tuple(one.sigma_test), one.max_images
        )
        for name, one in test.items()
    }
    for one in sets.values():
        for index in range(len(one)):
            one.source.size(index)  # reads the header
    return sets


def open_metrics(specs: Sequence[str | dict[str, Any]]) -> Metrics:
    """Build metrics before the work starts; one marked `optional` may be missing.

    Raises:
        ValueError: a metric is unknown or given twice under one name, or its weights are missing
            and it is not optional.
    """
    metrics = Metrics({})
    for spec in specs:
        options = {"type": spec} if isinstance(spec, str) else dict(spec)
        optional = options.pop("optional", False)
        try:
            (metric,) = build_metrics([options]).values()
        except MetricUnavailable as error:
            if not optional:
                raise
            metrics.notes.append(str(error))
            continue
        if metric.name in metrics.by_name:
            raise ValueError(
                f"val.metrics: expected every metric once, got two named {metric.name!r}: "
                "give one of them another `name`"
            )
        metrics.by_name[metric.name] = metric
    return metrics


def load_tested(options: Options, device: torch.device) -> nn.Module:
    """Build the network and load the checkpoint that the options name.

    Raises:
        ValueError: no checkpoint is named, or it does not fit, or the network not the images.
    """
    (run,) = options.checkpoints(options.name).values()
    return load_checkpoint(run, [one.in_ch for one in options.datasets.test.values()], device)


def load_checkpoint(run: TestRun, channels: Iterable[int], device: torch.device) -> nn.Module:
    """Build a network and load its checkpoint.

    Args:
        run: with nothing left to inherit.
        channels: of the images that it is made for, of every test set.
        device: where to compute.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the checkpoint does not fit the network, or the network not the images.
    """
    network = build_network(run.network_g)
    load_network(network, run.pretrain_network_g, run.param_key_g, run.strict_load_g)
    network.to(device)
    for one in sorted(set(channels)):
        check_network(network, one, PROBE_SIDE, device, padded=True)
    return network


@dataclass
class Report:
    """What an evaluation found: values per image, and their means."""

    rows: list[Row]
    summary: list[Row]
    metrics: Metrics

    @property
    def heads(self) -> list[str]:
        """Headings of the table."""
        return ["set", "sigma", "run", "n", *headings(self.metrics.labels, self.metrics.directions)]

    @property
    def table(self) -> list[list[str]]:
        """Rows of the table as text."""
        return table_rows(self.summary, list(self.metrics.labels))


def run_evaluation(
    network: nn.Module,
    sets: Mapping[str, EvaluationSet],
    metrics: Metrics,
    device: torch.device,
    run: str,
    tile: int | None = None,
    overlap: int = 32,
    on_image: Callable[..., None] | None = None,
    on_progress: Callable[[], None] | None = None,
) -> Report:
    """Evaluate and average. See `protocol.evaluate` for the arguments."""
    rows = evaluate(
        network,
        sets,
        metrics.by_name,
        device,
        run=run,
        tile=tile,
        overlap=overlap,
        on_image=on_image,
        on_progress=on_progress,
    )
    return Report(rows, summarize(rows, list(metrics.labels)), metrics)


def write_report(
    folder: Path,
    report: Report,
    seed: int,
    device: torch.device,
    protocol: str = PROTOCOL,
    more: Mapping[str, Any] | None = None,
    wide: bool = False,
) -> None:
    """Write results.json, per_image.csv, table.md and table.tex into a folder.

    Args:
        folder: where to write; it exists.
        report: what was found.
        seed: of the run.
        device: where it was computed.
        protocol: how it was measured, in words.
        more: further content of results.json.
        wide: table.md as publications print it, like table.tex: a row per run, a group of columns
            per noise level; else a row per set, noise level and run.
    """
    names = list(report.metrics.labels)
    content = {
        "rows": report.summary,
        "protocol": protocol,
        "metrics": {name: metric.scale for name, metric in report.metrics.by_name.items()},
        "notes": report.metrics.notes,
        "seed": seed,
        **environment(device, distributed.world_size()),
        **(more or {}),
    }
    write_json(folder / "results.json", content)
    write_per_image(folder / "per_image.csv", report.rows, names)
    notes = [protocol, *report.metrics.notes]
    tables = build_tables(report.summary, report.metrics.labels, report.metrics.directions)
    long = markdown(report.heads, report.table, notes)
    text = wide_markdown(tables, notes) if wide else long
    (folder / "table.md").write_text(text, encoding="utf-8")
    (folder / "table.tex").write_text(latex(tables, notes), encoding="utf-8")


def draw_picture(
    path: Path,
    network: nn.Module,
    one: EvaluationSet,
    device: torch.device,
    tile: int | None = None,
    overlap: int = 32,
    known: Mapping[float, tuple[Tensor, Tensor]] | None = None,
) -> None:
    """Draw the first image of a set at its noise levels (four at most).

    Args:
        path: PNG to write.
        network: on the device.
        one: the set.
        device: where to compute.
        tile: side of overlapping tiles, or None for whole images.
        overlap: pixels that tiles share.
        known: noisy and restored image by noise level, where the evaluation has them already.
    """
    loss = losses.EnhancedMAE()
    clean_image = one.source.read_float(0)
    clean = to_batch(clean_image, device)
    rows: list[tuple[str, Tensor, Tensor, Tensor, Tensor]] = []
    for sigma in one.sigmas[:PICTURE_SIGMAS]:
        found = (known or {}).get(sigma)
        noisy, restored = found or noisy_and_restored(
            network, clean_image, sigma, device, tile, overlap
        )
        strips = error_strips(loss, as_rgb(restored), as_rgb(clean))
        mask = torch.cat([mask for _, mask in strips], dim=2)
        rows.append((f"sigma {sigma:g}", noisy, restored, clean, mask))
    denoising_figure(path, rows)
