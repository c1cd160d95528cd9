"""Time of PSNR and SSIM of one pair of images against BasicSR's, whose values they equal.

    python experiments/benchmarks/metrics.py --threads 1 --rounds 15

BasicSR's side is the installed package and takes uint8 arrays; ours takes float tensors, as the
evaluation has them, and is measured from uint8 arrays too. A batch is compared with its images
one by one.
"""

import argparse
from collections.abc import Callable

import cv2
import harness
import numpy as np
import torch
from torch import Tensor

from restoration.common.basicsr import import_basicsr
from restoration.data import open_source
from restoration.metrics import psnr, ssim

TOLERANCE = 1e-4  # of values that should be equal
WANTED = ">= 5"


def make_pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make a noisy image and the clean one, (H, W, 3) uint8."""
    clean = cv2.resize(
        open_source("skimage:astronaut").read(0), (width, height), interpolation=cv2.INTER_CUBIC
    )
    noise = np.random.default_rng(seed).normal(0, 15, clean.shape)
    return np.clip(clean + noise, 0, 255).round().astype(np.uint8), clean


def to_tensor(image: np.ndarray, device: str) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float().contiguous() / 255


def both(x: Tensor, y: Tensor) -> list[float]:
    """PSNR and SSIM, the mean over a batch."""
    return [float(psnr(x, y).mean()), float(ssim(x, y).mean())]


def build_arms(
    noisy: np.ndarray, clean: np.ndarray, batch: int, device: str
) -> dict[str, Callable[[], list[float]]]:
    """Build what is timed; BasicSR's contender is missing where the package is."""
    x, y = to_tensor(noisy, device), to_tensor(clean, device)
    many_x, many_y = x.repeat(batch, 1, 1, 1), y.repeat(batch, 1, 1, 1)

    def singles() -> list[float]:
        pairs = zip(many_x.split(1), many_y.split(1), strict=True)
        return np.mean([both(a, b) for a, b in pairs], axis=0).tolist()

    arms = {
        "ours": lambda: both(x, y),
        "ours, from uint8": lambda: both(to_tensor(noisy, device), to_tensor(clean, device)),
        f"ours, batch of {batch}": lambda: both(many_x, many_y),
        f"ours, {batch} singles": singles,
    }
    try:
        upstream = import_basicsr("metrics")
    except ImportError:
        return arms
    return {
        "basicsr": lambda: [
            float(function(noisy, clean, crop_border=0))
            for function in (upstream.calculate_psnr, upstream.calculate_ssim)
        ],
        **arms,
    }


def main() -> None:
    """Run the benchmark, print tables, and write files where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = harness.arguments(parser, rounds=15)
    cv2.setNumThreads(given.threads)
    arms = build_arms(*make_pair(given.height, given.width), given.batch, given.device)
    values = {name: arm() for name, arm in arms.items()}
    turns = {name: lambda arm=arm: harness.timed(arm, given.device) for name, arm in arms.items()}
    times = harness.interleave(turns, given.rounds)
    pairs = [(f"ours, {given.batch} singles", f"ours, batch of {given.batch}", None)]
    notes = []
    if "basicsr" in arms:
        pairs = [("basicsr", name, WANTED) for name in list(arms)[1:3]] + pairs
    else:
        notes = ["basicsr is not installed: only ours was measured"]
    ratios = {
        f"{above} / {below}": {**harness.ratio(times[above], times[below]), "target": wanted}
        for above, below, wanted in pairs
    }
    first = next(iter(values.values()))
    apart = max(abs(a - b) for found in values.values() for a, b in zip(found, first, strict=True))
    notes.append(f"largest difference of the values: {apart:.1e} (allowed {TOLERANCE:g})")
    rows = {
        name: {**harness.describe(times[name]), "psnr": v[0], "ssim": v[1]}
        for name, v in values.items()
    }
    result = {
        "size": [given.height, given.width],
        "rounds": given.rounds,
        "largest_difference": apart,
        "contenders": rows,
        "ratios": ratios,
    }
    tables = {
        "contenders": [{"contender": name, **row} for name, row in rows.items()],
        "ratios": [{"ratio": name, **row} for name, row in ratios.items()],
    }
    title = f"PSNR and SSIM of a pair of {given.width}x{given.height} pixels"
    harness.finish(title, tables, result, given.out, given.device, notes)
    if apart > TOLERANCE:
        raise SystemExit(f"values differ by {apart:.1e}, expected at most {TOLERANCE:g}")


if __name__ == "__main__":
    main()
