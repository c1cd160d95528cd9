"""report.html: one file with everything in it, made from a template of this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from restoration.compare.differences import Difference
from restoration.compare.report import figures, words
from restoration.compare.report.answer import MOST, answer
from restoration.compare.report.drawing import SERIES, Drawing
from restoration.compare.report.fronts import front_section
from restoration.compare.report.marks import CLASSES, GLYPHS, NOT_COMPARED, NOTHING, sigma_text
from restoration.compare.report.means import long_form, measured_columns, table_of_means
from restoration.compare.report.pictures import Gallery, colour_stops
from restoration.compare.result import (
    Record,
    fixed_interval_words,
    interval_words,
    loss_words,
    p_words,
    seeds_words,
    slashes,
)
from restoration.compare.signs import (
    AGREES,
    DISAGREES,
    Sign,
    expected_conditions,
)
from restoration.evaluate.rows import condition_text, only_gaussian
from restoration.metrics import Column
from restoration.options.load import dump_yaml

REPORT, FIGURES = "report.html", "figures"  # in the folder of a comparison
SIGN_GLYPHS = {AGREES: "\N{CHECK MARK}", DISAGREES: "\N{MULTIPLICATION SIGN}"}


@dataclass(frozen=True)
class Drawings:
    """Every figure of the page.

    Attributes:
        forests: differences with their intervals, by metric.
        scatters: every image, by recipe.
        curves: of training, by term.
    """

    forests: dict[str, Drawing]
    scatters: dict[str, list[Drawing]]
    curves: list[Drawing]

    @property
    def every(self) -> list[Drawing]:
        """All of them."""
        scatters = [drawing for some in self.scatters.values() for drawing in some]
        return [*self.forests.values(), *scatters, *self.curves]


def draw(record: Record) -> Drawings:
    """Draw every figure of the page."""
    condition, metrics = record.plan.picture_condition, measured_columns(record)
    return Drawings(
        {metric: figures.forest(record, metric) for metric in metrics},
        {
            recipe.name: [figures.scatter(record, recipe.name, m, condition) for m in metrics]
            for recipe in record.plan.challengers
        },
        [figures.curve(record, term) for term in figures.terms_of(record)],
    )


def _verdict(difference: Difference | None) -> dict[str, str]:
    word = NOT_COMPARED if difference is None else difference.verdict
    return {"glyph": GLYPHS[word], "word": word, "kind": CLASSES.get(word, "")}


def _verdicts(record: Record) -> dict[str, Any]:
    """Build the matrix of verdicts: a row per recipe and metric, a column per condition."""
    conditions, metrics = record.findings.conditions, measured_columns(record)
    rows = []
    for recipe in record.plan.challengers:
        for number, (metric, column) in enumerate(metrics.items()):
            by_condition = {d.condition: d for d in record.findings.of(recipe.name, metric)}
            cells = [_verdict(by_condition.get(condition)) for condition in conditions]
            row = {"recipe": recipe.name, "first": number == 0, "rows": len(metrics)}
            rows.append(row | {"metric": column.label, "cells": cells})
    return {"groups": [sigma_text(condition) for condition in conditions], "rows": rows}


def _difference_row(difference: Difference, column: Column) -> dict[str, Any]:
    return {
        "recipe": difference.recipe,
        "condition": condition_text(difference.condition, "{:g}"),
        "mean": column.signed(difference.estimate.mean),
        "interval": interval_words(difference, column),
        "seeds": seeds_words(difference, column),
        "fixed": fixed_interval_words(difference, column),
        "win_rate": f"{difference.win_rate:.0%}",
        "p": p_words(difference.estimate.p),
        "p_holm": p_words(difference.p_holm),
        "verdict": _verdict(difference),
    }


def _metrics(record: Record, forests: Mapping[str, Drawing]) -> list[dict[str, Any]]:
    shown = []
    for name, figure in forests.items():
        metric = record.metrics.by_name[name]
        differences = [
            difference
            for recipe in record.plan.challengers
            for difference in record.findings.of(recipe.name, name)
        ]
        shown.append(
            {
                "label": metric.label,
                "scale": metric.scale,
                "better": "higher" if metric.higher_is_better else "lower",
                "figure": figure,
                "rows": [_difference_row(difference, metric.column) for difference in differences],
            }
        )
    return shown


def _signs(record: Record) -> list[dict[str, Any]]:
    """Group the signs by source and pair: a row per metric, a cell per condition."""
    groups = []
    rest = list(record.findings.signs)
    for expectation in record.plan.settings.expected:
        conditions = expected_conditions(expectation, record.findings.conditions)
        count = len(expectation.signs) * len(conditions)
        signs, rest = rest[:count], rest[count:]
        groups.append(
            {
                "sentence": words.sign_sentence(signs),
                "recipe": expectation.recipe,
                "against": expectation.against or record.plan.reference.name,
                "source": expectation.source,
                "groups": [sigma_text(condition) for condition in conditions],
                "rows": [_sign_row(record, signs, *item) for item in expectation.signs.items()],
            }
        )
    return groups


def _sign_row(record: Record, signs: Sequence[Sign], metric: str, expected: str) -> dict[str, Any]:
    column = record.columns.get(metric, Column(metric, True))
    cells = [
        {
            "glyph": SIGN_GLYPHS.get(sign.outcome, NOTHING),
            "word": sign.outcome,
            "gap": column.signed(sign.difference),
            "kind": {AGREES: "better", DISAGREES: "worse"}.get(sign.outcome, ""),
        }
        for sign in signs
        if sign.metric == metric
    ]
    return {"metric": column.label, "expected": expected, "cells": cells}


def _recipes(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "name": recipe.name,
            "loss": loss_words(recipe),
            "number": number % len(SERIES),
            "is_reference": recipe is record.plan.reference,
            "trained": recipe.trained,
            "checkpoints": [
                {"seed": seed, "hash": sha} for seed, sha in record.checkpoints[recipe.name].items()
            ],
            "parameters": f"{record.parameters[recipe.name]:,}".replace(",", "\N{NO-BREAK SPACE}"),
            "identity": record.identities.get(recipe.name, {}),
            "options": dump_yaml(recipe.options),
        }
        for number, recipe in enumerate(record.plan.recipes)
    ]


def _identity(record: Record) -> list[dict[str, Any]]:
    """Build a row per thing that has to be the same: one value where it is, else one per recipe."""
    names = list(record.identities)
    if not names:
        return []
    rows = []
    for key in record.identities[names[0]]:
        values = [str(record.identities[name][key]) for name in names]
        rows.append({"key": key, "same": len(set(values)) == 1, "values": values})
    return rows


def context(record: Record, gallery: Gallery, drawings: Drawings) -> dict[str, Any]:
    """Return everything that the template shows."""
    plan, how = record.plan, record.plan.settings.statistics
    return {
        "name": plan.name,
        "answer": answer(record),
        "num_answered": MOST,  # sentences on fronts that the answer holds
        "reference": plan.reference.name,
        "headlines": [
            {
                "recipe": recipe.name,
                "text": words.headline(record, recipe.name),
                "sentences": [
                    words.metric_sentence(record, recipe.name, m) for m in measured_columns(record)
                ],
            }
            for recipe in plan.challengers
        ],
        "caveats": words.caveats(record),
        "front": front_section(record),
        "verdicts": _verdicts(record),
        "table": table_of_means(record),
        "long": long_form(record, measured_columns(record)),
        "signs": _signs(record),
        "metrics": _metrics(record, drawings.forests),
        "scatters": drawings.scatters,
        "picture_condition": condition_text(plan.picture_condition, "σ {:g}"),
        "level_head": "σ" if only_gaussian(record.findings.conditions) else "condition",
        "gallery": gallery,
        "num_layers": len(plan.recipes) + 2,  # noisy input and reference
        "num_sets": len({row.set for row in record.findings.rows}),
        "stops": colour_stops(),
        "curves": drawings.curves,
        "recipes": _recipes(record),
        "identity": _identity(record),
        "trained_names": list(record.identities),
        "sets_hash": record.sets_hash,
        "marks": record.marks,
        "environment": record.environment,
        "seeds": slashes(plan.seeds or [plan.shared.manual_seed]),
        "first_seed": plan.shared.manual_seed,
        "several": record.several,
        "means_words": record.means,
        "num_images": record.num_images,
        "grouped": record.num_photographs < record.num_images,
        "method": record.method,
        "confidence": f"{how.confidence:.0%}",
        "how": how,
        "correction": record.correction,
        "margins": record.margins,
        "protocol": record.protocol,
        "e_mae": any(column.label.startswith("E-MAE") for column in record.columns.values()),
    }


def write(folder: Path, record: Record, gallery: Gallery) -> None:
    """Write report.html, and its figures as SVG and PDF.

    Args:
        folder: of the comparison.
        record: the comparison.
        gallery: crops to show.
    """
    environment = Environment(
        loader=PackageLoader("restoration.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawings = draw(record)
    template = environment.get_template("report.html")
    text = template.render(context(record, gallery, drawings))
    (folder / REPORT).write_text(text, encoding="utf-8")
    (folder / FIGURES).mkdir(exist_ok=True)
    for drawing in drawings.every:
        drawing.save(folder / FIGURES)
