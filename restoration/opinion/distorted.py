"""A folder of photographs at every kind and level of distortion, to be scored without new ratings.

Of pseudo-MOS no person was asked: the score of a distorted image is its mean rank under the
ensemble of `teachers`. With the kinds of a data set of ratings it emulates that set's protocol on
other photographs. Images are computed when they are read, so nothing is stored.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from restoration.data import open_source
from restoration.data.images import to_float
from restoration.degradations.distortions import (
    DISTORTIONS,
    Distortion,
    choose_kinds,
    distort,
    known_distortions,
)
from restoration.degradations.kadid import RATED
from restoration.opinion.denoised import denoised_kinds

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
PROBE_SIDE = 48


class DistortedPairs:
    """Photographs and all their distorted versions, in the order reference, kind, level.

    Args:
        dataroot: folder, LMDB or `skimage:` names of clean photographs.
        distortions: kinds of `DISTORTIONS` or `HELD_OUT`, or families of them; None for all of
            `DISTORTIONS` and of `denoisers`.
        denoisers: names or checkpoints whose outputs are further kinds, see `denoised_kinds`.
        levels: levels of every kind, 1 to 5.
        num_references: how many photographs, the first ones; None for all.
        size: side of the square cut from the middle of each; None for whole photographs.
        seed: of the distortions.
        by_family: categories are families ("blur", "noise", ...) instead of kinds.
        rated: whether the strengths of the levels are KADID-10k's own, which people rated.

    Raises:
        FileNotFoundError: no such folder or denoiser.
        ValueError: an unknown kind, denoisers where people should have rated, a level outside
            1..5, too few photographs, one that is too small for the cut.
    """

    def __init__(
        self,
        dataroot: str,
        distortions: Sequence[str] | None = None,
        denoisers: Sequence[str] = (),
        levels: Sequence[float] = LEVELS,
        num_references: int | None = None,
        size: int | None = None,
        seed: int = 0,
        by_family: bool = False,
        rated: bool = False,
    ):
        if rated and denoisers:
            raise ValueError("people rated no outputs of denoisers: expected `pseudo:` for them")
        outputs = denoised_kinds(denoisers)
        self._known = {**(RATED if rated else known_distortions()), **outputs}
        available = (*DISTORTIONS, *outputs) if distortions is None else tuple(self._known)
        kinds = choose_kinds(distortions, available)
        families = {kind: self._known[kind].family for kind in kinds}
        if not levels or not all(1 <= level <= 5 for level in levels):
            raise ValueError(f"expected levels from 1 to 5, got {list(levels) or 'none'}")
        self._source = open_source(dataroot)
        count = len(self._source) if num_references is None else num_references
        if not 1 <= count <= len(self._source):
            raise ValueError(
                f"expected 1 to {len(self._source)} references in {dataroot}, got {count}"
            )
        for index in range(count):
            if size is not None and min(self._source.size(index)) < size:
                raise ValueError(
                    f"expected sides of {size} or more, got {self._source.size(index)} in "
                    f"{self._source.names[index]}"
                )
        self._dataroot, self._size, self._seed, self.rated = dataroot, size, seed, rated
        self._rows = [
            (number, kind, level) for number in range(count) for kind in kinds for level in levels
        ]
        names = self._source.names
        self.references = tuple(names[number] for number, _, _ in self._rows)
        self.distorted = tuple(f"{names[n]}:{kind}:{level:g}" for n, kind, level in self._rows)
        self.categories = tuple(families[kind] if by_family else kind for _, kind, _ in self._rows)
        self.kinds_and_levels = [(kind, level) for _, kind, level in self._rows]
        self._reference = lru_cache(1)(self._cut)  # rows of one reference follow each other
        self._photograph = cache(self._digest_of_photograph)

    @property
    def name(self) -> str:
        """The folder's, for folders of results."""
        return re.sub(r"\W+", "_", Path(self._dataroot).name)

    @property
    def description(self) -> str:
        """What and how many they are."""
        place = "whole" if self._size is None else f"{self._size}x{self._size} cuts"
        count = len(set(self.references))
        return f"{self._dataroot}, {count} photographs, {place}, {len(self)} pairs"

    def __len__(self) -> int:
        return len(self._rows)

    def _cut(self, number: int) -> np.ndarray:
        image = self._source.read(number)
        if self._size is None:
            return image
        top, left = ((side - self._size) // 2 for side in image.shape[:2])
        return np.ascontiguousarray(image[top : top + self._size, left : left + self._size])

    def read_reference(self, index: int) -> np.ndarray:
        """Reference of pair `index`, RGB (H, W, 3) float32 in [0, 1]."""
        return to_float(self._reference(self._rows[index][0]))

    def read_distorted(self, index: int) -> np.ndarray:
        """Distorted image of pair `index`, RGB (H, W, 3) float32 in [0, 1]."""
        number, kind, level = self._rows[index]
        seed = (self._seed, number)  # one draw for all levels, which so differ in strength alone
        return to_float(distort(self._reference(number), kind, level, seed, self._known))

    def fingerprint(self, index: int) -> str:
        """Digest of the photograph, the seed, and what kind and level make of a fixed probe."""
        number, kind, level = self._rows[index]
        probe = probe_digest(kind, self._known[kind], level)
        parts = f"{self._seed} {number}", self._photograph(number), probe
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]

    def _digest_of_photograph(self, number: int) -> str:
        thumbnail = np.ascontiguousarray(self._reference(number)[::8, ::8])
        return f"{self._reference(number).shape} {hashlib.sha256(thumbnail.tobytes()).hexdigest()}"


@cache
def probe_digest(name: str, kind: Distortion, level: float) -> str:
    """Digest of a distorted probe: it changes with the formula and the table of strengths.

    Args:
        name: of the kind of distortion.
        kind: its function and strengths.
        level: 1 to 5.
    """
    probe = np.random.default_rng(0).integers(0, 256, (PROBE_SIDE, PROBE_SIDE, 3), np.uint8)
    distorted = distort(probe, name, level, among={name: kind})
    return hashlib.sha256(distorted.tobytes()).hexdigest()
