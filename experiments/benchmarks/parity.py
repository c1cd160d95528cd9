"""Every metric and loss beside the packages that compute it too: the largest difference of values.

    python experiments/benchmarks/parity.py --weights DIR --authors DIR --out parity.json

Packages that are not installed are left out, and said. `--weights` holds torchvision's ImageNet
convolutions, `alexnet_features.safetensors` and `vgg16_features.safetensors`, which every
learned metric is given alike; `--authors` is a checkout of the authors' Enhanced-IQM. The 18 pairs
are cuts of photographs that ship inside scikit-image, with noise, JPEG and blur; the authors' own
pair is the nineteenth.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import parity_authors
import parity_peers as peers
import torch
from torch import Tensor

from restoration.data import open_source, read_rgb8

PHOTOGRAPHS = "skimage:astronaut,chelsea,coffee,rocket,motorcycle_left,retina"
SIDE = 256
TOLERANCE = 1e-4  # a larger difference needs a reason

Pair = tuple[Tensor, Tensor]  # (distorted, reference), each (1, 3, H, W), RGB in [0, 1], 8 bits


@dataclass(frozen=True)
class Line:
    """One of ours beside one of theirs; `reason` and `explained` where they choose otherwise."""

    metric: str
    peer: str
    largest: float
    relative: float
    reason: str = ""
    explained: float | None = None


def to_batch(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255


def distorted(image: np.ndarray, number: int) -> Iterator[np.ndarray]:
    """Noise of sigma 25, JPEG of quality 30, and blur of sigma 1.5; 8 bits."""
    noise = np.random.default_rng(number).normal(0, 25, image.shape)
    yield np.clip(image + noise, 0, 255).round().astype(np.uint8)
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])
    yield cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]
    yield cv2.GaussianBlur(image, (0, 0), 1.5)


def open_pairs(authors: Path | None) -> list[Pair]:
    """The pairs that all are compared on."""
    source, pairs = open_source(PHOTOGRAPHS), []
    for index in range(len(source)):
        image = source.read(index)
        top, left = (image.shape[0] - SIDE) // 2, (image.shape[1] - SIDE) // 2
        cut = np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])
        pairs += [(to_batch(version), to_batch(cut)) for version in distorted(cut, index)]
    if authors is not None:
        images = [read_rgb8(authors / "images" / name) for name in ("dist.BMP", "ref.BMP")]
        pairs.append((to_batch(images[0]), to_batch(images[1])))
    return pairs


def values(function: Callable[[Tensor, Tensor], Tensor | float], pairs: list[Pair]) -> np.ndarray:
    """One value per pair."""
    with torch.no_grad():
        return np.array([float(function(*pair)) for pair in pairs])


def compare(peer: peers.Peer, pairs: list[Pair]) -> Line:
    """Measure one of ours against one of theirs, and ours with their choice where there is one."""
    ours, theirs = values(peer.ours, pairs), values(peer.theirs, pairs)
    difference = np.abs(ours - theirs)
    explained = None
    if peer.with_their_choice is not None:
        explained = float(np.abs(values(peer.with_their_choice, pairs) - theirs).max())
    relative = float((difference / np.maximum(np.abs(theirs), 1e-12)).max())
    return Line(peer.metric, peer.name, float(difference.max()), relative, peer.choice, explained)


def table(lines: list[Line], num_pairs: int, missing: list[str]) -> str:
    """The page, as Markdown."""
    rows = [
        f"| {line.metric} | {line.peer} | {line.largest:.1e} | {line.relative:.1e} | "
        + (f"{line.reason}; with it {line.explained:.1e}" if line.explained is not None else "")
        + " |"
        for line in lines
    ]
    names = ("torch", *peers.PACKAGES)
    versions = ", ".join(f"{n} {version(n)}" for n in names if n not in missing)
    return "\n".join(
        [
            "# Parity with other packages",
            "",
            f"Largest difference of values over {num_pairs} pairs, absolute and relative. A "
            f"difference above {TOLERANCE:g} comes from a choice of theirs: the last column names "
            "it, with the largest difference that is left when our code makes the same choice.",
            "",
            "| ours | theirs | absolute | relative | their choice |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Masks of E-MAE, E-MSE, E-PSNR and E-SSIM are the authors' released files, so their "
            "values hold formula and loading at once. E-VGG, E-LPIPS and E-DISTS are held by the "
            "authors' scripts on masks drawn at random, which both sides read; MILO by the "
            "authors' file and its published pair, in the tests. No mask of E-FLIP was released: "
            "its plain form is FLIP, above. MAE, Charbonnier and VGG are held in the tests by "
            "NumPy and by BasicSR's losses.",
            "",
            f"Made by `experiments/benchmarks/parity.py` with {versions}, on a CPU in float32.",
            *([f"Not installed: {', '.join(missing)}."] if missing else []),
            "",
        ]
    )


def main() -> int:
    """Run the comparison; 1 where a difference has no explanation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of torchvision's convolutions")
    parser.add_argument("--authors", type=Path, help="a checkout of the authors' Enhanced-IQM")
    parser.add_argument("--out", type=Path, default=Path("parity.json"), help="JSON to write")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the packages' own, of each other
    pairs = open_pairs(arguments.authors)
    lines = []
    found, missing = peers.open_peers(arguments.weights)
    if arguments.authors is not None:
        found += parity_authors.pixel_scripts(arguments.authors)
        if arguments.weights is not None:
            found += parity_authors.feature_scripts(arguments.authors, arguments.weights)
    for peer in found:
        lines.append(compare(peer, pairs))
        print(f"{peer.metric:10} {peer.name:32} {lines[-1].largest:.1e}", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"num_pairs": len(pairs), "lines": [asdict(line) for line in lines]}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    arguments.out.with_suffix(".md").write_text(table(lines, len(pairs), missing), "utf-8")
    open_questions = [
        line
        for line in lines
        if line.largest > TOLERANCE and (line.explained is None or line.explained > TOLERANCE)
    ]
    for line in open_questions:
        print(f"not explained: {line.metric} beside {line.peer}: {line.largest:.3g}")
    return bool(open_questions)


if __name__ == "__main__":
    sys.exit(main())
