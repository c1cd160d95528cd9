"""Everything that a comparison knows in the end, and the files that say it."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from restoration.common.digests import plain_digest
from restoration.common.folders import write_json
from restoration.compare.absent import Absent
from restoration.compare.differences import Difference, families, plain_differences
from restoration.compare.fairness import Mark
from restoration.compare.findings import Findings
from restoration.compare.fronts import Panel, plain_fronts
from restoration.compare.inference import METHOD, METHOD_OF_ONE
from restoration.compare.judges import Standing
from restoration.compare.photographs import photograph_of
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.compare.signs import plain_signs
from restoration.degradations.conditions import Condition
from restoration.evaluate.candidates import protocol_of
from restoration.evaluate.layouts import markdown, markdown_tables
from restoration.evaluate.report import write_per_image
from restoration.evaluate.rows import condition_text, only_gaussian, plain_means
from restoration.evaluate.tables import long_table
from restoration.metrics import Column, Metrics
from restoration.options.load import plain


@dataclass
class Record:
    """A finished comparison.

    Attributes:
        plan: what was asked.
        metrics: what was measured.
        findings: differences, verdicts, signs.
        identities: hashes of every trained recipe, of all its trainings together.
        sets_hash: of the test images.
        marks: what differs beside the loss, where that was allowed.
        checkpoints: SHA-256 of every tested checkpoint, by recipe and seed (None where it has
            none).
        parameters: of every tested network, by recipe.
        loss_weights: of every loss term, for every training of every trained recipe.
        curves: rows of curves.csv, by trained recipe, averaged over the seeds.
        environment: versions, device, commit.
        fronts: quality against distance, see `fronts.find_fronts`.
        standings: how every metric stands to the losses, by its name.
        absent: trainings that left nothing to measure; their recipes are not in the plan.
    """

    plan: Plan
    metrics: Metrics
    findings: Findings
    identities: dict[str, dict[str, Any]]
    sets_hash: str
    marks: list[Mark]
    checkpoints: dict[str, dict[int | None, str]]
    parameters: dict[str, int]
    loss_weights: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    fronts: list[Panel] = field(default_factory=list)
    standings: dict[str, Standing] = field(default_factory=dict)
    absent: list[Absent] = field(default_factory=list)

    @property
    def columns(self) -> dict[str, Column]:
        """What tables say about every metric."""
        return self.metrics.columns

    @property
    def missing(self) -> list[tuple[str, str, Condition]]:
        """Recipe, metric and condition of every comparison for which no difference is finite."""
        compared = {(d.recipe, d.metric, d.condition) for d in self.findings.differences}
        every = [
            (recipe.name, metric, condition)
            for recipe in self.plan.challengers
            for metric in self.columns
            for condition in self.findings.conditions
        ]
        return [place for place in every if place not in compared]

    @property
    def several(self) -> bool:
        """Whether recipes were trained with several seeds."""
        return len(self.plan.seeds) > 1

    @property
    def method(self) -> str:
        """How differences are judged, in words."""
        return METHOD if self.several else METHOD_OF_ONE

    @property
    def num_tests(self) -> list[int]:
        """Tests that are corrected together: of the primary metrics, then of the others."""
        primary = self.plan.settings.statistics.primary
        both = families(self.findings.differences, primary)
        return [sum(difference.tested for difference in family) for family in both]

    @property
    def correction(self) -> str:
        """How p-values are corrected, in words; empty where nothing is tested."""
        if not any(self.num_tests):
            return ""
        primary = self.plan.settings.statistics.primary
        if primary is None:
            return f"Holm's correction over one family, all {self.num_tests[0]} tests"
        labels = listing([self.columns[name].label for name in primary])
        return (
            f"Holm's correction over two families, all {self.num_tests[0]} tests of the primary "
            f"metrics ({labels}) and all {self.num_tests[1]} of the others"
        )

    @property
    def margins(self) -> str:
        """Margins of equivalence of the measured metrics, in words."""
        given = self.plan.settings.statistics.margins
        said = [
            f"{given[name]:g} {column.unit}".rstrip() + f" {column.label}"
            for name, column in self.columns.items()
            if given.get(name) is not None
        ]
        return f"margins of equivalence: {', '.join(said)}" if said else "no margins of equivalence"

    @property
    def means(self) -> str:
        """What the values of the tables are, where there are several seeds; else empty."""
        if not self.several:
            return ""
        named = listing([str(seed) for seed in self.plan.seeds])
        return (
            f"Values are means over the trainings with seeds {named}; "
            "\N{PLUS-MINUS SIGN} is the sample standard deviation over them"
        )

    @property
    def protocol(self) -> str:
        """How the recipes are measured, in words."""
        return protocol_of(self.plan.shared, [])

    @property
    def num_images(self) -> int:
        """Test images of all sets together."""
        return len({(row.set, row.image) for row in self.findings.rows})

    @property
    def num_photographs(self) -> int:
        """Photographs that the test images are of, crops of one counted once."""
        group = self.plan.settings.statistics.group
        return len({(row.set, photograph_of(row.image, group)) for row in self.findings.rows})


def loss_words(recipe: ResolvedRecipe) -> str:
    """Say a recipe's loss in one line, such as "MAE + 0.001 E-VGG"."""
    if recipe.options.train is None:
        return "checkpoint, trained elsewhere"
    words = []
    for term in recipe.options.train.terms():
        weight = term.get("weight", 1.0)
        if isinstance(weight, dict):
            words.append(f"{term['type']} ({weight['share']:.3g} of the gradient)")
        else:
            words.append(term["type"] if weight == 1 else f"{weight:g} {term['type']}")
    return " + ".join(words)


def read_curves(path: Path) -> list[dict[str, float]]:
    """Read curves.csv; no file gives no rows."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


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


def listing(items: Sequence[str]) -> str:
    """Join words: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def slashes(items: Sequence[Any]) -> str:
    """Put slashes between items."""
    return " / ".join(str(item) for item in items)


def seeds_words(difference: Difference, column: Column) -> str:
    """Print the mean difference of every seed, or a dash where there are no seeds."""
    return slashes([column.signed(value) for value in difference.by_seed.values()]) or "-"


def interval_words(difference: Difference, column: Column) -> str:
    """Print the interval for new photographs (and trainings), or a dash."""
    return _ends(difference.estimate.low, difference.estimate.high, column)


def fixed_interval_words(difference: Difference, column: Column) -> str:
    """Print the interval for new trainings on these photographs, or a dash."""
    return _ends(difference.estimate.low_fixed, difference.estimate.high_fixed, column)


def _ends(low: float | None, high: float | None, column: Column) -> str:
    return "-" if low is None else f"{column.signed(low)} to {column.signed(high)}"


def p_words(p: float | None) -> str:
    """Print a p-value; a dash where there was no test."""
    if p is None:
        return "-"
    return "1" if p == 1 else "< 0.0001" if p < 1e-4 else f"{p:.4f}"


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
    """Write results.json, per_image.csv and table.md."""
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
