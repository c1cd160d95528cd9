"""What the log says of steps that were skipped: which, and what they would have learned from."""

import logging
from collections.abc import Sequence

from restoration.common import distributed
from restoration.data import BatchPlan, CropDataset, PatchSchedule

logger = logging.getLogger("restoration")
SHOWN = 5  # steps in one line


def say_skipped(
    dataset: CropDataset, patches: PatchSchedule, accumulate: int, steps: Sequence[int]
) -> None:
    """Name steps whose gradient was not finite, and the samples of the first one on this rank.

    Args:
        dataset: the sample stream.
        patches: crop and batch of every step.
        accumulate: micro-batches per step.
        steps: numbers, from 1.
    """
    more = len(steps) - SHOWN
    listed = ", ".join(map(str, steps[:SHOWN])) + (f" and {more} more" if more > 0 else "")
    logger.warning("skipped, as the gradient is not finite: step %s", listed)
    first, rank = steps[0], distributed.rank()
    plan = BatchPlan(patches, first - 1, first, rank, distributed.world_size(), accumulate)
    numbers = [number for batch in plan for number, _ in batch]
    names = [dataset.source.names[dataset.draw(number).image] for number in numbers]
    logger.warning("samples of step %d: %s, of %s", first, _span(numbers), ", ".join(names))


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}"
