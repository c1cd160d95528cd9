"""The files of a finished comparison beside its report, and the curves that it reads."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from restoration.common.digests import plain_digest
from restoration.common.folders import write_json
from restoration.common.reading import read_table
from restoration.compare.differences import plain_differences
from restoration.compare.fronts import plain_fronts
from restoration.compare.plan import ResolvedRecipe
from restoration.compare.result import (
    Record,
    fixed_interval_words,
    interval_words,
    loss_words,
    p_words,
    seeds_words,
    slashes,
)
from restoration.compare.signs import plain_signs
from restoration.evaluate.layouts import latex, markdown, markdown_tables
from restoration.evaluate.report import write_per_image
from restoration.evaluate.rows import condition_text, only_gaussian, plain_means
from restoration.evaluate.tables import long_table, wide_tables
from restoration.options.load import plain


def read_curves(path: Path) -> list[dict[str, float]]:
    """Read curves.csv; no file gives no rows."""
    if not path.is_file():
        return []
    return [{k: float(v) for k, v in row.items() if v} for row in read_table(path)]


def difference_rows(record: Record) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of differences, as text."""
    gaussian = only_gaussian(record.findings.conditions)
    heads = ["metric", "sigma" if gaussian else "condition", "recipe", "against", "n", "mean"]
    heads += [f"seeds {slashes(record.plan.seeds)}"] if record.several else []
    heads += ["interval", *(["interval, these images"] if record.several else [])]
    heads += ["win rate", "p", "p (Holm)", "verdict"]
    rows = []
    for difference in record.findings.differences:
        column = record.columns[difference.metric]
        rows.append(
            [
                column.label,
                condition_text(difference.condition, "{:g}" if gaussian else "sigma {:g}"),
                difference.recipe,
                difference.reference,
                str(difference.num_images),
                column.signed(difference.estimate.mean),
                *([seeds_words(difference, column)] if record.several else []),
                interval_words(difference, column),
                *([fixed_interval_words(difference, column)] if record.several else []),
                f"{difference.win_rate:.0%}",
                p_words(difference.estimate.p),
                p_words(difference.p_holm),
                difference.verdict,
            ]
        )
    return heads, rows


def _checkpoints(record: Record, recipe: ResolvedRecipe) -> dict[str, Any]:
    """One hash, or a list with that of every seed."""
    digests = record.checkpoints[recipe.name]
    if None in digests:
        return {"checkpoint_sha256": digests[None]}
    return {"trainings": [{"seed": s, "checkpoint_sha256": sha} for s, sha in digests.items()]}


def as_plain(record: Record) -> dict[str, Any]:
    """Return results.json's content."""
    plan, findings = record.plan, record.findings
    return {
        "name": plan.name,
        "reference": plan.reference.name,
        "recipes": [
            {
                "name": recipe.name,
                "loss": loss_words(recipe),
                "trained_here": recipe.trained,
                **_checkpoints(record, recipe),
                "loss_weights": record.loss_weights.get(recipe.name, []),
                "parameters": record.parameters[recipe.name],
                "identity": record.identities.get(recipe.name),
                "options_sha256": plain_digest(plain(recipe.options)),
            }
            for recipe in plan.recipes
        ],
        "test_sets_sha256": record.sets_hash,
        "different": [asdict(mark) for mark in record.marks],
        "rows": plain_means(findings.means),
        "differences": plain_differences(findings.differences),
        "fronts": plain_fronts(record.fronts),
        "signs": plain_signs(findings.signs),
        "absent": [asdict(one) for one in record.absent],
        "judges": {name: one.text for name, one in record.standings.items()},
        "statistics": {
            "method": record.method,
            "family_of_tests": record.num_tests[0],
            **({"other_tests": record.num_tests[1]} if len(record.num_tests) > 1 else {}),
            **plan.settings.statistics.model_dump(),
        },
        "protocol": record.protocol,
        "metrics": {name: metric.scale for name, metric in record.metrics.by_name.items()},
        "notes": [*plan.settings.notes, *record.metrics.notes],
        "seed": plan.shared.manual_seed,
        **({"seeds": plan.seeds} if plan.seeds else {}),
        **record.environment,
    }


def write_files(record: Record, folder: Path) -> None:
    """Write results.json, per_image.csv, table.md and table.tex."""
    write_json(folder / "results.json", as_plain(record))
    write_per_image(folder / "per_image.csv", record.findings.trainings)
    notes = [record.protocol, *record.metrics.notes, *record.plan.settings.notes]
    notes += [f"left out: {one.title}: {one.reason}" for one in record.absent]
    how = record.plan.settings.statistics
    said = [record.method, f"{how.confidence:.0%} intervals"]
    said += [record.correction, record.margins] if record.correction else []
    if record.several:
        notes.append(f"{record.means}.")
    text = markdown_tables([long_table(record.findings.means, record.columns)], notes)
    text += "\n" + markdown(*difference_rows(record), ["; ".join(said)])
    (folder / "table.md").write_text(text, encoding="utf-8")
    tables = wide_tables(record.findings.means, record.columns)
    (folder / "table.tex").write_text(latex(tables, notes), encoding="utf-8")
