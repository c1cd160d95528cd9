"""Everything that a comparison knows in the end, and the files that say it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restoration.compare.absent import Absent
from restoration.compare.differences import Difference, families
from restoration.compare.fairness import Mark
from restoration.compare.findings import Findings
from restoration.compare.fronts import Panel
from restoration.compare.inference import METHOD, METHOD_OF_ONE
from restoration.compare.judges import Standing
from restoration.compare.photographs import photograph_of
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.degradations.conditions import Condition
from restoration.evaluate.candidates import protocol_of
from restoration.metrics import Column, Metrics


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
        folder: of the comparison.
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
    folder: Path = Path()

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
