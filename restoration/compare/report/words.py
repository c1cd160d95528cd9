"""What was found, in sentences that a person understands."""

from collections.abc import Sequence

from restoration.compare.differences import Difference
from restoration.compare.report.notes import about_absent, about_judges, about_start
from restoration.compare.result import Record, listing
from restoration.compare.signs import AGREES, EQUAL, NOT_MEASURED, Sign
from restoration.compare.verdicts import (
    BETTER,
    EQUIVALENT,
    INCONCLUSIVE,
    MOST_ERRORS,
    SINGLE_TRAINING,
    TOO_FEW,
    WORSE,
)
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import condition_text, only_gaussian
from restoration.metrics import Column

IDENTICAL = "identical"
PHRASES = {
    BETTER: "better than {reference} {where} ({gap})",
    WORSE: "worse than {reference} {where} ({gap})",
    EQUIVALENT: "equivalent to {reference} {where} (within {margin}; mean difference {means})",
    IDENTICAL: "the same values as {reference} on every image {where}",
    INCONCLUSIVE: "inconclusive against {reference} {where} (mean difference {means}, {interval})",
    TOO_FEW: "too few to tell against {reference} {where} (mean difference {means}; {numbers})",
    SINGLE_TRAINING: "on new photographs these two networks differ by {means} {where} ({interval})",
}
COUNTED = {
    BETTER: "{} better",
    WORSE: "{} worse",
    EQUIVALENT: "{} equivalent",
    INCONCLUSIVE: "{} inconclusive",
    TOO_FEW: "{} with too few trainings or photographs",
    SINGLE_TRAINING: "{} of single trainings",
}


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
    ordered = sorted(some, key=lambda difference: abs(difference.estimate.mean))
    sizes = _span([column.signed(abs(d.estimate.mean)).lstrip("+") for d in ordered])
    rates = sorted(difference.win_rate for difference in some)
    ahead = _span([f"{rate:.0%}" for rate in rates])
    return f"by {_with_unit(sizes, column)} on average, ahead on {ahead} of the images"


def _with_unit(text: str, column: Column) -> str:
    return f"{text} {column.unit}".rstrip()


def _intervals(record: Record, some: Sequence[Difference], column: Column) -> str:
    """Say how far the intervals reach; the widest ends where there are several."""
    ends = [
        (difference.estimate.low, difference.estimate.high)
        for difference in some
        if difference.estimate.low is not None and difference.estimate.high is not None
    ]
    if not ends:
        return "no interval"
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    confidence = f"{record.plan.settings.statistics.confidence:.0%}"
    word = f"{confidence} interval" if len(ends) == 1 else f"{confidence} intervals within"
    return f"{word} {column.signed(low)} to {column.signed(high)}"


def _numbers(difference: Difference) -> str:
    """Say how many trainings and photographs there are, and how many a verdict needs."""
    estimate = difference.estimate
    counts = ((estimate.num_trainings, "training"), (estimate.num_photographs, "photograph"))
    have = [f"{n} {word}{'s' if n != 1 else ''}" for n, word in counts if n < difference.fewest]
    needed = f"{difference.fewest} of each are" if len(have) > 1 else f"{difference.fewest} are"
    return f"{' and '.join(have)}, at least {needed} needed"


def _phrase(record: Record, kind: str, some: Sequence[Difference], where: str) -> str:
    column = record.columns[some[0].metric]
    means = _span([column.signed(mean) for mean in sorted(d.estimate.mean for d in some)])
    margin = some[0].margin
    return PHRASES[kind].format(
        reference=record.plan.reference.name,
        where=where,
        gap=gap(some, column),
        means=_with_unit(means, column),
        interval=_intervals(record, some, column),
        margin="any margin" if margin is None else _with_unit(f"{margin:g}", column),
        numbers=_numbers(some[0]),
    )


def _kind(difference: Difference) -> str:
    return IDENTICAL if difference.estimate.identical else difference.verdict


def metric_sentence(record: Record, recipe: str, metric: str) -> str:
    """Say in one sentence how a recipe compares with the reference in one metric."""
    every, column = record.findings.of(recipe, metric), record.columns[metric]
    conditions = [difference.condition for difference in every]
    parts = []
    for kind in PHRASES:
        some = [difference for difference in every if _kind(difference) == kind]
        if some:
            where = at_conditions([difference.condition for difference in some], conditions)
            parts.append(_phrase(record, kind, some, where))
    infinite = [c for name, m, c in record.missing if (name, m) == (recipe, metric)]
    if infinite:
        where = at_conditions(infinite, [*conditions, *infinite])
        parts.append(f"no finite difference to {record.plan.reference.name} {where}")
    return f"{column.label}: {'; '.join(parts)}."


def headline(record: Record, recipe: str) -> str:
    """Count a recipe's verdicts over all metrics and noise levels."""
    every = [
        difference for difference in record.findings.differences if difference.recipe == recipe
    ]
    reference = record.plan.reference.name
    counts = {kind: sum(difference.verdict == kind for difference in every) for kind in COUNTED}
    if every and all(difference.estimate.identical for difference in every):
        text = f"{recipe} and {reference} give exactly the same values on every image."
    elif every and counts[SINGLE_TRAINING] == len(every):
        text = f"{recipe} against {reference}: no side wins."
    else:
        said = [COUNTED[kind].format(n) for kind, n in counts.items() if n]
        what = "comparison" if len(every) == 1 else "comparisons"
        text = f"{recipe} against {reference}: of {len(every)} {what}, {listing(said or ['none'])}."
    if counts[SINGLE_TRAINING]:
        text += (
            " Where a side was trained once, two networks are compared on new photographs, "
            "not two losses."
        )
    return text


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
            "Values are means over the trainings. Verdicts and intervals are for new trainings on "
            "new photographs of this kind; the second interval is for new trainings "
            "on exactly these images."
        )
    return (
        f"Every recipe was trained once, with seed {named}, for {length}. Intervals compare these "
        "networks on new photographs: they do not say what another training would give, so no "
        "loss is called better. "
        "\N{LEFT DOUBLE QUOTATION MARK}seeds: [0, 1, 2]\N{RIGHT DOUBLE QUOTATION MARK} in the "
        "option file trains every recipe several times."
    )


def _photographs(record: Record) -> str:
    """Say how many images were tested, and how many photographs they are of."""
    images, photographs = record.num_images, record.num_photographs
    text = f"{images} test image{'s' if images != 1 else ''}"
    if photographs < images:
        plural = "s" if photographs != 1 else ""
        return f"{text} from {photographs} photograph{plural}, each of which counts once."
    return f"{text}."


def caveats(record: Record) -> list[str]:
    """Say what the answer rests on, and what it does not tell."""
    plan, said = record.plan, [_photographs(record)]
    if any(d.verdict == TOO_FEW for d in record.findings.differences):
        said.append(
            "\N{LEFT DOUBLE QUOTATION MARK}Too few\N{RIGHT DOUBLE QUOTATION MARK}: with so few "
            "trainings or photographs, and so many tests, only a mean difference of more than "
            f"{MOST_ERRORS:g} standard errors could be significant."
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
    said += [*about_start(record), *about_absent(record), *about_judges(record)]
    return [*said, *plan.settings.notes, *record.metrics.notes]
