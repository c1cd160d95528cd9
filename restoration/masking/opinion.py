"""Pseudo-opinion: distorted photographs scored by an ensemble of training-free metrics.

The idea is MILO's (arXiv:2509.01411): reproducible distortions, scored by metrics that agree with
people, stand in for human labels. Metrics come from piq; each is mapped to its rank in the table,
so that all have one scale, and averaged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import piq
import torch
from rich.progress import track
from scipy.stats import rankdata
from torch import Tensor

from restoration.masking.distortions import DISTORTIONS, distort
from restoration.masking.pairs import crop, to_tensor

Teacher = Callable[[Tensor, Tensor], Tensor]

# each returns (B,), higher is better
TEACHERS: dict[str, Teacher] = {
    "haarpsi": lambda x, y: piq.haarpsi(x, y, reduction="none"),
    "vsi": lambda x, y: piq.vsi(x, y, reduction="none"),
    "fsim": lambda x, y: piq.fsim(x, y, reduction="none"),
    "mdsi": lambda x, y: -piq.mdsi(x, y, reduction="none"),
}
HELD_OUT_TEACHERS: dict[str, Teacher] = {
    "ms_gmsd": lambda x, y: -piq.multi_scale_gmsd(x, y, reduction="none"),
    "iw_ssim": lambda x, y: piq.information_weighted_ssim(x, y, reduction="none"),
}


@dataclass
class OpinionTable:
    """References, distorted versions of each, and their scores.

    Args:
        references: (N, S, S, 3) uint8.
        versions: (N, V, S, S, 3) uint8.
        kinds: (N, V) index of the distortion in `DISTORTIONS`.
        scores: (N, V) in [0, 1], higher is better.
    """

    references: np.ndarray
    versions: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray

    def save(self, path: Path) -> None:
        """Write the table as .npz."""
        np.savez(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "OpinionTable":
        """Read what `save` wrote."""
        with np.load(path) as content:
            return cls(**dict(content))


def ensemble(teachers: dict[str, np.ndarray]) -> np.ndarray:
    """Average the ranks of raw scores, each an array of one shape: values in [0, 1]."""
    raw = np.stack(list(teachers.values()))
    flat = raw.reshape(len(raw), -1)
    ranks = np.stack([rankdata(row) for row in flat])
    return ((ranks - 1) / max(1, flat.shape[1] - 1)).mean(0).reshape(raw.shape[1:])


def raw_scores(
    references: np.ndarray, versions: np.ndarray, teachers: dict[str, Teacher]
) -> dict[str, np.ndarray]:
    """Score every version with every teacher, (N, V) each, higher is better."""
    scores = {name: np.empty(versions.shape[:2]) for name in teachers}
    for number in track(range(len(references)), "scoring", transient=True):
        distorted = to_tensor(versions[number])
        reference = to_tensor([references[number]] * len(distorted))
        with torch.no_grad():
            for name, teacher in teachers.items():
                scores[name][number] = teacher(distorted, reference).numpy()
    return scores


def draw_table(
    images: Sequence[np.ndarray],
    num_references: int,
    num_versions: int,
    size: int,
    seed: int,
    teachers: dict[str, Teacher] | None = None,
) -> OpinionTable:
    """Distort random cuts of photographs by random kinds and levels, and score them.

    Args:
        images: RGB (H, W, 3) uint8, each used in turn.
        num_references: how many cuts.
        num_versions: distorted versions of each.
        size: side of a cut.
        seed: of everything drawn.
        teachers: the ensemble; None for `TEACHERS`.

    Returns:
        The table, a pure function of the arguments.
    """
    rng = np.random.default_rng(seed)
    names = list(DISTORTIONS)
    references, versions, kinds = [], [], []
    for number in track(range(num_references), "distorting", transient=True):
        reference = crop(images[number % len(images)], size, rng)
        chosen = rng.permutation(len(names))[np.arange(num_versions) % len(names)]
        levels = rng.uniform(1, 5, num_versions)
        references.append(reference)
        kinds.append(chosen)
        versions.append(
            [
                distort(reference, names[kind], float(level), (seed, number, k))
                for k, (kind, level) in enumerate(zip(chosen, levels, strict=True))
            ]
        )
    table = OpinionTable(np.stack(references), np.array(versions), np.stack(kinds), np.zeros(0))
    raw = raw_scores(table.references, table.versions, teachers or TEACHERS)
    table.scores = ensemble(raw)
    return table
