"""The metrics that options ask for: built before any work starts, optional ones where possible."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from restoration.metrics.learned import MetricUnavailable
from restoration.metrics.registry import Metric, build_metrics, share
from restoration.metrics.table import Column


@dataclass
class Metrics:
    """The metrics that can be had, and a footnote for each optional one that cannot.

    Metrics on equal backbones share one.
    """

    by_name: dict[str, Metric]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        share(self.by_name.values())

    @property
    def columns(self) -> dict[str, Column]:
        """What tables say about them, by name."""
        return {name: metric.column for name, metric in self.by_name.items()}


def open_metrics(specs: Sequence[str | dict[str, Any]]) -> Metrics:
    """Build metrics before the work starts; one marked `optional` may be missing.

    Raises:
        ValueError: a metric is unknown or given twice under one name, or its weights are missing
            and it is not optional.
    """
    by_name: dict[str, Metric] = {}
    notes: list[str] = []
    for spec in specs:
        options = {"type": spec} if isinstance(spec, str) else dict(spec)
        optional = options.pop("optional", False)
        try:
            (metric,) = build_metrics([options]).values()
        except MetricUnavailable as error:
            if not optional:
                raise
            notes.append(str(error))
            continue
        if metric.name in by_name:
            raise ValueError(
                f"val.metrics: expected every metric once, got two named {metric.name!r}: "
                "give one of them another `name`"
            )
        by_name[metric.name] = metric
    return Metrics(by_name, notes)
