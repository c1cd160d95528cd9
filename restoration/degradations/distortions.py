"""The 25 distortions x 5 levels of KADID-10k as seeded pure functions, and some held out.

Source: Lin, Hosu, Saupe 2019, "KADID-10k: A Large-scale Artificially Distorted IQA Database".
The list of distortions is theirs; the code and the level tables are ours, set so that five
levels go from just visible to very annoying. Level 0 is the reference itself; levels between
whole numbers are interpolated.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from losses.naming import nearest
from restoration.degradations import distortion_structure as structure
from restoration.degradations import distortion_tone as tone


@dataclass(frozen=True)
class Distortion:
    """One kind of distortion: its function, five strengths, and the family it belongs to."""

    function: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    strengths: tuple[float, float, float, float, float]
    family: str


DISTORTIONS: dict[str, Distortion] = {
    "gaussian_blur": Distortion(structure.gaussian_blur, (0.5, 0.8, 1.4, 2.6, 5.0), "blur"),
    "lens_blur": Distortion(structure.lens_blur, (0.8, 1.3, 2.2, 3.8, 6.0), "blur"),
    "motion_blur": Distortion(structure.motion_blur, (2.0, 3.5, 6.0, 10.0, 16.0), "blur"),
    "color_diffusion": Distortion(tone.color_diffusion, (2.0, 5.0, 10.0, 20.0, 40.0), "color"),
    "color_shift": Distortion(tone.color_shift, (0.4, 0.8, 1.6, 3.0, 6.0), "color"),
    "color_quantization": Distortion(
        tone.color_quantization, (96.0, 48.0, 20.0, 9.0, 4.0), "color"
    ),
    "saturation_hsv": Distortion(tone.saturation_hsv, (0.75, 0.55, 0.35, 0.15, 0.0), "color"),
    "saturation_lab": Distortion(tone.saturation_lab, (1.25, 1.6, 2.1, 2.9, 4.2), "color"),
    "jpeg2000": Distortion(structure.jpeg2000, (6.0, 14.0, 30.0, 70.0, 170.0), "compression"),
    "jpeg": Distortion(structure.jpeg, (60.0, 35.0, 18.0, 9.0, 4.0), "compression"),
    "white_noise": Distortion(structure.white_noise, (0.02, 0.04, 0.07, 0.12, 0.2), "noise"),
    "white_noise_color": Distortion(
        structure.white_noise_color, (0.01, 0.02, 0.035, 0.06, 0.1), "noise"
    ),
    "impulse_noise": Distortion(structure.impulse_noise, (0.002, 0.008, 0.02, 0.05, 0.12), "noise"),
    "multiplicative_noise": Distortion(
        structure.multiplicative_noise, (0.04, 0.08, 0.14, 0.24, 0.4), "noise"
    ),
    "denoise": Distortion(structure.denoise, (0.012, 0.022, 0.045, 0.1, 0.2), "noise"),
    "brighten": Distortion(tone.brighten, (0.2, 0.5, 1.0, 2.0, 4.0), "brightness"),
    "darken": Distortion(tone.darken, (0.1, 0.3, 0.65, 1.1, 1.7), "brightness"),
    "mean_shift": Distortion(tone.mean_shift, (0.05, 0.1, 0.17, 0.26, 0.38), "brightness"),
    "jitter": Distortion(structure.jitter, (0.25, 0.5, 0.9, 1.6, 3.0), "spatial"),
    "patch_displacement": Distortion(
        structure.patch_displacement, (0.02, 0.05, 0.1, 0.2, 0.4), "spatial"
    ),
    "pixelate": Distortion(structure.pixelate, (2.0, 2.7, 4.0, 6.0, 9.0), "spatial"),
    "quantization": Distortion(tone.quantization, (20.0, 13.0, 9.0, 6.0, 4.0), "spatial"),
    "color_block": Distortion(structure.color_block, (0.007, 0.02, 0.04, 0.07, 0.12), "spatial"),
    "sharpen": Distortion(structure.sharpen, (0.4, 1.0, 2.0, 4.0, 8.0), "contrast"),
    "contrast_change": Distortion(tone.contrast_change, (0.1, 0.2, 0.35, 0.55, 0.8), "contrast"),
}

DENOISED_FAMILY = "denoised"
DENOISED = "denoised_by_"  # before the name of a denoiser, see `restoration.opinion.denoised`

HELD_OUT: dict[str, Distortion] = {
    "pink_noise": Distortion(structure.pink_noise, (0.02, 0.04, 0.07, 0.12, 0.2), "noise"),
    "gamma": Distortion(tone.gamma, (1.1, 1.25, 1.5, 1.9, 2.6), "brightness"),
}


def known_distortions() -> dict[str, Distortion]:
    """Those of `DISTORTIONS` and of `HELD_OUT`, by name."""
    return {**DISTORTIONS, **HELD_OUT}


def family_of(kind: str) -> str:
    """Family of a kind of distortion; of one that is not known here, the kind itself."""
    if kind.startswith(DENOISED):
        return DENOISED_FAMILY
    entry = known_distortions().get(kind)
    return kind if entry is None else entry.family


def choose_kinds(asked: Sequence[str] | None, available: Sequence[str]) -> list[str]:
    """Kinds of distortion by their own names or those of their families ("noise", "blur").

    Args:
        asked: names; None for all that are available.
        available: kinds to choose from, in their order.

    Raises:
        ValueError: an unknown name.
    """
    if asked is None:
        return list(available)
    known = dict.fromkeys([*available, *sorted(map(family_of, available))])
    for name in asked:
        if name not in known:
            raise ValueError(
                f"expected one of {', '.join(known)}, got {name!r}{nearest(name, known)}"
            )
    return [kind for kind in available if {kind, family_of(kind)} & set(asked)]


def find_distortion(name: str, among: Mapping[str, Distortion] | None = None) -> Distortion:
    """Find a distortion by its name.

    Args:
        name: of the distortion.
        among: a table of distortions; None for `known_distortions`.

    Raises:
        ValueError: an unknown name, with the nearest known one.
    """
    known = known_distortions() if among is None else among
    if name not in known:
        hint = nearest(name, known)
        raise ValueError(f"expected a distortion of {sorted(known)}, got {name!r}{hint}")
    return known[name]


def distort(
    image: np.ndarray,
    name: str,
    level: float,
    seed: int | tuple[int, ...] = 0,
    among: Mapping[str, Distortion] | None = None,
) -> np.ndarray:
    """Return the distorted image; a pure function of its arguments.

    Args:
        image: reference, RGB (H, W, 3) uint8.
        name: a key of `DISTORTIONS` or `HELD_OUT`.
        level: 0 (the reference itself) or 1..5; fractions interpolate the table of strengths.
        seed: of the random part; the same seed, name and level give the same image.
        among: another table of distortions, such as `kadid.RATED`.

    Returns:
        RGB (H, W, 3) uint8.

    Raises:
        ValueError: for another shape or type, an unknown name, or a level outside the table.

    Source: Lin, Hosu, Saupe 2019 (KADID-10k).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    entry = find_distortion(name, among)
    if level != 0 and not 1 <= level <= 5:
        raise ValueError(f"expected level 0 or 1 <= level <= 5, got {level}")
    if level == 0:
        return image.copy()
    strength = float(np.interp(level, range(1, 6), entry.strengths))
    parts = seed if isinstance(seed, tuple) else (seed,)
    rng = np.random.default_rng([*parts, zlib.crc32(name.encode())])
    result = entry.function(image / 255.0, strength, rng)
    return (result.clip(0, 1) * 255).round().astype(np.uint8)
