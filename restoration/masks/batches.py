"""Batches of a training of masks: aligned crops of references and of their distorted versions.

Every batch is a pure function of (seed, step), so that a resumed training sees the same pairs as
one that was never interrupted.
"""

from collections.abc import Iterator
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
    contrast_weight: float = 0.0
    balance_weight: float = 0.0
    tap_decay: float | None = None
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
    references, versions, scores = [], [], []
    for cut in _draw_cuts(table, settings, step):
        place, reference = cut.of_pixels, table.references[cut.row]
        for pair in cut.pairs:
            references.append(symmetry(reference[place], cut.turn))
            versions.append(symmetry(table.versions[pair][place], cut.turn))
            scores.append(table.scores[pair])
    targets = torch.tensor(scores, dtype=torch.float32)
    return to_tensor(references).to(device), to_tensor(versions).to(device), targets.to(device)


def draw_visible(
    table: OpinionTable, settings: MaskSettings, step: int, device: torch.device | str = "cpu"
) -> Tensor | None:
    """What is seen in the blocks of the pairs that `draw_batch` draws.

    Returns:
        (B, 1, crop / 8, crop / 8), not negative; None where the table does not know.
    """
    if table.visible is None:
        return None
    blocks = [
        symmetry(table.visible[pair][cut.of_blocks], cut.turn)
        for cut in _draw_cuts(table, settings, step)
        for pair in cut.pairs
    ]
    return torch.from_numpy(np.stack(blocks))[:, None].float().to(device)


@dataclass(frozen=True)
class _Cut:
    """One place of one reference and the versions of it that are taken there."""

    row: int
    pairs: np.ndarray
    top: int  # in blocks, as all that follows
    left: int
    side: int
    turn: int  # number of the symmetry

    @property
    def of_blocks(self) -> tuple[slice, slice]:
        return self._slices(1)

    @property
    def of_pixels(self) -> tuple[slice, slice]:
        return self._slices(BLOCK)

    def _slices(self, size: int) -> tuple[slice, slice]:
        starts = (self.top, self.left)
        rows, columns = (slice(size * n, size * (n + self.side)) for n in starts)
        return rows, columns


def _draw_cuts(table: OpinionTable, settings: MaskSettings, step: int) -> Iterator[_Cut]:
    rng = np.random.default_rng((settings.seed, step))
    for row in rng.choice(len(table.references), settings.batch_references, replace=False):
        turn = int(rng.integers(8))
        free = np.array(table.references[row].shape[:2]) - settings.crop
        top, left = rng.integers(0, free // BLOCK + 1).tolist()
        pairs = rng.permutation(table.pairs_of(row))[: settings.batch_versions]
        yield _Cut(row, pairs, top, left, settings.crop // BLOCK, turn)
