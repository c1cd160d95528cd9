"""Everything about speed that needs a GPU, in one run: what cuda.sh starts.

    python experiments/benchmarks/gpu.py --upstream DIR --out experiments/results/speed/cuda.json

Parity of GPU and CPU; the training step of Restormer of width 48 at 8 patches of 128 and of 256
pixels, in float32 and bf16, with and without compile, against its authors' file (DIR is a checkout
of swz30/Restormer), with its peak memory and its share of the bf16 operations per second that a
large product of matrices reaches on this card; the three largest kernels of a step; the sample
stream to the device; photographs of 1 and 24 megapixels. A section that would begin after --limit
seconds is left out and named. --dry is all of it, tiny, on a CPU.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import harness
import large_images
import network_arms
import stream
import torch
from scaling import PASSES, operations
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import losses
from restoration.data import (
    BatchPlan,
    CachedSource,
    DenoisingDataset,
    PatchSchedule,
    make_loader,
    open_source,
)
from restoration.degradations import BatchDegradation, Chain
from restoration.metrics import build_metrics

SIDES, BATCH, WORKERS, LARGEST_KERNELS = (128, 256), 8, 4, 3
MEGAPIXELS = (1.0, 24.0)
PRODUCT = 8192  # side of the matrices whose product stands for the card's ceiling
DRY = {"sides": (16, 24), "batch": 1, "workers": 0, "megapixels": (0.002, 0.004), "product": 64}
DRY |= {"dim": 8, "tile": 32}
USUAL = {"sides": SIDES, "batch": BATCH, "workers": WORKERS, "megapixels": MEGAPIXELS}
USUAL |= {"product": PRODUCT, "dim": 48, "tile": 512}


def parity(given: argparse.Namespace) -> list[harness.Row]:
    """Largest difference of what GPU and CPU say of the same images, and of the gradient."""
    torch.manual_seed(0)
    network = network_arms.Restormer(dim=given.dim).eval()
    x = network_arms.image(2, 64, "cpu")
    y = (x + 0.05 * torch.randn(x.shape)).clamp(0, 1)
    terms: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "E-VGG": losses.build_term("E-VGG", backbone="embedded"),
        **build_metrics(["psnr", "ssim", "lpips", "e_mae"]),
    }

    def answers(device: str) -> dict[str, Tensor]:
        a, b = x.to(device).requires_grad_(), y.to(device)
        found = {"forward": network.to(device)(a)}
        found["gradient"] = torch.autograd.grad(found["forward"].square().mean(), a)[0]
        found |= {name: term(a, b) for name, term in terms.items()}
        return {name: value.detach().cpu() for name, value in found.items()}

    gpu, cpu = answers(given.device), answers("cpu")
    return [
        {
            "what": name,
            "largest_difference": float(f"{(gpu[name] - value).abs().max():.2e}"),
            "relative": float(f"{(gpu[name] - value).abs().max() / value.abs().max():.2e}"),
        }
        for name, value in cpu.items()
    ]


def ceiling(given: argparse.Namespace) -> float:
    """Operations per second in bf16, in units of 1e12, of a large product of matrices."""
    matrix = torch.rand(given.product, given.product, device=given.device, dtype=torch.bfloat16)
    turns = {"": partial(harness.timed, lambda: matrix @ matrix, given.device)}
    times = harness.interleave(turns, rounds=10, warm_up=2)[""]
    return 2 * given.product**3 / 1e9 / min(t.clock for t in times)


def step_rows(given: argparse.Namespace, side: int, peak: float) -> list[harness.Row]:
    """A step of every contender: first call, times, ratios, memory, share of the ceiling."""
    x = network_arms.image(given.batch, side, given.device)
    names = [name for name in network_arms.ARMS if "checkpointed" not in name]
    names = [name for name in names if not (given.dry and "compiled" in name)]
    names = [*([network_arms.UPSTREAM] if given.upstream else []), *names]
    rows: list[harness.Row] = []
    times: dict[str, list[harness.Timing]] = {}
    gigaflops = 0.0
    for name in names:
        network, lowered = network_arms.build_arm(name, given.upstream, {"dim": given.dim})
        network.to(given.device)
        gigaflops = gigaflops or PASSES * operations(partial(network, x))
        work = partial(network_arms.step, network, x, lowered)
        try:
            first = harness.timed(work, given.device)
            turns = {name: partial(harness.timed, work, given.device)}
            times |= harness.interleave(turns, given.rounds, warm_up=1)
            memory = harness.peak_memory(work, given.device)
        except torch.cuda.OutOfMemoryError:
            rows.append({"network": name, "first_s": None, "peak_mb": None})
            continue
        rate = gigaflops / min(t.clock for t in times[name])  # 1e12 a second
        about = harness.describe(times[name])
        row = {"network": name, "first_s": round(first.clock / 1e3, 2)}
        row |= {"median_ms": about["clock_median_ms"], "min_ms": about["clock_min_ms"]}
        if network_arms.UPSTREAM in times:
            row["faster"] = harness.ratio(times[network_arms.UPSTREAM], times[name])["of_minima"]
        row |= {"peak_mb": memory, "tflop_per_s": round(rate, 2)}
        rows.append(row | {"percent_of_ceiling": round(100 * rate / peak, 2)})
        del network, work
    return rows


def kernels(given: argparse.Namespace) -> list[harness.Row]:
    """The largest kernels of a step in bf16, by their own time."""
    network, lowered = network_arms.build_arm("ours, bf16", None, {"dim": given.dim})
    network.to(given.device)
    x = network_arms.image(given.batch, given.sides[0], given.device)
    network_arms.step(network, x, lowered)
    gpu = torch.device(given.device).type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as seen:
        network_arms.step(network, x, lowered)
        harness.synchronize(given.device)
    key = "self_device_time_total" if gpu else "self_cpu_time_total"
    events = sorted(seen.key_averages(), key=lambda event: -getattr(event, key))
    whole = sum(getattr(event, key) for event in events)
    return [
        {
            "kernel": event.key[:70],
            "calls": event.count,
            "ms": round(getattr(event, key) / 1e3, 3),
            "percent": round(100 * getattr(event, key) / max(whole, 1e-9), 1),
        }
        for event in events[:LARGEST_KERNELS]
    ]


def stream_rows(given: argparse.Namespace) -> list[harness.Row]:
    """Samples per second that arrive on the device, degraded there."""
    side, ready = given.sides[0], 1 + 4 * given.workers
    count = ready + (2 if given.dry else 100)
    chain = Chain({"type": "gaussian", "sigma": [0, 50]})
    with tempfile.TemporaryDirectory() as made:
        stream.make_pictures(Path(made), 2 if given.dry else 24)
        dataset = DenoisingDataset(CachedSource(open_source(made), 10**9), 0, chain)
        plan = BatchPlan(PatchSchedule([count], [given.batch], [side]), 0, count)
        pinned = torch.device(given.device).type == "cuda"
        loader = iter(make_loader(dataset, plan, given.workers, pin_memory=pinned))
        degrade = BatchDegradation(chain)
        for _ in range(ready):
            degrade(next(loader), given.device)
        rest = harness.timed(lambda: [degrade(one, given.device) for one in loader], given.device)
    samples = (count - ready) * given.batch
    return [{"patch": side, "samples_per_second": round(1e3 * samples / rest.clock, 1)}]


def photographs(given: argparse.Namespace) -> list[harness.Row]:
    """Large images in tiles, in float32 and bf16."""
    network = network_arms.build_arm("ours", None, {"dim": given.dim})[0].to(given.device).eval()
    rows = []
    for kind, lowered in (("float32", False), ("bf16", True)):
        with (
            torch.no_grad(),
            torch.autocast(torch.device(given.device).type, torch.bfloat16, enabled=lowered),
        ):
            found = large_images.of_megapixels(
                _Float(network), list(given.megapixels), given.tile, given.limit, given.device
            )
        rows += [{"type": kind, **row} for row in found]
    return rows


class _Float(nn.Module):
    """A network whose answer is float32, whatever it computed in."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).float()


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="checkout of swz30/Restormer")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit", type=float, default=300, help="seconds; default: %(default)s")
    parser.add_argument("--dry", action="store_true", help="tiny, on a CPU")
    given = harness.arguments(parser, rounds=5)
    vars(given).update(DRY if given.dry else USUAL)
    if given.dry:
        given.device = "cpu"
    elif not torch.cuda.is_available():
        parser.error("expected a GPU, got none; --dry runs without")
    return given


def main() -> None:
    """Run every section, print tables, and write files where asked."""
    given, began = parse(), time.perf_counter()
    peak = ceiling(given)
    work: dict[str, Callable[[], list[harness.Row]]] = {"parity": lambda: parity(given)}
    for side in given.sides:
        name = f"training step, {given.batch} patches of {side}"
        work[name] = partial(step_rows, given, side, peak)
    work |= {
        "largest kernels of a step in bf16": lambda: kernels(given),
        "sample stream to the device": lambda: stream_rows(given),
        "photographs": lambda: photographs(given),
    }
    tables: dict[str, list[harness.Row]] = {}
    notes = [f"ceiling: {peak:.4g} TFLOP/s in bf16, a product of {given.product}-square matrices"]
    for name, section in work.items():
        if time.perf_counter() - began > given.limit:
            notes.append(f"left out after {given.limit:g} s: {name}")
            continue
        tables[name] = section()
        if torch.device(given.device).type == "cuda":
            torch.cuda.empty_cache()
    if not given.upstream:
        notes.append("no --upstream: only ours is measured")
    notes.append("a network without times did not fit into memory")
    notes.append("float32 as torch sets it up: convolutions on a GPU may round to TF32")
    result: dict[str, Any] = {"ceiling_tflop_per_s": round(peak, 3), **tables}
    title = f"Restormer of width {given.dim} on a GPU" + (" (dry, on a CPU)" if given.dry else "")
    harness.finish(title, tables, result, given.out, given.device, notes)


if __name__ == "__main__":
    main()
