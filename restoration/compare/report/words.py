"""What was found, in sentences that a person understands."""

from collections.abc import Sequence

from restoration.compare.findings import (
    BETTER,
    IDENTICAL,
    SPLIT,
    TOO_FEW,
    UNDECIDED,
    WORSE,
    Difference,
)
from restoration.compare.result import Record, listing
from restoration.compare.signs import AGREES, EQUAL, NOT_MEASURED, Sign
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import condition_text, only_gaussian
from restoration.metrics import Column

PHRASES = (
    (BETTER, "better than {reference} {where} ({gap})"),
    (WORSE, "worse than {reference} {where} ({gap})"),
    (UNDECIDED, "cannot be told apart from {reference} {where}"),
    (SPLIT, "not told apart from {reference} {where}, where the seeds disagree"),
    (IDENTICAL, "equal to {reference} on every image {where}, cannot be told apart (p = 1)"),
    (TOO_FEW, "too few images for a test against {reference} {where} (mean difference {means})"),
)


def at_conditions(some: Sequence[Condition], every: Sequence[Condition]) -> str:
    """Say at which noise levels, or under which other conditions."""
    gaussian = only_gaussian(every)
    if len(some) == len(every) > 1:
        return f"at every {'noise level' if gaussian else 'degradation and level'}"
    spelling = "{:g}" if gaussian else "sigma {:g}"
    named = listing([condition_text(condition, spelling) for condition in some])
    return f"at sigma {named}" if gaussian else f"at {named}"


def _span(values: Sequence[str]) -> str:
    ends = list(dict.fromkeys((values[0], values[-1])))
    return " to ".join(ends)


def gap(some: Sequence[Difference], column: Column) -> str:
    """Say how large the mean differences are, and on how many images the recipe is ahead."""
    ordered = sorted(some, key=lambda difference: abs(difference.paired.mean))
    sizes = _span([column.signed(abs(d.paired.mean)).lstrip("+") for d in ordered])
    rates = sorted(difference.paired.win_rate for difference in some)
    ahead = _span([f"{rate:.0%}" for rate in rates])
    unit = f" {column.unit}" if column.unit else ""
    return f"by {sizes}{unit} on average, ahead on {ahead} of the images"


def metric_sentence(record: Record, recipe: str, metric: str) -> str:
    """Say in one sentence how a recipe compares with the reference in one metric."""
    every, column = record.findings.of(recipe, metric), record.columns[metric]
    conditions = [difference.condition for difference in every]
    reference = record.plan.reference.name
    parts = []
    for kind, phrase in PHRASES:
        some = [difference for difference in every if difference.verdict == kind]
        if not some:
            continue
        where = at_conditions([difference.condition for difference in some], conditions)
        means = _span([column.signed(difference.paired.mean) for difference in some])
        said = {"where": where, "gap": gap(some, column), "means": means}
        parts.append(phrase.format(reference=reference, **said))
    infinite = [c for name, m, c in record.missing if (name, m) == (recipe, metric)]
    if infinite:
        where = at_conditions(infinite, [*conditions, *infinite])
        parts.append(f"no finite difference to {reference} {where}")
    return f"{column.label}: {'; '.join(parts)}."


def headline(record: Record, recipe: str) -> str:
    """Count a recipe's wins and losses over all metrics and noise levels."""
    every = [d for d in record.findings.differences if d.recipe == recipe]
    counts = {kind: sum(difference.verdict == kind for difference in every) for kind, _ in PHRASES}
    reference = record.plan.reference.name
    if every and counts[IDENTICAL] == len(every):
        return (
            f"{recipe} and {reference} cannot be told apart: every value of every image "
            "is exactly the same."
        )
    said = [f"{counts[BETTER]} won", f"{counts[WORSE]} lost"]
    said.append(
        f"{counts[UNDECIDED] + counts[SPLIT] + counts[IDENTICAL]} that cannot be told apart"
    )
    if counts[TOO_FEW]:
        said.append(f"{counts[TOO_FEW]} with too few images to test")
    what = "comparison" if len(every) == 1 else "comparisons"
    return f"{recipe} against {reference}: of {len(every)} {what}, {listing(said)}."


def sign_sentence(signs: Sequence[Sign]) -> str:
    """Count the signs that were found before and are found again."""
    measured = [sign for sign in signs if sign.outcome != NOT_MEASURED]
    agree = sum(sign.outcome == AGREES for sign in signs)
    text = f"{agree} of the {len(signs)} expected signs are found"
    if len(measured) < len(signs):
        text += f"; {len(signs) - len(measured)} could not be measured"
    equal = sum(sign.outcome == EQUAL for sign in signs)
    return text + (f"; {equal} differences are exactly zero." if equal else ".")


def _trainings(record: Record, length: str) -> str:
    """Say how often every recipe was trained, and what that tells."""
    plan = record.plan
    seeds = plan.seeds or sorted({r.options.manual_seed for r in plan.recipes if r.trained})
    named = listing([str(seed) for seed in seeds])
    if record.several:
        return (
            f"Every recipe was trained {len(seeds)} times, with seeds {named}, for {length}. "
            "Values are means over the trainings; a difference counts as won or lost only where "
            "every seed agrees on its side. Tests and intervals are over images."
        )
    return (
        f"Every recipe was trained once, with seed {named}, for {length}. Tests and intervals are "
        "over images: they do not say what another seed or longer training would change. "
        "\N{LEFT DOUBLE QUOTATION MARK}seeds: [0, 1, 2]\N{RIGHT DOUBLE QUOTATION MARK} in the "
        "option file trains every recipe several times."
    )


def caveats(record: Record) -> list[str]:
    """Say what the answer rests on, and what it does not tell."""
    images, plan = record.num_images, record.plan
    said = [f"{images} test image{'s' if images != 1 else ''}."]
    least = plan.settings.statistics.min_images
    if images < least:
        given = "only intervals are given" if images > 1 else "and one image has no interval"
        said.append(
            f"Fewer than {least} image{'s' if least != 1 else ''}: no test was made, {given}."
        )
    steps = {identity["steps"] for identity in record.identities.values()}
    if steps:
        lengths = listing([f"{count:,}".replace(",", " ") for count in sorted(steps)])
        said.append(_trainings(record, f"{lengths} steps"))
    outside = [recipe.name for recipe in plan.recipes if not recipe.trained]
    if outside:
        verb = "was" if len(outside) == 1 else "were"
        said.append(
            f"{listing(outside)} {verb} trained elsewhere, under conditions not known here."
        )
    if record.marks:
        said.append(
            "The recipes differ in more than the loss (listed under Identity): a difference "
            "between them may come from that."
        )
    return [*said, *plan.settings.notes, *record.metrics.notes]


def summary(record: Record) -> list[str]:
    """Return the findings as lines for the terminal."""
    lines = []
    for recipe in record.plan.challengers:
        lines.append(headline(record, recipe.name))
        lines += [metric_sentence(record, recipe.name, m) for m in record.metrics.by_name]
    if record.findings.signs:
        lines.append(sign_sentence(record.findings.signs))
    return lines
