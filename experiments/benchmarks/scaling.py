"""How time and memory grow: with patch, batch, image (in tiles), threads and processes.

    python experiments/benchmarks/scaling.py --network restormer_xs --out scaling.json
    python experiments/benchmarks/scaling.py --megapixels 1,4,12,48 --out scaling_large.json

The second measures nothing but large images in tiles, a quarter of an hour at most.

Beside every measurement stands arithmetic: operations by torch's counter (two per multiplication
and addition; a training step counts three times its forward pass, since the counter takes too many
for the backward pass of depthwise convolutions) and bytes of activations. Last comes a
projection, not a measurement: the hours of the full recipe on one, eight and 64 GPUs, from the
operations alone and a stated share of the GPU's peak that a step is assumed to reach.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness
import torch
from large_images import measure_large
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from restoration.archs import build, restore

# The recipe for blind Gaussian denoising of Restormer (arXiv:2111.09881), per GPU of eight.
STAGES = [(92, 128, 8), (64, 160, 5), (48, 192, 4), (36, 256, 2), (36, 320, 1), (24, 384, 1)]
RECIPE_GPUS = 8
PASSES = 3  # operations of a training step, in forward passes: one, and twice that backward
H200_PEAK = {"bf16": 989e12, "tf32": 495e12}  # dense, per second; NVIDIA's data sheet of the H200
FULL = "Restormer"
BUSY_SECONDS = 2.0  # that each of several processes works
WORKER = """
import sys, time, torch
from restoration.archs import build, restore
torch.set_num_threads(1)
network, image = build(sys.argv[1]), torch.rand(1, 3, int(sys.argv[2]), int(sys.argv[2]))
restore(network, image)
print("ready", flush=True)
sys.stdin.readline()
count, began = 0, time.perf_counter()
while time.perf_counter() - began < float(sys.argv[3]):
    restore(network, image)
    count += 1
print(count / (time.perf_counter() - began))
"""


def train_step(network: nn.Module, noisy: Tensor) -> None:
    """Forward, L1 and backward."""
    network.zero_grad(set_to_none=True)
    (network(noisy) - noisy.detach()).abs().mean().backward()


def operations(work: Callable[[], object]) -> float:
    """Floating-point operations of one call without a backward pass, in units of 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return round(counter.get_total_flops() / 1e9, 2)


def measure(work: Callable[[], object], rounds: int, device: str) -> harness.Row:
    """Time and peak memory of one kind of work."""
    work()
    times = harness.interleave({"": partial(harness.timed, work, device)}, rounds, warm_up=0)[""]
    about = harness.describe(times)
    return {
        "ms": about["clock_median_ms"],
        "ms_min": about["clock_min_ms"],
        "peak_mb": harness.peak_memory(work, device),
    }


def with_rate(row: harness.Row, gigaflops: float) -> harness.Row:
    """Add operations, and operations per second at the shortest time."""
    return {
        **row,
        "gflop": round(gigaflops, 2),
        "gflop_per_s": round(1e3 * gigaflops / row["ms_min"], 1),
    }


def of_training(
    network: nn.Module, shapes: list[tuple[int, int]], rounds: int, device: str
) -> list[harness.Row]:
    """Rows of a training step at each (patch, batch)."""
    rows = []
    for patch, batch in shapes:
        noisy = torch.rand(batch, 3, patch, patch, device=device)
        work = partial(train_step, network, noisy)
        row = {"patch": patch, "batch": batch, **measure(work, rounds, device)}
        saved = harness.saved_memory(partial(network, noisy), network.parameters())
        row["saved_mb"] = round(saved / harness.MEGABYTE, 1)
        rows.append(with_rate(row, PASSES * operations(partial(network, noisy))))
    network.zero_grad(set_to_none=True)
    return rows


def of_tiles(
    network: nn.Module, sides: list[int], tile: int, rounds: int, device: str
) -> list[harness.Row]:
    """Rows of images restored in tiles and, for comparison, whole; sides ascend."""
    rows = []
    for side in sides:
        image = torch.rand(1, 3, side, side, device=device)
        for kind, size in (("tiles", tile), ("whole", None)):
            work = partial(restore, network, image, tile=size, overlap=tile // 4)
            row = {"side": side, "kind": kind, **measure(work, rounds, device)}
            row["image_mb"] = round(image.nbytes / harness.MEGABYTE, 1)
            rows.append(with_rate(row, operations(work)))
    return rows


def of_threads(network: nn.Module, side: int, counts: list[int], rounds: int) -> list[harness.Row]:
    """Rows of one image with each number of threads, which take turns."""
    image = torch.rand(1, 3, side, side)
    before = torch.get_num_threads()

    def turn(count: int) -> harness.Timing:
        torch.set_num_threads(count)
        return harness.timed(lambda: restore(network, image))

    times = harness.interleave({str(n): partial(turn, n) for n in counts}, rounds)
    torch.set_num_threads(before)
    gigaflops = operations(lambda: restore(network, image))
    first = times[str(counts[0])]
    rows = []
    for name, own in times.items():
        about = harness.describe(own)
        row = {
            "threads": int(name),
            "ms": about["clock_median_ms"],
            "ms_min": about["clock_min_ms"],
        }
        row["speed-up"] = harness.ratio(first, own)["of_minima"]
        rows.append(with_rate(row, gigaflops))
    return rows


def of_processes(name: str, side: int, counts: list[int]) -> list[harness.Row]:
    """Rows of images per second of several processes of one thread that work at once."""
    rows: list[harness.Row] = []
    for count in counts:
        command = [sys.executable, "-c", WORKER, name, str(side), str(BUSY_SECONDS)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        workers = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            for _ in range(count)
        ]
        for worker in workers:
            worker.stdout.readline()
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        rate = sum(float(worker.communicate()[0]) for worker in workers)
        row = {"processes": count, "images_per_s": round(rate, 2)}
        row["speed-up"] = round(rate / (rows[0]["images_per_s"] if rows else rate), 2)
        rows.append(row)
    return rows


def projection(utilisations: list[float]) -> list[harness.Row]:
    """Hours of the full recipe from operations alone, at assumed shares of the GPU's peak.

    The global batch stays that of eight GPUs; a stage with fewer samples than GPUs leaves the
    others idle.
    """
    network = build(FULL).to("meta")
    stages = []  # operations, and samples per step
    for thousands, patch, batch in STAGES:
        image = torch.rand(1, 3, patch, patch, device="meta")
        samples = batch * RECIPE_GPUS
        per_sample = PASSES * 1e9 * operations(partial(network, image))
        stages.append((1e3 * thousands * samples * per_sample, samples))

    def hours(gpus: int, speed: float) -> float:
        return round(sum(n / min(gpus, samples) for n, samples in stages) / speed / 3600, 2)

    return [
        {
            "precision": precision,
            "assumed_utilisation": share,
            "exaflop": round(sum(n for n, _ in stages) / 1e18, 2),
            **{f"hours_on_{gpus}": hours(gpus, peak * share) for gpus in (1, 8, 64)},
        }
        for precision, peak in H200_PEAK.items()
        for share in utilisations
    ]


def draw(path: Path, tables: dict[str, list[harness.Row]]) -> None:
    """Draw time and memory against patch, batch, side, threads and processes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(12, 7), layout="constrained")
    curves = [
        ("patch", "patch", "ms_min", "milliseconds per step"),
        ("batch", "batch", "ms_min", "milliseconds per step"),
        ("tiles", "side", "ms_min", "milliseconds per image"),
        ("patch", "patch", "peak_mb", "peak memory of a step, MB"),
        ("tiles", "side", "peak_mb", "peak memory of an image, MB"),
    ]
    for axis, (name, x, y, label) in zip(axes.flat, curves, strict=False):
        for kind in dict.fromkeys(row.get("kind") for row in tables[name]):
            rows = [row for row in tables[name] if row.get("kind") == kind and row[y] is not None]
            axis.plot([r[x] for r in rows], [r[y] for r in rows], "o-", label=kind)
        axis.set(xlabel=f"{x}, pixels" if x != "batch" else x, ylabel=label, ylim=(0, None))
        axis.set_xticks(sorted({row[x] for row in tables[name]}))
        if name == "tiles":
            axis.legend(frameon=False)
    last = axes.flat[-1]
    for name in ("threads", "processes"):
        rows = tables[name]
        last.plot([r[name] for r in rows], [r["speed-up"] for r in rows], "o-", label=name)
    most = max(row[name] for name in ("threads", "processes") for row in tables[name])
    last.plot([1, most], [1, most], color="0.7", linestyle=":", label="ideal")
    last.set(xlabel="threads or processes", ylabel="speed-up", ylim=(0, None))
    last.set_xticks(range(1, most + 1))
    last.legend(frameon=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = sorted({1, 2, os.cpu_count() or 1})
    parser.add_argument("--network", default="restormer_xs")
    parser.add_argument("--patches", type=int, nargs="+", default=[64, 128, 192])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 384, 512])
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument(
        "--megapixels",
        type=lambda text: [float(part) for part in text.split(",")],
        metavar="A,B",
        help="large images in tiles instead of everything else",
    )
    parser.add_argument("--limit", type=float, default=600, help="seconds that one may take")
    parser.add_argument("--counts", type=int, nargs="+", default=cores, help="threads, processes")
    parser.add_argument("--utilisation", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return harness.arguments(parser, rounds=3)


def main() -> None:
    """Run the benchmark, print tables, and write files where asked."""
    given = parse()
    torch.manual_seed(0)
    began = time.perf_counter()
    network = build(given.network).to(given.device)
    if given.megapixels:
        measure_large(network, given)
        return
    smallest, common = min(given.patches), (network, given.rounds, given.device)
    train = partial(of_training, common[0], rounds=common[1], device=common[2])
    tables = {
        "patch": train([(patch, 1) for patch in given.patches]),
        "batch": train([(smallest, batch) for batch in given.batches]),
        "tiles": of_tiles(network, sorted(given.sides), given.tile, *common[1:]),
    }
    on_cpu = build(given.network)
    tables["threads"] = of_threads(on_cpu, given.tile, given.counts, given.rounds)
    tables["processes"] = of_processes(given.network, given.tile, given.counts)
    tables["projection, not measured: full recipe on H200 GPUs"] = projection(given.utilisation)
    notes = [
        f"tiles of {given.tile} pixels that share a quarter",
        "peak memory: beyond what the process held before",
        f"projection: {FULL}, 300k steps, global batch of {RECIPE_GPUS} GPUs on any number (the "
        "last two stages have 8 samples, so that 64 GPUs are little faster than 8 there), "
        "operations of forward and backward only, no data, loss network or communication; its "
        "depthwise convolutions wait for memory, so that a few percent of the peak are likely; "
        f"peak {H200_PEAK['bf16'] / 1e12:.0f} TFLOP/s bf16 and {H200_PEAK['tf32'] / 1e12:.0f} "
        "tf32, times the assumed utilisation",
        f"made in {time.perf_counter() - began:.0f} s",
    ]
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        draw(given.out.with_suffix(".png"), tables)
    title = f"How {given.network} scales"
    harness.finish(title, tables, {"tables": tables}, given.out, given.device, notes)


if __name__ == "__main__":
    main()
