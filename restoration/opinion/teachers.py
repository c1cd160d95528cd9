"""Pseudo-MOS: distorted photographs scored by an ensemble of training-free metrics.

The idea is MILO's (arXiv:2509.01411): reproducible distortions, scored by metrics that agree with
people, stand in for human labels. Metrics come from piq; each is mapped to its rank in the table,
so that all have one scale, and averaged.

The published agreement of these metrics is that of photographs of about 512 pixels, which most of
them halve before they look. A small cut is halved here in their stead: else they would judge it
from half the distance.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import cv2
import numpy as np
import piq
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

import losses
from restoration.degradations.distortions import DISTORTIONS, Distortion, distort
from restoration.opinion.pairs import crop, to_tensor
from restoration.opinion.table import OpinionTable

Teacher = Callable[[Tensor, Tensor], Tensor]

HALVING_SIDE = 384  # piq halves from here on: round(side / 256) = 2


def halved(metric: Teacher) -> Teacher:
    """Let a metric see images of less than 384 pixels at half their size, like larger ones."""

    def at_viewing_scale(x: Tensor, y: Tensor) -> Tensor:
        if min(x.shape[-2:]) < HALVING_SIDE:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return metric(x, y)

    return at_viewing_scale


# each returns (B,), higher is better
TEACHERS: dict[str, Teacher] = {
    "haarpsi": lambda x, y: piq.haarpsi(x, y, reduction="none"),  # halves at every size
    "vsi": halved(lambda x, y: piq.vsi(x, y, reduction="none")),
    "fsim": halved(lambda x, y: piq.fsim(x, y, reduction="none")),
    "mdsi": halved(lambda x, y: -piq.mdsi(x, y, reduction="none")),
}
HELD_OUT_TEACHERS: dict[str, Teacher] = {
    "ms_gmsd": lambda x, y: -piq.multi_scale_gmsd(x, y, reduction="none"),
    "iw_ssim": lambda x, y: piq.information_weighted_ssim(x, y, reduction="none"),
}


@cache
def _dists() -> losses.Loss:
    return losses.DISTS(reduction="none")


@cache
def _lpips() -> losses.Loss:
    return losses.LPIPS("vgg", reduction="none")


# on VGG-16, whose published weights must be here or be downloaded; built when first asked
LEARNED_TEACHERS: dict[str, Teacher] = {
    "dists": lambda x, y: -_dists()(x, y),
    "lpips": lambda x, y: -_lpips()(x, y),
}


def ensemble(teachers: dict[str, np.ndarray]) -> np.ndarray:
    """Average the ranks of raw scores, each an array of one shape: values in [0, 1]."""
    raw = np.stack(list(teachers.values()))
    flat = raw.reshape(len(raw), -1)
    ranks = np.stack([rankdata(row) for row in flat])
    return ((ranks - 1) / max(1, flat.shape[1] - 1)).mean(0).reshape(raw.shape[1:])


def raw_scores(
    references: np.ndarray,
    versions: np.ndarray,
    teachers: dict[str, Teacher],
    on_progress: Callable[[], None] | None = None,
) -> dict[str, np.ndarray]:
    """Score every version with every teacher, (N, V) each, higher is better."""
    scores = {name: np.empty(versions.shape[:2]) for name in teachers}
    for number in range(len(references)):
        distorted = to_tensor(versions[number])
        reference = to_tensor([references[number]] * len(distorted))
        with torch.no_grad():
            for name, teacher in teachers.items():
                scores[name][number] = teacher(distorted, reference).numpy()
        if on_progress is not None:
            on_progress()
    return scores


def vary(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Vary a clean photograph: for one half another scale, for one third another tone curve.

    Args:
        image: RGB (H, W, 3) uint8.
        size: side that must remain.
        rng: what the variation is drawn from.

    Returns:
        RGB uint8, smaller or equal, with sides of `size` or more.
    """
    if rng.random() < 0.5:
        scale = rng.uniform(max(0.4, size / min(image.shape[:2])), 1)
        sides = tuple(max(size, round(side * scale)) for side in image.shape[1::-1])
        image = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    if rng.random() < 1 / 3:
        image = (255 * (image / 255.0) ** rng.uniform(0.6, 1.8)).round().astype(np.uint8)
    return image


def draw_table(
    images: Sequence[np.ndarray],
    num_references: int,
    num_versions: int,
    size: int,
    seed: int,
    teachers: dict[str, Teacher] | None = None,
    kinds: Mapping[str, Distortion] = DISTORTIONS,
    levels: Sequence[float] | None = None,
    on_progress: Callable[[], None] | None = None,
) -> OpinionTable:
    """Distort random cuts of varied photographs by random kinds and levels, and score them.

    Args:
        images: RGB (H, W, 3) uint8, each used in turn.
        num_references: how many cuts.
        num_versions: distorted versions of each.
        size: side of a cut.
        seed: of everything drawn.
        teachers: the ensemble; None for `TEACHERS`.
        kinds: distortions to choose from, by name.
        levels: strengths to choose from, 1 to 5; None for all between, whole or not.
        on_progress: called twice per reference, when it is distorted and when it is scored.

    Returns:
        The table, a pure function of the arguments.
    """
    rng = np.random.default_rng(seed)
    names = list(kinds)
    references, versions, numbers = [], [], []
    for number in range(num_references):
        reference = crop(vary(images[number % len(images)], size, rng), size, rng)
        chosen = rng.permutation(len(names))[np.arange(num_versions) % len(names)]
        if levels is None:
            strengths = rng.uniform(1, 5, num_versions)
        else:
            strengths = rng.choice(np.array(levels, float), num_versions)
        references.append(reference)
        numbers.append(chosen)
        versions.append(
            [
                distort(reference, names[kind], float(level), (seed, number, k), kinds)
                for k, (kind, level) in enumerate(zip(chosen, strengths, strict=True))
            ]
        )
        if on_progress is not None:
            on_progress()
    raw = raw_scores(np.stack(references), np.array(versions), teachers or TEACHERS, on_progress)
    return OpinionTable(
        np.stack(references),
        np.concatenate(versions),
        np.repeat(np.arange(num_references), num_versions),
        np.array(names)[np.concatenate(numbers)],
        ensemble(raw).ravel(),
        np.arange(num_references) % len(images),
    )
