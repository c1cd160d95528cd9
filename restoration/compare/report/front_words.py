"""Which front lies above, in sentences and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from restoration.compare.front_difference import NO_OVERLAP, FrontDifference
from restoration.compare.fronts import METHOD, Panel
from restoration.compare.report.words import at_conditions
from restoration.compare.result import Record, p_words, slashes
from restoration.compare.verdicts import (
    BETTER,
    EQUIVALENT,
    INCONCLUSIVE,
    SINGLE_TRAINING,
    TOO_FEW,
    WORSE,
)
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import condition_text, only_gaussian
from restoration.metrics import Column

CROSSING = "crossing"
PHRASES = {
    BETTER: "lies above that of {reference} {where} ({gap})",
    WORSE: "lies below that of {reference} {where} ({gap})",
    EQUIVALENT: "is equivalent to that of {reference} {where} (within {margin}; {gap})",
    CROSSING: "crosses that of {reference} {where}, so that neither is above ({gap})",
    INCONCLUSIVE: "is inconclusive against that of {reference} {where} ({gap})",
    TOO_FEW: "has too few trainings or photographs to tell against that of {reference} {where} "
    "({gap})",
    SINGLE_TRAINING: "was trained once, which tells nothing of the loss; against that of "
    "{reference} it differs {where} ({gap})",
    NO_OVERLAP: "does not overlap with that of {reference} {where}: in some training "
    "they reach no distance in common, or one weight of a loss excels all others",
}


@dataclass(frozen=True)
class Pair:
    """All panels of one quality and one distance."""

    quality: str
    distance: str
    panels: list[Panel]


def pairs_of(record: Record) -> list[Pair]:
    """Group the panels: one figure and one table each, PSNR against LPIPS first."""
    pairs: dict[tuple[str, str], list[Panel]] = {}
    for panel in record.fronts:
        pairs.setdefault((panel.quality, panel.distance), []).append(panel)
    return [Pair(*key, panels) for key, panels in pairs.items()]


def _kind(difference: FrontDifference) -> str:
    if difference.verdict == INCONCLUSIVE and difference.crosses:
        clear = difference.p_holm is not None and difference.estimate is not None
        low = difference.estimate.low if clear and difference.estimate else None
        high = difference.estimate.high if clear and difference.estimate else None
        if low is not None and high is not None and not low <= 0 <= high:
            return CROSSING
    return difference.verdict


def _gap(some: Sequence[FrontDifference], quality: Column, confidence: str) -> str:
    estimates = [one.estimate for one in some if one.estimate is not None]
    if not estimates:
        return ""
    means = sorted(one.mean for one in estimates)
    ends = list(dict.fromkeys(quality.signed(mean) for mean in (means[0], means[-1])))
    text = f"{' to '.join(ends)} {quality.unit}".rstrip()
    bounds = [(one.low, one.high) for one in estimates if one.low is not None]
    if bounds:
        low = min(low for low, _ in bounds if low is not None)
        high = max(high for _, high in bounds if high is not None)
        word = "interval" if len(bounds) == 1 else "intervals within"
        text += f", {confidence} {word} {quality.signed(low)} to {quality.signed(high)}"
    return text


def sentences(record: Record, pair: Pair) -> list[str]:
    """Say of every front how it lies to that of the reference."""
    quality, distance = record.columns[pair.quality], record.columns[pair.distance]
    margin = record.plan.settings.statistics.margins.get(pair.quality)
    confidence = f"{record.plan.settings.statistics.confidence:.0%}"
    by_curve: dict[tuple[str, str], list[tuple[Condition, FrontDifference]]] = {}
    for panel in pair.panels:
        for one in panel.differences:
            by_curve.setdefault((one.curve, one.reference), []).append((panel.condition, one))
    said = []
    for (curve, reference), found in by_curve.items():
        parts = []
        for kind, phrase in PHRASES.items():
            some = [(condition, one) for condition, one in found if _kind(one) == kind]
            if some:
                where = at_conditions(
                    [condition for condition, _ in some], [condition for condition, _ in found]
                )
                parts.append(
                    phrase.format(
                        reference=reference,
                        where=where,
                        gap=_gap([one for _, one in some], quality, confidence),
                        margin=f"{margin:g} {quality.unit}".rstrip() if margin else "no margin",
                    )
                )
        what = f"{quality.label} at equal {distance.label}"
        said.append(f"{what}: the front of {curve} {'; '.join(parts)}.")
    return said


def front_sentences(record: Record) -> list[str]:
    """All sentences of all fronts; nothing without a grid."""
    return [sentence for pair in pairs_of(record) for sentence in sentences(record, pair)]


def table(record: Record, pair: Pair) -> list[dict[str, Any]]:
    """Build a row per front and condition."""
    quality, distance = record.columns[pair.quality], record.columns[pair.distance]
    gaussian = only_gaussian(record.findings.conditions)
    rows = []
    for panel in pair.panels:
        for one in panel.differences:
            found = one.estimate
            ends = [] if found is None else [found.low, found.high]
            fixed = [] if found is None else [found.low_fixed, found.high_fixed]
            rows.append(
                {
                    "curve": one.curve,
                    "against": one.reference,
                    "condition": condition_text(
                        panel.condition, "{:g}" if gaussian else "sigma {:g}"
                    ),
                    "word": one.verdict,
                    "mean": quality.signed(None if found is None else found.mean),
                    "interval": _range(ends, quality.signed),
                    "seeds": slashes([quality.signed(v) for v in one.by_seed.values()]) or "-",
                    "fixed": _range(fixed, quality.signed),
                    "along": _range(one.ends or [], quality.signed),
                    "overlap": _range(one.overlap or [], distance.text),
                    "p_holm": p_words(one.p_holm),
                    "p": p_words(None if found is None else found.p),
                }
            )
    return rows


def _range(ends: Sequence[float | None], spell: Any) -> str:
    if len(ends) != 2 or None in ends:
        return "-"
    return f"{spell(ends[0])} to {spell(ends[1])}"


def method(record: Record) -> str:
    """How fronts are compared, in words."""
    families: dict[bool, int] = {}
    primary = record.plan.settings.statistics.primary
    for panel in record.fronts:
        first = primary is None or {panel.quality, panel.distance} <= set(primary)
        tested = [d for d in panel.differences if d.p_holm is not None]
        families[first] = families.get(first, 0) + len(tested)
    counts = [count for count in families.values() if count]
    held = " and ".join(map(str, counts))
    return f"{METHOD}; Holm's correction over {held} tests" if counts else METHOD
