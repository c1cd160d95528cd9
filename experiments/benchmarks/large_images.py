"""Time and memory of images of many megapixels in tiles: what `scaling.py --megapixels` runs."""

import argparse
from collections.abc import Callable
from functools import partial

import harness
import torch
from torch import nn

from restoration.archs import restore


def of_megapixels(
    network: nn.Module, sizes: list[float], tile: int, limit: float, device: str
) -> list[harness.Row]:
    """Rows of large square images in tiles, each run once; sizes beyond the limit are left out.

    `buffers_mb` is the restored image and the weights of its pixels; `rest_mb` is the peak without
    them, which should not grow.
    """
    restore(network, torch.rand(1, 3, tile, tile, device=device), tile=tile, overlap=tile // 4)
    rows: list[harness.Row] = []
    for megapixels in sorted(sizes):
        if rows and rows[-1]["s_per_megapixel"] * megapixels > limit:
            break
        side = round((1e6 * megapixels) ** 0.5)
        image = torch.rand(1, 3, side, side, device=device)
        work, times = partial(restore, network, image, tile=tile, overlap=tile // 4), []
        peak = harness.peak_memory(partial(timed_into, times, work, device), device)
        seconds, buffers = times[0].clock / 1e3, image.nbytes * 4 / 3 / harness.MEGABYTE
        rows.append(
            {
                "megapixels": megapixels,
                "side": side,
                "s": round(seconds, 2),
                "s_per_megapixel": round(seconds / megapixels, 3),
                "peak_mb": peak,
                "buffers_mb": round(buffers, 1),
                "rest_mb": None if peak is None else round(peak - buffers, 1),
            }
        )
    return rows


def timed_into(times: list[harness.Timing], work: Callable[[], object], device: str) -> None:
    """Time one call and append what it took."""
    times.append(harness.timed(work, device))


def measure_large(network: nn.Module, given: argparse.Namespace) -> None:
    """Measure large images alone, print the table, and write files where asked."""
    rows = of_megapixels(network, given.megapixels, given.tile, given.limit, given.device)
    notes = [
        f"tiles of {given.tile} pixels that share a quarter; every image once",
        "buffers: the restored image and the weights of its pixels; rest: the peak without them",
    ]
    left_out = sorted(given.megapixels)[len(rows) :]
    if left_out:
        sizes = ", ".join(f"{size:g}" for size in left_out)
        notes.append(f"left out, longer than {given.limit:g} s by the rate before: {sizes}")
    title = f"{given.network} on large images, in tiles"
    harness.finish(title, {"tiles": rows}, {"tiles": rows}, given.out, given.device, notes)
