"""Samples per second of the sample stream against the design of Restormer's loader.

    python experiments/benchmarks/stream.py --images datasets/BSDS500/train --workers 0 2

That design decodes a whole image by OpenCV to floats, cuts 384 pixels whatever the stage needs,
adds noise to all of it, and lets the training loop cut to the stage's size: 11 % of the pixels at
stage 1. It is written here from this description as a plain dataset, not taken from anyone's code.
Every contender ends with what the network sees: noisy and clean crops of the stage, float32, one
batch.
Workers start before the clock; the batches that they have ready by then do not count.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import harness
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restoration.data import (
    BatchPlan,
    CachedSource,
    DenoisingDataset,
    FolderSource,
    Mixing,
    PatchSchedule,
    Source,
    make_loader,
    open_source,
    write_png,
)
from restoration.data.cutting import Cutting, cut_folders
from restoration.degradations import BatchDegradation, Chain

LARGEST_CROP = 384  # of the last stage; what the other design cuts at every stage
AHEAD = 4  # batches per worker that wait at most, in both designs
GIGABYTE = 10**9
PHOTOGRAPHS = "skimage:astronaut,coffee,hubble_deep_field,immunohistochemistry,rocket,chelsea"
DEFAULT_SIDE = 512
WANTED = ">= 5"

Batches = Iterator[tuple[Tensor, Tensor]]


class WholeCrops(Dataset):
    """The other design: every sample is a noisy and a clean crop of 384 pixels, in float32."""

    def __init__(self, source: FolderSource, samples: int):
        self.source, self.samples = source, samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path = self.source.paths[index % len(self.source)]
        stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)  # BGR
        image = stored.astype(np.float32) / 255
        rows, columns = (max(LARGEST_CROP - side, 0) for side in image.shape[:2])
        if rows or columns:
            image = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="reflect")
        top, left = (int(torch.randint(side - LARGEST_CROP + 1, ())) for side in image.shape[:2])
        crop = image[top : top + LARGEST_CROP, left : left + LARGEST_CROP]
        crop = np.rot90(crop, int(torch.randint(4, ())))
        if torch.randint(2, ()):
            crop = crop[:, ::-1]
        clean = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)[::-1]))
        return clean + torch.randn(clean.shape) * (50 / 255 * torch.rand(())), clean


def cut_afterwards(loader: DataLoader, patch: int) -> Batches:
    """What the training loop of the other design does with a batch."""
    for noisy, clean in loader:
        top, left = (int(torch.randint(LARGEST_CROP - patch + 1, ())) for _ in range(2))
        rows, columns = slice(top, top + patch), slice(left, left + patch)
        yield noisy[:, :, rows, columns].contiguous(), clean[:, :, rows, columns].contiguous()


def their_batches(
    source: FolderSource, patch: int, batch: int, count: int, workers: int
) -> Batches:
    """Batches of the other design."""
    loader = DataLoader(
        WholeCrops(source, count * batch),
        batch_size=batch,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=one_thread if workers else None,
        multiprocessing_context="forkserver" if workers else None,
    )
    return cut_afterwards(loader, patch)


def one_thread(number: int) -> None:
    """Let workers, not threads, be parallel, as the sample stream does."""
    cv2.setNumThreads(0)


def our_batches(
    source: Source, patch: int, batch: int, count: int, workers: int, mixup: float | None = None
) -> Batches:
    """Batches of the sample stream."""
    chain = Chain({"type": "gaussian", "sigma": [0, 50]})
    mixing = None if mixup is None else Mixing(beta=mixup)
    dataset = DenoisingDataset(source, 0, chain, mixing=mixing)
    plan = BatchPlan(PatchSchedule([count], [batch], [patch]), 0, count)
    degrade = BatchDegradation(chain)
    return (degrade(one, "cpu") for one in make_loader(dataset, plan, workers))


def measure(
    make: Callable[..., Batches], patch: int, batch: int, samples: int, workers: int
) -> harness.Timing:
    """Time per batch: of those after the ones that were ready before the clock started."""
    ready = max(1, workers * AHEAD) + 1
    count = max(1, samples // batch)
    batches = make(patch=patch, batch=batch, count=ready + count, workers=workers)
    for _ in range(ready):
        next(batches)
    whole = harness.timed(lambda: [next(batches) for _ in range(count)])
    return harness.Timing(whole.clock / count, whole.cpu / count)


def make_pictures(folder: Path, count: int) -> None:
    """Write PNG images of 512x512 pixels, cut from photographs."""
    photographs = open_source(PHOTOGRAPHS)
    for number in range(count):
        image = photographs.read(number % len(photographs))
        factor = max(1.0, (DEFAULT_SIDE + 8) / min(image.shape[:2]))
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        top, left = (number % (side - DEFAULT_SIDE) for side in image.shape[:2])
        cut = image[top : top + DEFAULT_SIDE, left : left + DEFAULT_SIDE]
        write_png(folder / f"{number:03d}.png", np.ascontiguousarray(cut))


def build_arms(folder: Path, decoded: Path) -> dict[str, Callable[..., Batches]]:
    """Build what is timed: the other design, and ours with each way to keep images.

    Args:
        folder: the images.
        decoded: where the decoded ones are put; nothing may be there.
    """
    files = FolderSource(folder)
    cut_folders([folder], decoded, Cutting(512, 96, 10**6, decoded=True), workers=0)
    cached = CachedSource(files, GIGABYTE)
    for index in range(len(cached)):
        cached.read(index)
    return {
        "384 pixels, cut afterwards": partial(their_batches, files),
        "ours, every image decoded": partial(our_batches, files),
        "ours, decoded files": partial(our_batches, open_source(decoded)),
        "ours, images in memory": partial(our_batches, cached),
        "ours, decoded files, mixup": partial(our_batches, open_source(decoded), mixup=1.2),
    }


def describe(times: dict[str, list[harness.Timing]], batch: int) -> dict[str, harness.Row]:
    """Rows of a table; workers have CPU time of their own, so the clock alone counts."""
    first = next(iter(times))
    rows = {}
    for name, own in times.items():
        about, faster = harness.describe(own), harness.ratio(times[first], own)
        rows[name] = {
            "samples_per_second": round(1e3 * batch / about["clock_median_ms"], 1),
            "clock_median_ms": about["clock_median_ms"],
            "clock_min_ms": about["clock_min_ms"],
            "faster": faster["clock"],
            "faster_of_minima": faster["of_minima"],
            "target": None if name == first else WANTED,
        }
    return rows


def main() -> None:
    """Run the benchmark, print tables, and write files where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder; default: photographs, 512x512, PNG")
    parser.add_argument("--count", type=int, default=24, help="images made by default")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--samples", type=int, default=128, help="timed per contender and round")
    given = harness.arguments(parser, rounds=5)
    torch.manual_seed(0)
    result: dict = {"patch": given.patch, "batch": given.batch, "rounds": given.rounds}
    tables: dict[str, list[harness.Row]] = {}
    with tempfile.TemporaryDirectory() as made:
        images = given.images or Path(made) / "pictures"
        if given.images is None:
            make_pictures(images, given.count)
        arms = build_arms(images, Path(made) / "decoded")
        for workers in given.workers:
            turns = {
                name: partial(measure, arm, given.patch, given.batch, given.samples, workers)
                for name, arm in arms.items()
            }
            times = harness.interleave(turns, given.rounds, warm_up=0 if workers else 1)
            rows = describe(times, given.batch)
            result[f"workers_{workers}"] = rows
            tables[f"{workers} workers, milliseconds per batch"] = [
                {"contender": name, **row} for name, row in rows.items()
            ]
    title = f"Sample stream at patch {given.patch}, batch {given.batch}"
    notes = [
        "every image decoded: what the first epoch costs, and all of them where images "
        "neither fit cache_gb nor were decoded by `restoration data prepare --decoded`"
    ]
    harness.finish(title, tables, result, given.out, notes=notes)


if __name__ == "__main__":
    main()
