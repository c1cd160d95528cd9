"""How the report marks verdicts and noise levels."""

from restoration.compare.verdicts import (
    BETTER,
    EQUIVALENT,
    INCONCLUSIVE,
    SINGLE_TRAINING,
    TOO_FEW,
    WORSE,
)
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import condition_text

NOTHING = "\N{EN DASH}"
NOT_COMPARED = "no finite difference"
GLYPHS = {
    BETTER: "\N{BLACK UP-POINTING TRIANGLE}",
    WORSE: "\N{BLACK DOWN-POINTING TRIANGLE}",
    EQUIVALENT: "\N{ALMOST EQUAL TO}",
    INCONCLUSIVE: "?",
    TOO_FEW: "\N{HORIZONTAL ELLIPSIS}",
    SINGLE_TRAINING: "1",
    NOT_COMPARED: NOTHING,
}
CLASSES = {BETTER: "better", WORSE: "worse"}


def sigma_text(condition: Condition) -> str:
    """Name a condition at the head of columns."""
    return condition_text(condition, "σ = {:g}")
