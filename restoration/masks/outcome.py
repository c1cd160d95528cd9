"""What a training of masks achieved: agreement with ratings, plain and enhanced, and the file."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from restoration.degradations.distortions import family_of
from restoration.masks.scaler import fit_scaler
from restoration.masks.trainable import EnhancedMetric
from restoration.opinion.pairs import to_tensor
from restoration.opinion.table import OpinionTable

Distance = Callable[[Tensor, Tensor], Tensor]  # (reference, distorted), (B, 3, H, W) -> (..., B)

CHUNK_PIXELS = 2**19  # pixels that are measured at once
SCALER_REFERENCES = 32  # about as many does the scaler network need


@torch.no_grad()
def distances(
    distance: Distance,
    table: OpinionTable,
    on_progress: Callable[[], None] | None = None,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Distance of every version to its reference, (P,), or (..., P) of several at once.

    Args:
        distance: what measures.
        table: the pairs.
        on_progress: called after each reference.
        device: where `distance` computes.
    """
    values = None
    for number, reference in enumerate(table.references):
        pairs = table.pairs_of(number)
        size = max(1, CHUNK_PIXELS // reference[..., 0].size)
        for start in range(0, len(pairs), size):
            chosen = pairs[start : start + size]
            distorted = to_tensor([table.versions[pair] for pair in chosen]).to(device)
            references = to_tensor([reference] * len(chosen)).to(device)
            found = distance(references, distorted).cpu().numpy()
            if values is None:
                values = np.empty((*found.shape[:-1], len(table)))
            values[..., chosen] = found
        if on_progress is not None:
            on_progress()
    assert values is not None  # a table has a pair
    return values


def agreement(
    distances: np.ndarray, table: OpinionTable, by_family: bool = False
) -> tuple[float | None, dict[str, float | None]]:
    """Spearman correlation of -distance with the scores, over all and per kind of distortion.

    None where it is not defined: a single pair, or all distances or scores equal.
    """
    groups = np.array([family_of(k) for k in table.kinds]) if by_family else table.kinds

    def spearman(chosen: np.ndarray) -> float | None:
        values, scores = distances[chosen], table.scores[chosen]
        if len(values) < 2 or np.ptp(values) == 0 or np.ptp(scores) == 0:
            return None
        return float(spearmanr(-values, scores)[0])

    kinds = {str(k): spearman(groups == k) for k in np.unique(groups)}
    return spearman(np.ones(len(table), bool)), kinds


def measure(
    distances_by_name: Mapping[str, np.ndarray], table: OpinionTable
) -> dict[str, dict[str, Any]]:
    """Agreement of several metrics with one table, ready for a JSON file.

    Returns:
        By name: "all", and by "families" and "kinds".
    """
    scores = {}
    for name, values in distances_by_name.items():
        overall, kinds = agreement(values, table)
        families = agreement(values, table, by_family=True)[1]
        scores[name] = {"all": overall, "families": families, "kinds": kinds}
    return scores


def plain_and_enhanced(
    metric: EnhancedMetric, table: OpinionTable, on_progress: Callable[[], None] | None = None
) -> dict[str, np.ndarray]:
    """Distances of a table without and with the masks, on the metric's device."""
    plain, enhanced = distances(metric.both, table, on_progress, _device_of(metric))
    return {"plain": plain, "enhanced": enhanced}


def few_references(table: OpinionTable) -> OpinionTable:
    """Every n-th reference with its versions: what a scaler network is fitted to."""
    count = len(table.references)
    return table.subset(np.arange(0, count, max(1, count // SCALER_REFERENCES)))


def trained_weights(
    metric: EnhancedMetric, table: OpinionTable, on_progress: Callable[[], None] | None = None
) -> dict[str, Tensor]:
    """What the file of trained masks holds: masks, and the scaler network of visual maps.

    Args:
        metric: with its trained masks.
        table: that the scaler network is fitted to, see `few_references`.
        on_progress: called after each reference.
    """
    errors = torch.from_numpy(distances(metric, table, on_progress, _device_of(metric))).float()
    visible = torch.from_numpy(1 - table.scores).float()
    masks = {name: weight.cpu() for name, weight in metric.folded().items()}
    return masks | fit_scaler(errors, visible)


def _device_of(metric: EnhancedMetric) -> torch.device:
    return next(metric.masks.parameters()).device
