"""What an evaluation found, and the files that say it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restoration.common import distributed
from restoration.common.folders import environment, write_json
from restoration.evaluate.layouts import latex, markdown_tables
from restoration.evaluate.measure import PROTOCOL
from restoration.evaluate.rows import (
    Mean,
    Row,
    condition_columns,
    metric_columns,
    only_gaussian,
    plain_means,
)
from restoration.evaluate.tables import long_table, wide_tables
from restoration.metrics import Metrics


@dataclass
class Report:
    """What an evaluation found: values per image, and their means."""

    rows: list[Row]
    means: list[Mean]
    metrics: Metrics


def write_report(
    folder: Path,
    report: Report,
    seed: int,
    device: torch.device,
    protocol: str = PROTOCOL,
    more: Mapping[str, Any] | None = None,
    wide: bool = False,
) -> list[str]:
    """Write results.json, per_image.csv and, where there are metrics, table.md and table.tex.

    Args:
        folder: where to write; it exists.
        report: what was found.
        seed: of the run.
        device: where it was computed.
        protocol: how it was measured, in words.
        more: further content of results.json.
        wide: table.md as publications print it, like table.tex: a line per run, a group of columns
            per condition; else a line per set, condition and run.

    Returns:
        Names of the files.
    """
    metrics = report.metrics
    content = {
        "rows": plain_means(report.means),
        "protocol": protocol,
        "metrics": {name: metric.scale for name, metric in metrics.by_name.items()},
        "notes": metrics.notes,
        "seed": seed,
        **environment(device, distributed.world_size()),
        **(more or {}),
    }
    write_json(folder / "results.json", content)
    write_per_image(folder / "per_image.csv", report.rows)
    if not metrics.by_name:
        return ["results.json", "per_image.csv"]
    notes = [protocol, *metrics.notes]
    tables = wide_tables(report.means, metrics.columns)
    shown = tables if wide else [long_table(report.means, metrics.columns)]
    (folder / "table.md").write_text(markdown_tables(shown, notes), encoding="utf-8")
    (folder / "table.tex").write_text(latex(tables, notes), encoding="utf-8")
    return ["results.json", "per_image.csv", "table.md", "table.tex"]


def write_per_image(path: Path, rows: Sequence[Row]) -> None:
    """Write every value of every image, enough to compute each figure of the tables again.

    The condition is `sigma` where all are Gaussian noise, else `degradation` and `level`. Rows of
    trainings with several seeds have a `seed`; it is empty where others have none. A metric that is
    called like one of these columns is written as `metric_<name>`.
    """
    sigma = only_gaussian(row.condition for row in rows)
    metrics = metric_columns(dict.fromkeys(name for row in rows for name in row.values))
    seed = ["seed"] if any(row.seed is not None for row in rows) else []
    condition = ["sigma"] if sigma else ["degradation", "level"]
    heads = ["run", *seed, "set", "image", *condition, *metrics.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, heads)
        writer.writeheader()
        for row in rows:
            place: dict[str, Any] = {"run": row.run, "set": row.set, "image": row.image}
            place |= {"seed": row.seed} if seed else {}
            values = {metrics[name]: value for name, value in row.values.items()}
            writer.writerow(place | condition_columns(row.condition, sigma) | values)
