"""The sample stream: everything random about sample k is a pure function of (seed, k).

There is no generator whose state moves on. A counter-based generator, Philox4x64-10 (Salmon et
al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), is keyed by (seed, k), so workers, ranks
and interruptions cannot change a sample, and two recipes with one seed see identical data. Every
sample takes the same raw numbers in the same order, so that turning one augmentation off leaves
the other choices as they were. Uniforms and permutations are made from raw bits, which NumPy
guarantees for ever; only the mixing weight uses `Generator.beta`.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

# separate streams under one key; from _LINKS on there are two for every degradation of a chain
_SAMPLE, _PARTNER, _ORDER, _MIXING, _LINKS = 0, 1, 2, 3, 16
CUTBLUR_SIDES = (0.2, 0.7)  # side of the exchanged rectangle over that of the crop


@dataclass(frozen=True)
class Mixing:
    """How samples are mixed, one way per sample.

    Attributes:
        mixup: add a partner, weighted (Zhang et al. 2018, arXiv:1710.09412).
        cutmix: replace a rectangle by the partner's (Yun et al. 2019, arXiv:1905.04899).
        cutblur: show the clean image inside or outside of a rectangle (Yoo et al. 2020,
            arXiv:2004.00448).
        beta: both parameters of mixup's Beta distribution.
        identity: leave a sample alone with probability 1/2 instead of always mixing.

    Raises:
        ValueError: nothing to do, or beta is not positive.
    """

    mixup: bool = True
    cutmix: bool = False
    cutblur: bool = False
    beta: float = 1.2
    identity: bool = True

    def __post_init__(self) -> None:
        if not self.ways:
            raise ValueError("expected mixup, cutmix or cutblur, got none of them")
        if not self.beta > 0:
            raise ValueError(f"expected mixup_beta > 0, got {self.beta}")

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that are on."""
        return tuple(name for name in ("mixup", "cutmix", "cutblur") if getattr(self, name))


@dataclass(frozen=True)
class Box:
    """A rectangle in a crop.

    Attributes:
        top: vertical place, in [0, 1) of the room there is.
        left: horizontal place, in [0, 1) of the room there is.
        side: side over that of the crop.
        outside: of cutblur, whether the clean image is shown outside of it.
    """

    top: float
    left: float
    side: float
    outside: bool = False


@dataclass(frozen=True)
class Draw:
    """All random choices of one sample.

    Attributes:
        image: number of the image in the source.
        top: vertical place of the crop, in [0, 1) of the room there is.
        left: horizontal place of the crop, in [0, 1) of the room there is.
        symmetry: one of the 8 symmetries of the square, see `symmetric`.
        uniform: the number in [0, 1) that the first degradation is drawn from.
        noise_seed: seed of the first degradation's noise, 63 bits.
        lam: weight of this sample against its partner; 1.0 when it is not mixed.
        partner: the sample that it is mixed with, or None.
        way: how it is mixed: mixup, cutmix, cutblur, or "" where it is left alone.
        box: the rectangle of cutmix and cutblur.
    """

    image: int
    top: float
    left: float
    symmetry: int
    uniform: float
    noise_seed: int
    lam: float = 1.0
    partner: "Draw | None" = None
    way: str = ""
    box: Box | None = None


def draw(
    seed: int,
    index: int,
    num_images: int,
    *,
    augment: bool = True,
    mixing: Mixing | None = None,
) -> Draw:
    """Decide everything about sample `index`, but for what its degradations draw by themselves.

    Args:
        seed: seed of the run, 0 <= seed < 2**64.
        index: number of the sample since the start of training, from 0.
        num_images: images in the source; each comes once per epoch of that many samples.
        augment: draw one of the 8 symmetries instead of leaving the crop as it is.
        mixing: how samples are mixed; None for no mixing.

    Returns:
        The choices; those of the partner, if any, come from a stream of their own.

    Source:
        Mixing follows Restormer (arXiv:2111.09881). There, the weight is drawn once per batch and
        the partner comes from the same batch; here, per sample and from the whole source.
    """
    raw, generator = _raw(seed, index, _SAMPLE)
    epoch, position = divmod(index, num_images)
    image = int(epoch_order(seed, epoch, num_images)[position])
    alone = _choices(image, raw, augment)
    if mixing is None or (mixing.identity and raw[6] >= 0.5):
        return alone
    way, box = mixing.ways[0], None
    if mixing.ways != ("mixup",):
        numbers, _ = _raw(seed, index, _MIXING)
        way = mixing.ways[int(numbers[0] * len(mixing.ways))]
        box = _box(way, numbers)
    if way == "cutblur":
        return replace(alone, way=way, box=box)
    other, _ = _raw(seed, index, _PARTNER)
    partner = _choices(int(other[7] * num_images), other, augment)
    if way == "cutmix":
        return replace(alone, partner=partner, way=way, box=box)
    lam = float(generator.beta(mixing.beta, mixing.beta))
    return replace(alone, lam=lam, partner=partner, way=way)


def link_numbers(seed: int, index: int, link: int, of_partner: bool = False) -> list[float]:
    """Eight uniform numbers of sample `index` for one degradation of a chain.

    Args:
        seed: seed of the run.
        index: number of the sample.
        link: number of the degradation, from 0.
        of_partner: those of the sample that it is mixed with.
    """
    numbers, _ = _raw(seed, index, _LINKS + 2 * link + of_partner)
    return numbers


def _box(way: str, numbers: list[float]) -> Box | None:
    """The rectangle of a way of mixing; of cutmix, its share of the crop is uniform."""
    if way == "mixup":
        return None
    low, high = CUTBLUR_SIDES
    side = math.sqrt(numbers[3]) if way == "cutmix" else low + numbers[3] * (high - low)
    return Box(numbers[1], numbers[2], side, way == "cutblur" and numbers[4] >= 0.5)


@lru_cache(maxsize=8)
def epoch_order(seed: int, epoch: int, num_images: int) -> np.ndarray:
    """The order of the images in one epoch, a pure function of its arguments.

    Args:
        seed: seed of the run.
        epoch: number of the epoch, from 0.
        num_images: images in the source.

    Returns:
        A permutation of 0..num_images-1, read-only.
    """
    if num_images < 1:
        raise ValueError(f"expected num_images >= 1, got {num_images}")
    order = np.argsort(_philox(seed, epoch, _ORDER).random_raw(num_images), kind="stable")
    order.setflags(write=False)
    return order


def symmetric(image: np.ndarray, code: int) -> np.ndarray:
    """One of the 8 symmetries of the square.

    Args:
        image: (H, W, ...).
        code: 0..7; `code % 4` quarter turns anticlockwise, then, from 4, left and right swapped.

    Returns:
        A view of the image, turned.
    """
    if not 0 <= code < 8:
        raise ValueError(f"expected a code in 0..7, got {code}")
    turned = np.rot90(image, code % 4)
    return turned[:, ::-1] if code >= 4 else turned


def _choices(image: int, raw: list[float], augment: bool) -> Draw:
    """A draw from eight uniforms; 4 and 5 are the two halves of the noise seed."""
    return Draw(
        image=image,
        top=raw[0],
        left=raw[1],
        symmetry=int(raw[2] * 8) if augment else 0,
        uniform=raw[3],
        noise_seed=int(raw[4] * 2**31) << 32 | int(raw[5] * 2**32),
    )


def _philox(seed: int, number: int, stream: int) -> np.random.Philox:
    """The generator of one key; `stream` is the highest word of the counter."""
    if not (0 <= seed < 2**64 and 0 <= number < 2**64):
        raise ValueError(f"expected seed and index in [0, 2**64), got {seed} and {number}")
    words = np.array([seed, number], np.uint64)
    return np.random.Philox(key=words, counter=np.array([0, 0, 0, stream], np.uint64))


def _raw(seed: int, number: int, stream: int) -> tuple[list[float], np.random.Generator]:
    """Eight uniforms in [0, 1) of 53 bits, and the generator that continues from there."""
    bits = _philox(seed, number, stream)
    uniforms = (bits.random_raw(8) >> np.uint64(11)) * 2.0**-53
    return uniforms.tolist(), np.random.Generator(bits)
