"""From values per image to tables: means per set and over sets, as JSON, CSV and Markdown."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from restoration.evaluate.measure import NOISY, Row
from restoration.options.datasets import AVERAGE_NAME

AVERAGE = AVERAGE_NAME
HEAD = ("run", "set", "sigma")
SPREAD = "spread"  # of a mean over several trainings, by metric
DIGITS = {"psnr": 2, "ssim": 4, "lpips": 4, "e_mae": 4}


def _mean(values: Iterable[float]) -> float | None:
    """Mean of finite values; None where one is not (a perfect image has infinite PSNR)."""
    mean = fmean(values)
    return mean if math.isfinite(mean) else None


def summarize(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Average over images, then over sets.

    Args:
        rows: one per run, set, image and sigma, as `evaluate` returns them.
        names: the metric columns; a column that no row has becomes None.

    Returns:
        {"run", "set", "sigma", "n", <metric>: mean or None} per run, set and sigma; the set
        "average" is the mean over sets, each with the same weight, and n its number of images.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in HEAD), []).append(row)
    means = []
    for key, members in groups.items():
        mean = dict(zip(HEAD, key, strict=True)) | {"n": len(members)}
        for name in names:
            known = all(name in row for row in members)
            mean[name] = _mean(row[name] for row in members) if known else None
        means.append(mean)
    return means + _over_sets(means, names)


def _over_sets(means: Sequence[Row], names: Sequence[str]) -> list[Row]:
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in means:
        groups.setdefault((row["run"], row["sigma"]), []).append(row)
    averages = []
    for (run, sigma), members in groups.items():
        average = {"run": run, "set": AVERAGE, "sigma": sigma, "n": sum(r["n"] for r in members)}
        for name in names:
            values = [row[name] for row in members]
            average[name] = None if None in values else _mean(values)
        averages.append(average)
    return averages


def write_per_image(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Write every value of every image, enough to compute each figure of the tables again.

    Rows of trainings with several seeds have a seed; it is empty where others have none.
    """
    present = [name for name in names if any(name in row for row in rows)]
    seed = ["seed"] if any("seed" in row for row in rows) else []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["run", *seed, "set", "image", "sigma", *present])
        writer.writeheader()
        writer.writerows(rows)


def format_value(name: str, value: float | None) -> str:
    """Print a value with the digits that its metric is reported with."""
    return "-" if value is None else f"{value:.{DIGITS.get(name, 4)}f}"


def format_spread(name: str, row: Row) -> str:
    """Print how far the means of several trainings lie apart; empty where there is one."""
    spread = row.get(SPREAD, {}).get(name)
    return "" if spread is None else f"\N{PLUS-MINUS SIGN} {format_value(name, spread)}"


def headings(labels: Mapping[str, str], directions: Mapping[str, bool]) -> list[str]:
    """Column headings with an arrow to the better side."""
    return [f"{labels[name]} {'↑' if directions[name] else '↓'}" for name in labels]


def table_rows(summary: Sequence[Row], names: Sequence[str]) -> list[list[str]]:
    """Rows of text, by set and sigma with the noisy input first; the average comes last."""
    sets = list(dict.fromkeys(row["set"] for row in summary))
    if len(sets) == 2:
        sets.remove(AVERAGE)  # the mean over one set says nothing new
    ordered = sorted(
        (row for row in summary if row["set"] in sets),
        key=lambda row: (sets.index(row["set"]), row["sigma"], row["run"] != NOISY),
    )
    return [
        [row["set"], f"{row['sigma']:g}", row["run"], str(row["n"])]
        + [f"{format_value(name, row[name])} {format_spread(name, row)}".rstrip() for name in names]
        for row in ordered
    ]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Lay out a Markdown table with footnotes below."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *[f"- {note}" for note in notes]]) + "\n"
