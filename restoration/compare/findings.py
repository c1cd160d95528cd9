"""Everything that a comparison found: means, differences with their verdicts, signs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restoration.compare import seeds
from restoration.compare.differences import Difference, find_differences
from restoration.compare.options import Expectation, Statistics
from restoration.compare.signs import Sign, check_signs
from restoration.degradations.conditions import Condition
from restoration.evaluate.measure import NOISY
from restoration.evaluate.rows import Mean, Row, conditions_of, summarize


@dataclass(frozen=True)
class Findings:
    """Everything that a comparison found.

    Attributes:
        rows: values per image, averaged over the seeds.
        trainings: those of every single training, with its seed; the rows where there are no seeds.
        means: over images and over sets, with their spread over several seeds.
        differences: of every recipe to the reference.
        signs: found before, and whether they are here.
    """

    rows: list[Row]
    trainings: list[Row]
    means: list[Mean]
    differences: list[Difference]
    signs: list[Sign]

    @property
    def conditions(self) -> list[Condition]:
        """Everything that the runs were tested under, in order."""
        return conditions_of(self.means)

    def of(self, recipe: str, metric: str) -> list[Difference]:
        """Return the differences of one recipe in one metric, in the order of the conditions."""
        return [d for d in self.differences if (d.recipe, d.metric) == (recipe, metric)]


def images_of(rows: Sequence[Row], run: str, condition: Condition) -> dict[tuple[str, str], Row]:
    """Rows of one run under one condition by (set, image), in the order of the sets."""
    return {
        (row.set, row.image): row for row in rows if (row.run, row.condition) == (run, condition)
    }


def find(
    rows: Sequence[Row],
    higher_is_better: Mapping[str, bool],
    reference: str,
    runs: Sequence[str],
    expected: Sequence[Expectation],
    how: Statistics,
) -> Findings:
    """Average, compare, test and count signs.

    Args:
        rows: one per run, seed (where there are several), set, image and condition, the noisy
            input among them.
        higher_is_better: by metric that was measured.
        reference: the run that the others are compared with.
        runs: the other runs.
        expected: signs that were found before.
        how: levels, margins, families of tests and groups of images.

    Returns:
        The findings.
    """
    averaged = seeds.average(rows)
    means = seeds.add_spread(summarize(averaged), rows)
    restored = [row for row in rows if row.run != NOISY]
    return Findings(
        averaged,
        list(rows),
        means,
        find_differences(restored, higher_is_better, reference, runs, how),
        check_signs(means, expected, reference, conditions_of(restored)),
    )
