"""Means of what a training reports, between two readings."""

import math
from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Means of named values since the last reading; they stay on the device until then."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.left_out: dict[str, Tensor] = {}  # how often a value did not count, by name

    def add(self, values: dict[str, Tensor], left_out: dict[str, Tensor] | None = None) -> None:
        """Add one step's values.

        Args:
            values: by name.
            left_out: True for those that do not count this time, by name.
        """
        for name, value in values.items():
            if left_out is not None and name in left_out:
                self.left_out[name] = self.left_out.get(name, 0) + left_out[name]
                value = torch.where(left_out[name], 0.0, value)
            self.sums[name] = self.sums.get(name, 0) + value
        self.count += 1

    def current(self) -> dict[str, float]:
        """Return the means so far; NaN where nothing counted."""
        counts = {name: self.count - self.num_left_out(name) for name in self.sums}
        return {n: float(v) / counts[n] if counts[n] else math.nan for n, v in self.sums.items()}

    def num_left_out(self, name: str) -> int:
        """How often a value did not count since the last reading."""
        return int(self.left_out.get(name, 0))

    def read(self) -> dict[str, float]:
        """Return the means and start again."""
        means = self.current()
        self.sums, self.count, self.left_out = {}, 0, {}
        return means

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a resumed run logs the same means."""
        return {"sums": self.sums, "count": self.count, "left_out": self.left_out}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.sums, self.count = dict(state["sums"]), state["count"]
        self.left_out = dict(state.get("left_out", {}))
