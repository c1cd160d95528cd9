"""Batches of a training of masks: aligned crops of references and of their distorted versions.

Every batch is a pure function of (seed, step), so that a resumed training sees the same pairs as
one that was never interrupted.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restoration.opinion.pairs import symmetry, to_tensor
from restoration.opinion.table import OpinionTable

BLOCK = 8  # crops stand on the grid of JPEG's blocks


@dataclass(frozen=True)
class MaskSettings:
    """What a training of masks depends on, apart from metric and data."""

    num_steps: int = 1000
    crop: int = 96
    batch_references: int = 6
    batch_versions: int = 4
    learning_rate: float = 1e-3
    warmup_iter: int = 0
    scaled_rates: bool = False
    rank_weight: float = 1.0
    place: str = "dissimilarity"
    place_weight: float = 0.5
    tap_weight: float = 0.5
    seed: int = 0


def check_table(table: OpinionTable, settings: MaskSettings) -> None:
    """Raise ValueError unless batches can be drawn from the table."""
    if len(table.references) < settings.batch_references:
        raise ValueError(
            f"expected {settings.batch_references} references or more for a batch, "
            f"got {len(table.references)}: lower train.batch_references"
        )
    least = min(min(image.shape[:2]) for image in table.references)
    if settings.crop > least or settings.crop % BLOCK:
        raise ValueError(
            f"expected a crop of at most {least} pixels, the shortest side of a reference, and a "
            f"multiple of {BLOCK}, got {settings.crop}"
        )


def draw_batch(
    table: OpinionTable, settings: MaskSettings, step: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the pairs of one step, a pure function of seed and step.

    Args:
        table: what is drawn from.
        settings: of the training.
        step: number of the step.
        device: where the tensors go.

    Returns:
        References and distorted versions, (B, 3, crop, crop) in [0, 1] each, and scores, (B,).
    """
    rng = np.random.default_rng((settings.seed, step))
    rows = rng.choice(len(table.references), settings.batch_references, replace=False)
    references, versions, scores = [], [], []
    for row in rows:
        reference, side = table.references[row], settings.crop
        turn = int(rng.integers(8))
        free = np.array(reference.shape[:2]) - side
        top, left = rng.integers(0, free // BLOCK + 1) * BLOCK
        place = (slice(top, top + side), slice(left, left + side))
        for pair in rng.permutation(table.pairs_of(row))[: settings.batch_versions]:
            references.append(symmetry(reference[place], turn))
            versions.append(symmetry(table.versions[pair][place], turn))
            scores.append(table.scores[pair])
    targets = torch.tensor(scores, dtype=torch.float32)
    return to_tensor(references).to(device), to_tensor(versions).to(device), targets.to(device)
