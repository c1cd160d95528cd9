"""Pairs of a reference and its distorted versions, cut from a folder of photographs.

Everything drawn is a pure function of (seed, step), so that a resumed training sees the same
pairs as one that was never interrupted.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restoration.data.images import EXTENSIONS, read_rgb8
from restoration.data.sources import WHERE
from restoration.degradations.distortions import distort


def read_folder(folder: str | Path, min_side: int) -> list[np.ndarray]:
    """Read the images of a folder, in the order of their names.

    Args:
        folder: where the images lie.
        min_side: the shortest side that is of use.

    Returns:
        RGB (H, W, 3) uint8 each.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no image in it, or one that is too small.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of images, got {folder}; {WHERE}")
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in EXTENSIONS]
    if not files:
        raise ValueError(f"expected images in {folder}, got none")
    images = [read_rgb8(path) for path in files]
    for path, image in zip(files, images, strict=True):
        if min(image.shape[:2]) < min_side:
            raise ValueError(f"expected sides of {min_side} or more, got {image.shape} in {path}")
    return images


def crop(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a random square of `size` pixels from (H, W, 3)."""
    top = rng.integers(0, image.shape[0] - size + 1)
    left = rng.integers(0, image.shape[1] - size + 1)
    return image[top : top + size, left : left + size]


def symmetry(image: np.ndarray, number: int) -> np.ndarray:
    """Apply one of the eight flips and quarter turns, `number` 0..7."""
    turned = np.rot90(image, number % 4)
    return np.ascontiguousarray(turned[:, ::-1] if number >= 4 else turned)


def to_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """Stack (H, W, 3) uint8 images into (B, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div(255).contiguous()


def draw_versions(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    size: int,
    num_references: int,
    num_versions: int,
    seed: tuple[int, int],
) -> np.ndarray:
    """Draw references and distorted versions of each.

    Every second reference gets versions of one single kind at different levels, the others of
    different kinds, so that both levels and kinds are to be distinguished.

    Args:
        images: sources, RGB uint8.
        names: distortions to draw from.
        size: side of the square cut.
        num_references: how many references.
        num_versions: how many distorted versions of each.
        seed: run seed and step.

    Returns:
        (num_references, 1 + num_versions, size, size, 3) uint8, the reference first.
    """
    rng = np.random.default_rng(seed)
    batch = []
    for number in range(num_references):
        source = images[int(rng.integers(len(images)))]
        # distorted with a margin, so that no kernel sees the border of the cut
        margin = min(12, (min(source.shape[:2]) - size) // 2)
        reference = crop(source, size + 2 * margin, rng)
        reference = symmetry(reference, int(rng.integers(8)))
        kinds = rng.choice(len(names), num_versions, replace=num_versions > len(names))
        kinds = kinds if number % 2 else np.repeat(kinds[:1], num_versions)
        levels = rng.uniform(1, 5, num_versions)
        versions = [reference] + [
            distort(reference, names[kind], float(level), (*seed, number, k))
            for k, (kind, level) in enumerate(zip(kinds, levels, strict=True))
        ]
        batch.append([v[margin : margin + size, margin : margin + size] for v in versions])
    return np.array(batch)
