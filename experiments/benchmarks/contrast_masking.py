"""How much less the masks of pixel metrics show noise in texture than in smooth areas.

python experiments/benchmarks/contrast_masking.py --images datasets/CBSD68 --num 24 [NAME=FILE ...]
"""

import argparse

import losses
from losses.pixel import EnhancedLoss
from restoration.data import open_source
from restoration.masks.contrast import contrast_masking

TERMS: dict[str, type[EnhancedLoss]] = {
    "e-mae": losses.EnhancedMAE,
    "e-psnr": losses.EnhancedPSNR,
    "e-ssim": losses.EnhancedSSIM,
    "e-flip": losses.EnhancedFLIP,
}


def main() -> None:
    """Print the mean ratio of every mask, one row each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("masks", nargs="*", metavar="NAME=FILE", help="other masks, e-mae=FILE")
    parser.add_argument("--images", default="datasets/CBSD68", help="folder of photographs")
    parser.add_argument("--num", type=int, default=24, help="how many of them")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[10, 25])
    given = parser.parse_args()
    terms = {name: term() for name, term in TERMS.items()}
    for text in given.masks:
        name, _, file = text.partition("=")
        terms[text] = TERMS[name](file)
    source = open_source(given.images)
    images = [source.read(n) for n in range(min(given.num, len(source)))]
    print(f"mean mask, most textured over smoothest quarter of blocks, {len(images)} photographs")
    for name, term in terms.items():
        ratios = {
            sigma: sum(contrast_masking(term, image, sigma) for image in images) / len(images)
            for sigma in given.sigmas
        }
        print(name, *(f"sigma {sigma:g}: {ratio:.3f}" for sigma, ratio in ratios.items()))


if __name__ == "__main__":
    main()
