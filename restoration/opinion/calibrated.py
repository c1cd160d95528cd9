"""Ratings of photographs distorted here, calibrated by what people said of each kind and level.

Metrics order the levels of one kind well, and fail between kinds: is this noise worse than that
blur? People's mean rating (MOS) of each of KADID-10k's 25 kinds at its 5 levels says so
(`kadid10k_means.csv`), and explains nine tenths of the variance of all its scores. A rating is
that mean at the level, and between levels its interpolation. What the error of this photograph
says beside it moves the level: towards the one at which a photograph has that error on average.
Nobody rated the outputs of the denoisers that a training may add. They are rated as KADID-10k's
denoised photographs with the same error.

Source: DMOS (1 to 5, 5 is best) of Lin, Hosu, Saupe 2019, "KADID-10k: A Large-scale Artificially
Distorted IQA Database"; the 125 means over its 81 photographs are facts computed from them.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from restoration.degradations.distortions import DENOISED, Distortion, distort
from restoration.degradations.kadid import BEST_IN_THE_MIDDLE, RATED
from restoration.opinion.masking import visible_error
from restoration.opinion.pairs import crop, to_tensor
from restoration.opinion.table import OpinionTable

Teacher = Callable[[Tensor, Tensor], Tensor]  # (distorted, reference) -> (B,), higher is better

MEANS = Path(__file__).with_name("kadid10k_means.csv")
LEVELS = np.arange(1.0, 6.0)
SMALLEST = 1e-6  # keeps the logarithm of an error finite
BEST, WORST = 5.0, 1.0  # of the scale of the means
MARGIN, BLOCK = 16, 8  # pixels around a cut that are distorted with it; side of JPEG's blocks
SMOOTHING = 0.35  # levels; width of the local lines that say how a metric falls with the level
GRID = np.linspace(1, 5, 81)
WHOLE_LEVELS = 0.3  # share of versions at a whole level
TONE_CURVES = 0.25  # share of photographs that get another tone curve
TRIES, VISIBLE = 6, 40  # local kinds are drawn again until the cut shows this difference (of 255)
LOCAL = ("color_block", "patch_displacement")
NOISE = ("white_noise", "white_noise_color")  # kinds that the reference's contrast may hide
STEEPEST, MOST_CONTRAST = 1.5, 0.3  # of random textures: exponent of their spectrum, contrast
OF_DENOISERS = "denoise"  # the kind whose means rate the outputs of other denoisers


@dataclass(frozen=True)
class Calibration:
    """What is distorted, and what a rating follows beside the kind of distortion.

    Args:
        own_level: share of the drawn level in the one that is rated, in [0, 1].
        smallest_scale: photographs are shrunk by factors from this to 1, as far as a cut fits.
        noise_masking: exponent of the reference's contrast by which it hides white noise, see
            `masking.visible_error`; 0: noise is rated by its error alone.
        texture_every: every n-th reference is a random texture and no photograph; 0: none.
        metrics_share: share of the rating by `teachers.TEACHERS`, their mean rank over all
            versions, in a rating; the rest is what people said.
    """

    own_level: float = 0.25
    smallest_scale: float = 1.0
    noise_masking: float = 0.0
    texture_every: int = 0
    metrics_share: float = 0.0

    @property
    def passes(self) -> int:
        """How often each reference is looked at while a table is made: steps of its progress."""
        return 3 if self.metrics_share else 2


DEFAULT = Calibration()


def mae(x: Tensor, y: Tensor) -> Tensor:
    """Logarithm of the mean absolute error, negative: the teacher by default."""
    return -((x - y).abs().mean((1, 2, 3)) + SMALLEST).log()


def masked_mae(x: Tensor, y: Tensor, exponent: float) -> list[float]:
    """The same of what the contrast of the reference y leaves of the error of each pair."""
    pairs = zip(x.split(1), y.split(1), strict=True)
    return [-math.log(visible_error(b, a, exponent).mean().item() + SMALLEST) for a, b in pairs]


@cache
def people_means() -> dict[str, np.ndarray]:
    """People's mean rating (MOS) by kind, (5,) for the levels, from 1 (worst) to 5 (best)."""
    with MEANS.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return {kind: np.array(values, float) for kind, *values in rows}


def opinion(kind: str, levels: np.ndarray | float) -> np.ndarray:
    """Mean rating (MOS) of a kind at levels from 1 to 5, mapped to [0, 1], higher is better."""
    mean = np.interp(levels, LEVELS, people_means()[kind])
    return (mean - WORST) / (BEST - WORST)


def equivalent_levels(
    kind: str, levels: np.ndarray, quality: np.ndarray, others: np.ndarray | None = None
) -> np.ndarray:
    """Levels at which photographs of this kind have these qualities on average.

    Args:
        kind: a key of `kadid.RATED`.
        levels: (P,) levels at which versions were drawn, 1 to 5.
        quality: (P,) what a metric says of them, higher is better.
        others: (Q,) what it says of other versions, whose levels are wanted; not for kinds that are
            best in the middle. None: those of the kind itself.

    Returns:
        (P,) or (Q,) levels from 1 to 5; the middle one is where some kinds are best.
    """
    error = -quality
    curve = _local_lines(levels, error)
    if kind not in BEST_IN_THE_MIDDLE:
        return np.interp(error if others is None else -others, *_rising(curve, GRID))
    result = np.empty(len(levels))
    for side in (-1, 1):  # from the best, the middle, to either end
        versions, part = (levels - 3) * side >= 0, (GRID - 3) * side >= 0
        result[versions] = np.interp(
            error[versions], *_rising(curve[part][::side], GRID[part][::side])
        )
    return result


def _local_lines(levels: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Mean error at the levels of GRID, by lines fitted to the neighbours of each."""
    weight = np.exp(-0.5 * ((GRID[:, None] - levels) / SMOOTHING) ** 2)  # (81, P)
    total = weight.sum(1)
    level, height = weight @ levels / total, weight @ error / total
    slope = weight @ (levels * error) / total - level * height
    slope /= weight @ levels**2 / total - level**2 + 1e-6
    return height + slope * (GRID - level)


def _rising(curve: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve that rises strictly, so that it can be inverted, and the levels beside it."""
    return np.maximum.accumulate(curve) + 1e-9 * np.arange(len(curve)), levels


def rate(
    kinds: np.ndarray,
    levels: np.ndarray,
    qualities: Sequence[np.ndarray],
    own: float = DEFAULT.own_level,
) -> np.ndarray:
    """Rate versions by kind, level and what metrics say of them.

    Args:
        kinds: (P,) keys of `kadid.RATED`, or outputs of denoisers (`denoised_by_...`).
        levels: (P,) 1 to 5.
        qualities: (P,) of each teacher, higher is better; their levels are averaged.
        own: share of the drawn level, in [0, 1].

    Returns:
        (P,) scores in [0, 1], higher is better.

    Raises:
        ValueError: outputs of denoisers, but no version of the kind "denoise" to compare with.
    """
    scores = np.empty(len(levels))
    for kind in np.unique(kinds).tolist():
        chosen = kinds == kind
        if kind.startswith(DENOISED):
            like = kinds == OF_DENOISERS
            if not like.any():
                raise ValueError(f"outputs of denoisers are rated beside the kind {OF_DENOISERS}")
            found = [
                equivalent_levels(OF_DENOISERS, levels[like], q[like], q[chosen]) for q in qualities
            ]
            scores[chosen] = opinion(OF_DENOISERS, np.mean(found, axis=0))
            continue
        moved = [equivalent_levels(kind, levels[chosen], q[chosen]) for q in qualities]
        scores[chosen] = opinion(kind, own * levels[chosen] + (1 - own) * np.mean(moved, axis=0))
    return scores


def draw_calibrated(
    images: Sequence[np.ndarray],
    num_references: int,
    num_versions: int,
    size: int,
    seed: int,
    teachers: Mapping[str, Teacher] | None = None,
    kinds: Mapping[str, Distortion] = RATED,
    levels: Sequence[float] | None = None,
    on_progress: Callable[[], None] | None = None,
    how: Calibration = DEFAULT,
) -> OpinionTable:
    """Distort random cuts of photographs at KADID-10k's levels and rate them.

    Args:
        images: RGB (H, W, 3) uint8, each used in turn.
        num_references: how many cuts.
        num_versions: distorted versions of each.
        size: side of a cut.
        seed: of everything drawn.
        teachers: say how a version differs from others of its kind and level; `mae` if None.
        kinds: distortions to choose from, by name: of `kadid.RATED`, or outputs of denoisers.
        levels: levels to choose from, 1 to 5; None for all between, whole or not.
        on_progress: called `how.passes` times per reference.
        how: what is distorted, and what a rating follows.

    Returns:
        The table, a pure function of the arguments.
    """
    measures = list((teachers or {"mae": mae}).values())
    count = num_references * num_versions
    references = np.empty((num_references, size, size, 3), np.uint8)
    versions = np.empty((count, size, size, 3), np.uint8)  # in place: many pieces fragment memory
    strengths, qualities = np.empty(count), np.empty((len(measures), count))
    drawn: list[str] = []
    names = list(kinds)
    for number in range(num_references):
        rng = np.random.default_rng((seed, number))
        image = _shrunk(images[number % len(images)], size, how.smallest_scale, rng)
        around = _surroundings(image, size, rng)
        if how.texture_every and number % how.texture_every == (how.texture_every - 1) // 2:
            around = _texture(around.shape[:2], rng)
        middle = _middle(around.shape, size)
        references[number] = around[middle]
        mine = slice(number * num_versions, (number + 1) * num_versions)
        strengths[mine] = _levels(levels, num_versions, rng)
        order = rng.permutation(len(names))
        for place in range(num_versions):
            kind, at = names[order[place % len(names)]], mine.start + place
            seeds = (seed, number, place)
            versions[at] = _version(around, kind, float(strengths[at]), seeds, middle, kinds)
            drawn.append(kind)
        if on_progress is not None:
            on_progress()
        pair = to_tensor(list(versions[mine])), to_tensor([references[number]] * num_versions)
        with torch.no_grad():
            qualities[:, mine] = [measure(*pair).numpy() for measure in measures]
            if how.noise_masking:
                noisy = np.isin(drawn[mine], NOISE)
                seen = masked_mae(pair[0][noisy], pair[1][noisy], how.noise_masking)
                qualities[:, mine][:, noisy] = seen
        if on_progress is not None:
            on_progress()
    row = np.repeat(np.arange(num_references), num_versions)
    drawn_kinds = np.array(drawn)
    scores = rate(drawn_kinds, strengths, list(qualities), how.own_level)
    if how.metrics_share:
        by_reference = versions.reshape(num_references, num_versions, size, size, 3)
        ranks = _mean_ranks(references, by_reference, on_progress)
        scores = (1 - how.metrics_share) * scores + how.metrics_share * ranks
    photographs = np.arange(num_references) % len(images)
    return OpinionTable(references, versions, row, drawn_kinds, scores, photographs)


def _mean_ranks(
    references: np.ndarray, versions: np.ndarray, on_progress: Callable[[], None] | None
) -> np.ndarray:
    """Mean rank of each version by the metrics that pseudo-MOS come from, (N * V,) in [0, 1]."""
    from restoration.opinion.teachers import TEACHERS, ensemble, raw_scores  # needs piq

    return ensemble(raw_scores(references, versions, TEACHERS, on_progress)).ravel()


def _levels(choice: Sequence[float] | None, count: int, rng: np.random.Generator) -> np.ndarray:
    if choice is not None:
        return rng.choice(np.array(choice, float), count)
    levels = rng.uniform(1, 5, count)
    return np.where(rng.random(count) < WHOLE_LEVELS, levels.round(), levels)


def _shrunk(image: np.ndarray, size: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink a photograph by a random factor: it gets sharper, and loses JPEG's traces."""
    if smallest == 1:
        return image
    needed = size + 2 * MARGIN
    factor = rng.uniform(min(1.0, max(smallest, needed / min(image.shape[:2]))), 1)
    height, width = (round(side * factor) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _surroundings(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a square and, as far as there is more, a margin; some get another tone curve."""
    if rng.random() < TONE_CURVES:
        image = (255 * (image / 255.0) ** rng.uniform(0.6, 1.8)).round().astype(np.uint8)
    return crop(image, min(size + 2 * MARGIN, *image.shape[:2]), rng)


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise with a spectrum of 1 / f^s, fine to coarse, grey or coloured, of any contrast."""
    channels = 3 if rng.random() < 0.5 else 1
    white = np.fft.fft2(rng.standard_normal((*shape, channels)), axes=(0, 1))
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(shape))
    gain = frequency ** -rng.uniform(0, STEEPEST)
    noise = np.fft.ifft2(white * gain[..., None], axes=(0, 1)).real
    noise -= noise.mean((0, 1))
    noise *= rng.uniform(0, MOST_CONTRAST) / noise.std()
    color = rng.uniform(0.1, 0.9, 3 if rng.random() < 0.5 else 1)
    image = np.broadcast_to(color + noise, (*shape, 3))
    return (255 * image.clip(0, 1)).round().astype(np.uint8)


def _middle(shape: tuple[int, ...], size: int) -> tuple[slice, slice]:
    start = (shape[0] - size) // 2 // BLOCK * BLOCK
    return slice(start, start + size), slice(start, start + size)


def _version(
    image: np.ndarray,
    kind: str,
    level: float,
    seed: tuple[int, int, int],
    middle: tuple[slice, slice],
    among: Mapping[str, Distortion],
) -> np.ndarray:
    """Distort an image and cut its middle, in which a local distortion must show."""
    for attempt in range(TRIES):
        cut = distort(image, kind, level, (*seed, attempt), among)[middle]
        if kind not in LOCAL or np.abs(cut.astype(int) - image[middle]).max() > VISIBLE:
            break
    return cut
