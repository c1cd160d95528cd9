"""The sample stream: everything random about sample k is a pure function of (seed, k).

There is no generator whose state moves on. A counter-based generator, Philox4x64-10 (Salmon et
al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), is keyed by (seed, k), so workers, ranks
and interruptions cannot change a sample, and two recipes with one seed see identical data. Every
sample takes the same raw numbers in the same order, so that turning one augmentation off leaves
the other choices as they were. Uniforms and permutations are made from raw bits, which NumPy
guarantees for ever; only the mixing weight uses `Generator.beta`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np

SigmaSpec = float | Sequence[str | float]
_SAMPLE, _PARTNER, _ORDER = 0, 1, 2  # separate streams under one key


@dataclass(frozen=True)
class Draw:
    """All random choices of one sample.

    Attributes:
        image: number of the picture in the source.
        top: vertical place of the crop, in [0, 1) of the room there is.
        left: horizontal place of the crop, in [0, 1) of the room there is.
        symmetry: one of the 8 symmetries of the square, see `symmetric`.
        sigma: standard deviation of the noise, in 0..255 units.
        noise_seed: seed of the noise, 63 bits.
        lam: weight of this sample against its partner; 1.0 when it is not mixed.
        partner: the sample that it is mixed with, or None.
    """

    image: int
    top: float
    left: float
    symmetry: int
    sigma: float
    noise_seed: int
    lam: float = 1.0
    partner: "Draw | None" = None


def draw(
    seed: int,
    index: int,
    num_images: int,
    *,
    augment: bool = True,
    mixup_beta: float | None = None,
    mixup_identity: bool = True,
    sigma: SigmaSpec = ("blind", 0, 50),
) -> Draw:
    """Decide everything about sample `index`.

    Args:
        seed: seed of the run, 0 <= seed < 2**64.
        index: number of the sample since the start of training, from 0.
        num_images: pictures in the source; each comes once per epoch of that many samples.
        augment: draw one of the 8 symmetries instead of leaving the crop as it is.
        mixup_beta: mix pairs with a weight from Beta(b, b); None for no mixing.
        mixup_identity: leave a sample alone with probability 1/2 instead of always mixing.
        sigma: a number, `("blind", low, high)` or `("choice", a, b, ...)`, in 0..255 units.

    Returns:
        The choices; those of the partner, if any, come from a stream of their own.

    Source:
        Mixing follows Restormer (arXiv:2111.09881). There, the weight is drawn once per batch and
        the partner comes from the same batch; here, per sample and from the whole source.
    """
    raw, generator = _raw(seed, index, _SAMPLE)
    epoch, position = divmod(index, num_images)
    image = int(epoch_order(seed, epoch, num_images)[position])
    mixed = mixup_beta is not None and (not mixup_identity or raw[6] < 0.5)
    if not mixed:
        return _choices(image, raw, augment, sigma)
    other, _ = _raw(seed, index, _PARTNER)
    partner = _choices(int(other[7] * num_images), other, augment, sigma)
    lam = float(generator.beta(mixup_beta, mixup_beta))
    return _choices(image, raw, augment, sigma, lam, partner)


@lru_cache(maxsize=8)
def epoch_order(seed: int, epoch: int, num_images: int) -> np.ndarray:
    """The order of the pictures in one epoch, a pure function of its arguments.

    Args:
        seed: seed of the run.
        epoch: number of the epoch, from 0.
        num_images: pictures in the source.

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


def check_sigma(sigma: SigmaSpec) -> None:
    """Refuse a noise level that is not one of the three forms.

    Args:
        sigma: a number, `("blind", low, high)` or `("choice", a, b, ...)`, in 0..255 units.

    Raises:
        ValueError: another form, a negative level, or low > high.
    """
    match sigma:
        case int() | float():
            levels = [sigma]
        case ["blind", low, high]:
            levels = [low, high]
        case ["choice", *levels] if levels:
            pass
        case _:
            raise ValueError(f"expected a number, (blind, low, high) or (choice, ...), got {sigma}")
    numbers = all(isinstance(level, int | float) and 0 <= level < inf for level in levels)
    if not numbers or (levels != sorted(levels) and sigma[0] == "blind"):
        raise ValueError(f"expected levels >= 0, low before high, got {sigma}")


def _choices(
    image: int,
    raw: list[float],
    augment: bool,
    sigma: SigmaSpec,
    lam: float = 1.0,
    partner: Draw | None = None,
) -> Draw:
    """A draw from eight uniforms; 4 and 5 are the two halves of the noise seed."""
    return Draw(
        image=image,
        top=raw[0],
        left=raw[1],
        symmetry=int(raw[2] * 8) if augment else 0,
        sigma=_sigma_at(sigma, raw[3]),
        noise_seed=int(raw[4] * 2**31) << 32 | int(raw[5] * 2**32),
        lam=lam,
        partner=partner,
    )


def _sigma_at(sigma: SigmaSpec, u: float) -> float:
    """The noise level at the uniform number u."""
    check_sigma(sigma)
    if isinstance(sigma, int | float):
        return float(sigma)
    kind, *levels = sigma
    if kind == "choice":
        return float(levels[int(u * len(levels))])
    return float(levels[0] + u * (levels[1] - levels[0]))


def _philox(seed: int, number: int, stream: int) -> np.random.Philox:
    """The generator of one key; `stream` is the highest word of the counter."""
    if not (0 <= seed < 2**64 and 0 <= number < 2**64):
        raise ValueError(f"expected seed and index in [0, 2**64), got {seed} and {number}")
    words = np.array([seed, number], np.uint64)
    return np.random.Philox(key=words, counter=np.array([0, 0, 0, stream], np.uint64))


def _raw(seed: int, number: int, stream: int) -> tuple[list[float], np.random.Generator]:
    """Eight uniforms in [0, 1) of 53 bits, and the generator that goes on from there."""
    bits = _philox(seed, number, stream)
    uniforms = (bits.random_raw(8) >> np.uint64(11)) * 2.0**-53
    return uniforms.tolist(), np.random.Generator(bits)
