"""The answer of a comparison in one sentence: the first line of its report."""

from collections.abc import Sequence

from restoration.compare.differences import Difference
from restoration.compare.report.front_words import pairs_of, sentences
from restoration.compare.report.words import at_conditions
from restoration.compare.result import Record, listing
from restoration.compare.verdicts import BETTER, EQUIVALENT, SINGLE_TRAINING, TOO_FEW, WORSE
from restoration.degradations.conditions import Condition

MOST = 3  # findings that a sentence holds, and names in each
UNDECIDED = "neither shown to be better nor worse"


def answer(record: Record) -> str:
    """Say which front lies above where a grid makes fronts, else which recipe is better in what.

    Recipes are judged over the primary metrics, where such are named.

    Args:
        record: the comparison.

    Returns:
        One sentence. It names no winner that the verdicts don't name.
    """
    pairs = pairs_of(record)
    if pairs and (said := sentences(record, pairs[0])):
        return joined([sentence.removesuffix(".") for sentence in said])
    metrics = record.plan.settings.statistics.primary or list(record.columns)
    every = [d for d in record.findings.differences if d.metric in metrics]
    reference = record.plan.reference.name
    if not every:
        return f"Nothing could be compared with {reference}."
    if all(d.verdict == SINGLE_TRAINING and not d.estimate.identical for d in every):
        return (
            "No recipe is shown to be better: each was trained once, which compares networks, not "
            "losses."
        )
    by_finding: dict[str, list[str]] = {}
    for recipe in record.plan.challengers:
        own = [difference for difference in every if difference.recipe == recipe.name]
        by_finding.setdefault(_finding(record, own), []).append(recipe.name)
    found = [
        f"{_named(names)} {'is' if len(names) == 1 else 'are'} {finding}"
        for finding, names in sorted(by_finding.items(), key=lambda item: _order(item[0]))
    ]
    return f"Against {reference}, {joined(found)}"


def joined(findings: Sequence[str]) -> str:
    """Join findings to one sentence, which says how many more there are."""
    rest = len(findings) - MOST
    more = [f"{rest} more finding{'s stand' if rest > 1 else ' stands'} below"] if rest > 0 else []
    return f"{'; '.join([*findings[:MOST], *more])}."


def _named(names: Sequence[str]) -> str:
    """Name recipes, or count them where a sentence would be a list."""
    return listing(names) if len(names) <= MOST else f"{len(names)} recipes"


def _order(finding: str) -> tuple[bool, bool]:
    """Findings with a winner come first."""
    return "better in" not in finding, "worse in" not in finding


def _finding(record: Record, every: Sequence[Difference]) -> str:
    """Say in what a recipe is better and worse."""
    said = []
    for verdict in (BETTER, WORSE):
        of_metric: dict[str, list[Condition]] = {}
        for difference in every:
            if difference.verdict == verdict:
                of_metric.setdefault(difference.metric, []).append(difference.condition)
        by_place: dict[str, list[str]] = {}
        for metric, conditions in of_metric.items():
            label = record.columns[metric].label.replace(" x100", "")
            by_place.setdefault(_where(record, conditions), []).append(label)
        if by_place:
            where = [f"{listing(labels)}{place}" for place, labels in by_place.items()]
            said.append(f"{verdict} in {listing(where)}")
    if said:
        return " and ".join(said)
    if every and all(difference.estimate.identical for difference in every):
        return "the same on every image"
    if every and all(difference.verdict == EQUIVALENT for difference in every):
        return "equivalent"
    verdicts = {difference.verdict for difference in every}
    if SINGLE_TRAINING in verdicts:
        return f"{UNDECIDED} by a single training"
    if TOO_FEW in verdicts:
        return f"{UNDECIDED}, with too few trainings or photographs"
    return UNDECIDED


def _where(record: Record, some: Sequence[Condition]) -> str:
    """Say at which conditions; nothing where it is all of them."""
    every = record.findings.conditions
    return "" if len(some) == len(every) else f" ({at_conditions(some, every)})"
