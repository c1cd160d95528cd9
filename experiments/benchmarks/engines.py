"""CPU time and memory of the engines that may run a denoiser, on the same image.

    python experiments/benchmarks/engines.py --megapixels 1

Each engine has a process of its own, which denoises the image in tiles, as `restoration denoise`
does. CPU-seconds are counted after the network is loaded, and exported where the engine needs it.
"""

import argparse
import resource
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import torch

from restoration.common.memory import keep_freed
from restoration.photo.engines import ENGINES, TORCH, with_engine
from restoration.photo.memory import tile_side
from restoration.photo.model import load_denoiser
from restoration.photo.tiles import Denoiser, denoise_pixels

CPU = torch.device("cpu")
MEGA = 1e6


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(engine: str, megapixels: float, tile: int | None) -> None:
    """Print the row of one engine."""
    keep_freed()  # as the command does
    network = with_engine(load_denoiser(), engine, CPU)
    side = round((MEGA * megapixels) ** 0.5)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    tile = tile or tile_side(network, CPU)
    before = cpu_seconds()
    mean = denoise_pixels(Denoiser(network, CPU, tile), image).mean()
    rate = (cpu_seconds() - before) / (side * side / MEGA)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"| {engine} | {tile} | {rate:.2f} | {peak:.0f} | {mean:.3f} |")


def run() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=1.0, help="size of the image")
    parser.add_argument("--tile", type=int, help="side of the tiles; by the memory if absent")
    parser.add_argument("--engine", choices=ENGINES, help="this one alone, in this process")
    arguments = parser.parse_args()
    if arguments.engine is not None:
        measure(arguments.engine, arguments.megapixels, arguments.tile)
        return
    print("| engine | tile | CPU-seconds per megapixel | peak MB | mean of the result |")
    print("|---|---|---|---|---|", flush=True)
    for engine in ENGINES:
        if engine == TORCH or find_spec(engine) is not None:
            command = [sys.executable, *sys.argv, "--engine", engine]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    run()
