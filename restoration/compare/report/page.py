"""report.html: one file with everything in it, made from a template of this package."""

from pathlib import Path
from typing import Any

from restoration.compare.findings import (
    AGREES,
    BETTER,
    DISAGREES,
    IDENTICAL,
    SPLIT,
    TOO_FEW,
    UNDECIDED,
    WORSE,
    Difference,
)
from restoration.compare.report import figures, words
from restoration.compare.report.pictures import Gallery, colour_stops
from restoration.compare.result import (
    Record,
    interval_words,
    loss_words,
    p_words,
    seeds_words,
    signed,
    slashes,
)
from restoration.evaluate.tables import AVERAGE, format_spread, format_value
from restoration.options.load import dump_yaml

GLYPHS = {
    BETTER: "\N{BLACK UP-POINTING TRIANGLE}",
    WORSE: "\N{BLACK DOWN-POINTING TRIANGLE}",
    UNDECIDED: "\N{ALMOST EQUAL TO}",
    SPLIT: "\N{PLUS-MINUS SIGN}",
    IDENTICAL: "=",
    TOO_FEW: "?",
}
CLASSES = {BETTER: "better", WORSE: "worse"}
SIGN_GLYPHS = {AGREES: "\N{CHECK MARK}", DISAGREES: "\N{MULTIPLICATION SIGN}"}


def _arrow(record: Record, metric: str) -> str:
    return "\N{UPWARDS ARROW}" if record.metrics.directions[metric] else "\N{DOWNWARDS ARROW}"


def _cell(record: Record, run: str, metric: str, sigma: float, of_set: str) -> dict[str, Any]:
    """One cell of the table: value, whether it is the best, difference to the reference."""
    found = record.found
    values = {r.name: found.mean(r.name, metric, sigma, of_set) for r in record.plan.recipes}
    known = [value for value in values.values() if value is not None]
    value, base = values[run], values[record.plan.reference.name]
    higher = record.metrics.directions[metric]
    cell = dict.fromkeys(("gap", "kind", "word"), "")
    cell |= {"value": format_value(metric, value), "best": False}
    cell["spread"] = format_spread(metric, found.summary_of(run, sigma, of_set))
    if value is None or base is None:
        return cell
    alike = len(set(known)) == 1
    cell["best"] = not alike and value == (max(known) if higher else min(known))
    if run != record.plan.reference.name:
        gap = value - base
        kind = IDENTICAL if gap == 0 else BETTER if (gap > 0) == higher else WORSE
        cell |= {"gap": signed(metric, gap), "kind": CLASSES.get(kind, ""), "word": kind}
        cell["glyph"] = GLYPHS[kind]
    return cell


def _table(record: Record, of_set: str) -> dict[str, Any]:
    """Build the publication's layout: a row per recipe, the metrics of every sigma side by side."""
    metrics = list(record.metrics.labels)
    rows = [r for r in record.found.summary if r["set"] == of_set]
    sigmas = sorted({row["sigma"] for row in rows})
    heads = [f"{record.metrics.labels[m]} {_arrow(record, m)}" for m in metrics]
    return {
        "set": "Average over the test sets" if of_set == AVERAGE else of_set,
        "n": max(row["n"] for row in rows),
        "sigmas": [f"{sigma:g}" for sigma in sigmas],
        "heads": [head.replace("x100", "\N{MULTIPLICATION SIGN}100") for head in heads],
        "rows": [
            {
                "name": one.name,
                "loss": loss_words(one),
                "cells": [_cell(record, one.name, m, s, of_set) for s in sigmas for m in metrics],
            }
            for one in record.plan.recipes
        ],
    }


def _tables(record: Record) -> list[dict[str, Any]]:
    sets = list(dict.fromkeys(row["set"] for row in record.found.summary))
    sets.remove(AVERAGE)
    return [_table(record, name) for name in ([AVERAGE, *sets] if len(sets) > 1 else sets)]


def _verdicts(record: Record) -> dict[str, Any]:
    """Build the matrix of verdicts: a row per recipe and metric, a column per sigma."""
    sigmas = sorted({one.sigma for one in record.found.differences})
    rows = []
    for one in record.plan.challengers:
        for metric in record.metrics.by_name:
            found = {d.sigma: d for d in record.found.of(one.name, metric)}
            cells = [
                {
                    "glyph": GLYPHS[found[s].verdict],
                    "word": found[s].verdict,
                    "kind": CLASSES.get(found[s].verdict, ""),
                }
                for s in sigmas
            ]
            rows.append(
                {"recipe": one.name, "metric": record.metrics.labels[metric], "cells": cells}
            )
    return {"sigmas": [f"{sigma:g}" for sigma in sigmas], "rows": rows}


def _difference_row(one: Difference) -> dict[str, Any]:
    p = one.paired
    return {
        "recipe": one.recipe,
        "sigma": f"{one.sigma:g}",
        "n": p.n,
        "mean": signed(one.metric, p.mean),
        "seeds": seeds_words(one),
        "interval": interval_words(one),
        "median": signed(one.metric, p.median),
        "win_rate": f"{p.win_rate:.0%}",
        "ties": p.ties,
        "p": p_words(p.p),
        "p_holm": p_words(one.p_holm),
        "verdict": one.verdict,
        "glyph": GLYPHS[one.verdict],
        "kind": CLASSES.get(one.verdict, ""),
    }


def _metrics(record: Record) -> list[dict[str, Any]]:
    found = []
    for name, metric in record.metrics.by_name.items():
        every = [d for one in record.plan.challengers for d in record.found.of(one.name, name)]
        found.append(
            {
                "label": record.metrics.labels[name],
                "scale": metric.scale,
                "better": "higher" if metric.higher_is_better else "lower",
                "figure": figures.forest(record, name),
                "rows": [_difference_row(one) for one in every],
            }
        )
    return found


def _scatters(record: Record) -> list[dict[str, Any]]:
    sigma = record.plan.picture_sigma
    return [
        {
            "recipe": one.name,
            "figures": [
                figures.scatter(record, one.name, m, sigma) for m in record.metrics.by_name
            ],
        }
        for one in record.plan.challengers
    ]


def _signs(record: Record) -> list[dict[str, Any]]:
    """Group the signs by source and pair: a row per metric, a cell per sigma."""
    plan, groups = record.plan, []
    rest = list(record.found.signs)
    for one in plan.settings.expected:
        count = len(one.signs) * len(one.sigmas or record.plan.sigmas)
        mine, rest = rest[:count], rest[count:]
        rows = [
            {
                "metric": record.metrics.labels.get(metric, metric),
                "expected": sign,
                "cells": [
                    {
                        "glyph": SIGN_GLYPHS.get(s.outcome, "\N{EN DASH}"),
                        "word": s.outcome,
                        "gap": signed(metric, s.difference),
                        "kind": {AGREES: "better", DISAGREES: "worse"}.get(s.outcome, ""),
                    }
                    for s in mine
                    if s.metric == metric
                ],
            }
            for metric, sign in one.signs.items()
        ]
        groups.append(
            {
                "sentence": words.sign_sentence(mine),
                "recipe": one.recipe,
                "against": one.against or plan.reference.name,
                "source": one.source,
                "sigmas": [f"{s:g}" for s in one.sigmas or plan.sigmas],
                "rows": rows,
            }
        )
    return groups


def _recipes(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "loss": loss_words(one),
            "number": number % len(figures.SERIES),
            "is_reference": one is record.plan.reference,
            "trained": one.trained,
            "checkpoints": [
                {"seed": seed, "hash": sha} for seed, sha in record.checkpoints[one.name].items()
            ],
            "parameters": f"{record.parameters[one.name]:,}".replace(",", "\N{NO-BREAK SPACE}"),
            "identity": record.identities.get(one.name, {}),
            "options": dump_yaml(one.options),
        }
        for number, one in enumerate(record.plan.recipes)
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


def context(record: Record, gallery: Gallery) -> dict[str, Any]:
    """Return everything that the template shows."""
    plan, how = record.plan, record.plan.settings.statistics
    return {
        "name": plan.name,
        "reference": plan.reference.name,
        "headlines": [
            {
                "text": words.headline(record, one.name),
                "sentences": [
                    words.metric_sentence(record, one.name, m) for m in record.metrics.by_name
                ],
            }
            for one in plan.challengers
        ],
        "caveats": words.caveats(record),
        "verdicts": _verdicts(record),
        "tables": _tables(record),
        "signs": _signs(record),
        "metrics": _metrics(record),
        "scatters": _scatters(record),
        "picture_sigma": f"{plan.picture_sigma:g}",
        "gallery": gallery,
        "stops": colour_stops(),
        "curves": [figures.curve(record, term) for term in figures.terms_of(record)],
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
        "method": record.method,
        "confidence": f"{how.confidence:.0%}",
        "how": how,
        "family": record.found.family,
        "protocol": record.protocol,
        "e_mae": "e_mae" in record.metrics.by_name,
    }


def write(path: Path, record: Record, gallery: Gallery) -> None:
    """Write the report.

    Args:
        path: of the HTML file.
        record: the comparison.
        gallery: crops to show.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("restoration.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html").render(context(record, gallery))
    path.write_text(text, encoding="utf-8")
