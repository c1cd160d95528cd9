"""Agreement of metrics with ratings, per category and over all: rows, CSV, JSON, Markdown."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restoration.agreement.bootstrap import draw_counts, interval, resampled_statistics
from restoration.agreement.metrics import NamedMetric
from restoration.agreement.statistics import STATISTICS, Curve, agreement
from restoration.common.folders import write_json
from restoration.evaluate.layouts import markdown

ALL = "all"
LINE_MARK = "†"
HEADINGS = {"plcc": "PLCC", "srocc": "SROCC", "krcc": "KRCC", "rmse": "RMSE"}

Row = dict[str, Any]


@dataclass(frozen=True)
class AgreementReport:
    """What was found.

    Args:
        rows: one per metric and category: {"metric", "category", "n", "references", <statistic>,
            <statistic>_low, <statistic>_high, "logistic", "parameters"}; None where undefined.
        gains: one per enhanced metric with its plain one and category: {"metric", "plain",
            "category", <statistic>, <statistic>_low, <statistic>_high}, enhanced minus plain.
        metrics: labels in order.
        categories: in order, then "all".
        curves: the fit over all pairs, by metric, from quality to rating.
        notes: what to know when reading the tables.
    """

    rows: list[Row]
    gains: list[Row]
    metrics: list[str]
    categories: list[str]
    curves: dict[str, Curve]
    notes: list[str]

    def row(self, metric: str, category: str) -> Row:
        """The row of a metric and category."""
        return next(r for r in self.rows if r["metric"] == metric and r["category"] == category)


def compare(
    metrics: Sequence[NamedMetric],
    values: Mapping[str, np.ndarray],
    scores: np.ndarray,
    references: Sequence[str],
    categories: Sequence[str],
    num_resamples: int = 1000,
    seed: int = 0,
) -> AgreementReport:
    """Compare metrics with ratings.

    Args:
        metrics: what was measured.
        values: (N,) by label.
        scores: (N,) ratings, higher is better.
        references: reference image of each pair.
        categories: kind of each pair.
        num_resamples: bootstrap resamples of the reference images; 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        The report. The same resamples serve every metric, so that gains are of pairs.
    """
    names, groups = np.unique(np.array(references), return_inverse=True)
    counts = draw_counts(len(names), num_resamples, seed) if num_resamples else None
    of_category = np.array(categories)
    parts = {c: of_category == c for c in dict.fromkeys(categories)}
    if len(parts) == 1:
        parts = {}
    parts[ALL] = np.ones(len(scores), bool)
    rows, samples, curves = [], {}, {}
    for metric in metrics:
        quality = metric.quality(values[metric.label])
        for category, chosen in parts.items():
            part = (quality[chosen], scores[chosen], groups[chosen])
            row, samples[metric.label, category], curves[metric.label] = _row(*part, counts)
            head = {"metric": metric.label, "category": category, "n": int(chosen.sum())}
            rows.append(head | {"references": len(np.unique(groups[chosen]))} | row)
    report = AgreementReport(rows, [], [m.label for m in metrics], list(parts), curves, [])
    for enhanced, plain in partners(metrics):
        report.gains.extend(_gain(report, samples, enhanced, plain, c) for c in parts)
    report.notes.extend(_notes(report, num_resamples, len(names), seed))
    return report


def partners(metrics: Sequence[NamedMetric]) -> list[tuple[str, str]]:
    """Labels of every enhanced metric and its plain one, where both are there."""
    found = [(m, [other for other in metrics if m.enhances(other)]) for m in metrics]
    return [(metric.label, plain[0].label) for metric, plain in found if plain]


def _row(
    quality: np.ndarray, scores: np.ndarray, groups: np.ndarray, counts: np.ndarray | None
) -> tuple[Row, dict[str, np.ndarray], Curve]:
    """Statistics with intervals, the resampled statistics, and the curve."""
    measured = agreement(quality, scores)
    curve = measured.curve
    samples = {}
    if counts is not None:
        samples = resampled_statistics(quality, curve(quality), scores, groups, counts)
        samples["plcc"] = samples["plcc"] * (1 if curve.rises else -1)
    row: Row = {}
    for name in STATISTICS:
        row[name] = getattr(measured, name)
        row |= _limits(name, samples.get(name))
    row |= {"logistic": curve.converged, "parameters": list(curve.parameters)}
    return row, samples, curve


def _limits(name: str, samples: np.ndarray | None) -> Row:
    low, high = (None, None) if samples is None else interval(samples) or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _gain(
    report: AgreementReport,
    samples: Mapping[tuple[str, str], Mapping[str, np.ndarray]],
    metric: str,
    plain: str,
    category: str,
) -> Row:
    """Enhanced minus plain, with the interval of the difference."""
    ours, theirs = report.row(metric, category), report.row(plain, category)
    row: Row = {"metric": metric, "plain": plain, "category": category}
    for name in STATISTICS:
        known = ours[name] is not None and theirs[name] is not None
        row[name] = ours[name] - theirs[name] if known else None
        both = [samples[label, category].get(name) for label in (metric, plain)]
        row |= _limits(name, None if both[0] is None else both[0] - both[1])
    return row


def _notes(
    report: AgreementReport, num_resamples: int, num_references: int, seed: int
) -> list[str]:
    notes = [
        "PLCC and RMSE: after a logistic with 4 parameters (VQEG), fitted to the pairs of each "
        "column; RMSE in units of the ratings. A metric is turned so that higher is "
        "better: a negative correlation disagrees with people.",
    ]
    if num_resamples:
        notes.append(
            f"Intervals: 95 % percentiles of {num_resamples} resamples of the {num_references} "
            f"reference images (seed {seed}); the fitted curve stays that of all pairs."
        )
    lines = [f"{r['metric']} on {r['category']}" for r in report.rows if not r["logistic"]]
    if lines:
        notes.append(
            f"{LINE_MARK} the logistic fit failed, a straight line stands in: {', '.join(lines)}."
        )
    return notes


def format_cell(row: Row, statistic: str) -> str:
    """One number of a table; "-" where it is undefined."""
    value = row[statistic]
    if value is None:
        return "-"
    fitted = statistic in ("plcc", "rmse") and not row["logistic"]
    return f"{value:.3f}{LINE_MARK if fitted else ''}"


def table(report: AgreementReport, statistic: str) -> list[list[str]]:
    """Rows of text: a row per metric, a column per category and for all; the best are bold."""
    cells = [
        [format_cell(report.row(metric, category), statistic) for category in report.categories]
        for metric in report.metrics
    ]
    choose = min if statistic == "rmse" else max
    for column, category in enumerate(report.categories):
        values = [report.row(metric, category)[statistic] for metric in report.metrics]
        best = choose((v for v in values if v is not None), default=None)
        for line, value in zip(cells, values, strict=True):
            if value is not None and f"{value:.3f}" == f"{best:.3f}":
                line[column] = f"**{line[column]}**"
    return [[metric, *line] for metric, line in zip(report.metrics, cells, strict=True)]


def gain_table(report: AgreementReport, statistic: str = "srocc") -> list[list[str]]:
    """Rows of text: enhanced minus plain with its interval, a column per category."""
    rows: dict[str, list[str]] = {}
    for gain in report.gains:
        text = "-" if gain[statistic] is None else f"{gain[statistic]:+.3f}"
        if gain[f"{statistic}_low"] is not None:
            text += f" [{gain[f'{statistic}_low']:+.3f}, {gain[f'{statistic}_high']:+.3f}]"
        rows.setdefault(f"{gain['metric']} - {gain['plain']}", []).append(text)
    return [[name, *cells] for name, cells in rows.items()]


def write_agreement(folder: Path, report: AgreementReport, about: Row) -> None:
    """Write scores.csv, scores.json and table.md.

    Args:
        folder: must exist.
        report: what was found.
        about: the data and the environment, for scores.json and the head of table.md, which
            prints "data".
    """
    write_json(
        folder / "scores.json",
        {"rows": report.rows, "gains": report.gains, "notes": report.notes, **about},
    )
    names = [name for name in report.rows[0] if name != "parameters"]
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(report.rows)
    parts = [about["data"]]
    for statistic in STATISTICS:
        heads = [HEADINGS[statistic], *report.categories]
        parts.append(markdown(heads, table(report, statistic), []).strip())
    if report.gains:
        heads = ["SROCC, enhanced minus plain", *report.categories]
        parts.append(markdown(heads, gain_table(report), []).strip())
    parts.append("\n".join(f"- {note}" for note in report.notes) + "\n")
    (folder / "table.md").write_text("\n\n".join(parts), encoding="utf-8")
