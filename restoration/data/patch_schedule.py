"""Progressive learning (Restormer, arXiv:2111.09881): larger crops, smaller batches.

Crop, batch and the number of samples used so far are pure functions of the step, so a resumed run
needs nothing but its step number.
"""

from collections.abc import Sequence
from itertools import accumulate


class PatchSchedule:
    """Stages of training, each with its own crop and batch.

    Steps count from 0; the last stage goes on for as long as training does.

    Args:
        iters: steps of each stage.
        batch_sizes: samples per rank and step, of each stage.
        patch_sizes: side of the crop, of each stage.

    Raises:
        ValueError: the lengths differ, or a number is not positive.
    """

    def __init__(
        self, iters: Sequence[int], batch_sizes: Sequence[int], patch_sizes: Sequence[int]
    ) -> None:
        self.iters, self.batch_sizes = tuple(iters), tuple(batch_sizes)
        self.patch_sizes = tuple(patch_sizes)
        if not self.iters or not len(self.iters) == len(self.batch_sizes) == len(self.patch_sizes):
            raise ValueError(
                "expected iters, batch_sizes and patch_sizes of one length, got "
                f"{len(self.iters)}, {len(self.batch_sizes)} and {len(self.patch_sizes)}"
            )
        if min(self.iters + self.batch_sizes + self.patch_sizes) < 1:
            raise ValueError(
                "expected iters, batch_sizes and patch_sizes of at least 1, got "
                f"{self.iters}, {self.batch_sizes} and {self.patch_sizes}"
            )
        self._starts = (0, *accumulate(self.iters[:-1]))

    def at(self, step: int) -> tuple[int, int]:
        """Crop and batch of one step.

        Args:
            step: from 0.

        Returns:
            Side of the crop, and samples per rank.
        """
        stage = self.stage(step)
        return self.patch_sizes[stage], self.batch_sizes[stage]

    def stage(self, step: int) -> int:
        """The number of the stage that a step belongs to, from 0."""
        if step < 0:
            raise ValueError(f"expected a step >= 0, got {step}")
        return sum(step >= start for start in self._starts) - 1

    def first_sample(self, step: int, world_size: int, accumulate: int = 1) -> int:
        """How many samples all ranks together have used before a step.

        Args:
            step: from 0.
            world_size: ranks.
            accumulate: batches per step and rank (gradient accumulation).

        Returns:
            The number of the first sample of the step.
        """
        if step < 0 or world_size < 1 or accumulate < 1:
            raise ValueError(
                "expected step >= 0, world_size >= 1 and accumulate >= 1, "
                f"got {step}, {world_size} and {accumulate}"
            )
        stage = self.stage(step)
        whole = sum(
            n * b for n, b in zip(self.iters[:stage], self.batch_sizes[:stage], strict=True)
        )
        within = (step - self._starts[stage]) * self.batch_sizes[stage]
        return (whole + within) * world_size * accumulate
