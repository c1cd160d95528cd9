"""Where the masks of pixel metrics show an error, on photographs that none was trained on.

Contrast masking: how much less they show noise in texture than in smooth areas. Agreement: Spearman
of the errors of 32x32 blocks with ColorVideoVDP's map, in each picture (needs `cvvdp`).

python experiments/benchmarks/contrast_masking.py --images datasets/CBSD68 --num 24 [NAME=FILE ...]
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np

import losses
from losses.pixel import EnhancedLoss
from restoration.data import open_source
from restoration.degradations.distortions import distort
from restoration.degradations.kadid import RATED
from restoration.masks.contrast import (
    BLOCK,
    block_agreement,
    contrast_masking,
    contrast_masking_of_vision,
)
from restoration.masks.visibility import mean_of_blocks, visibility

TERMS: dict[str, type[EnhancedLoss]] = {
    "e-mae": losses.EnhancedMAE,
    "e-mse": losses.EnhancedMSE,
    "e-psnr": losses.EnhancedPSNR,
    "e-ssim": losses.EnhancedSSIM,
    "e-flip": losses.EnhancedFLIP,
}
PLAIN: dict[str, type[losses.Loss]] = {
    "mae": losses.MAE,
    "mse": losses.MSE,
    "psnr": losses.PSNR,
    "flip": losses.FLIP,
}
KINDS = ("white_noise", "white_noise_color", "impulse_noise", "gaussian_blur", "jpeg", "jpeg2000")
LEVEL = 3.0


def masking(
    terms: dict[str, EnhancedLoss], images: list[np.ndarray], sigmas: list[float], vision: bool
) -> None:
    """Print the mean ratio of every mask, one row each, and with `vision` that of ColorVideoVDP."""
    print(f"mean mask, most textured over smoothest quarter of blocks, {len(images)} photographs")
    rows: dict[str, Callable[[np.ndarray, float], float]] = {
        name: partial(contrast_masking, term) for name, term in terms.items()
    }
    if vision:
        rows["ColorVideoVDP"] = contrast_masking_of_vision
    for name, ratio_of in rows.items():
        ratios = {
            sigma: sum(ratio_of(image, sigma) for image in images) / len(images) for sigma in sigmas
        }
        print(name, *(f"sigma {sigma:g}: {ratio:.3f}" for sigma, ratio in ratios.items()))


def agreement(terms: dict[str, losses.Loss], images: list[np.ndarray]) -> None:
    """Print how well the errors of blocks follow ColorVideoVDP, one row for each metric."""
    found: dict[str, dict[str, list[float]]] = {n: {k: [] for k in KINDS} for n in terms}
    for number, image in enumerate(images):
        rows, columns = (side // BLOCK * BLOCK for side in image.shape[:2])
        image = image[:rows, :columns]
        for kind in KINDS:
            distorted = distort(image, kind, LEVEL, (number,), RATED)
            visible = mean_of_blocks(visibility(image, distorted), BLOCK)
            for name, term in terms.items():
                found[name][kind].append(block_agreement(term, image, distorted, visible))
    print(f"Spearman of block errors with ColorVideoVDP's, {len(images)} photographs, level 3")
    for name, values in found.items():
        means = {kind: float(np.mean(per_picture)) for kind, per_picture in values.items()}
        each = (f"{kind}: {mean:.3f}" for kind, mean in means.items())
        print(name, f"mean: {np.mean(list(means.values())):.3f}", *each)


def main() -> None:
    """Measure the shipped masks, and others that are given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("masks", nargs="*", metavar="NAME=FILE", help="other masks, e-mae=FILE")
    parser.add_argument("--images", default="datasets/CBSD68", help="folder of photographs")
    parser.add_argument("--num", type=int, default=24, help="how many of them")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[10, 25])
    parser.add_argument("--only-given", action="store_true", help="leave the shipped masks out")
    parser.add_argument("--no-cvvdp", action="store_true", help="contrast masking alone")
    given = parser.parse_args()
    terms = {} if given.only_given else {name: term() for name, term in TERMS.items()}
    for text in given.masks:
        name, _, file = text.partition("=")
        terms[text] = TERMS[name](file)
    source = open_source(given.images)
    images = [source.read(n) for n in range(min(given.num, len(source)))]
    masking(terms, images, given.sigmas, not given.no_cvvdp)
    if not given.no_cvvdp:
        agreement({**{name: term() for name, term in PLAIN.items()}, **terms}, images)


if __name__ == "__main__":
    main()
