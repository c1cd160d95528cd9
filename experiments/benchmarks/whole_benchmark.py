"""Where the time of `restoration test` goes: the share inside the network, and what the rest is.

    python experiments/benchmarks/whole_benchmark.py --sets Set12 CBSD68 --max-images 3

The command itself runs, on a checkpoint of random weights (the time does not depend on them), with
the functions that do the work wrapped in clocks. A first run, which loads libraries, does not
count. Without the folders of the sets, photographs inside scikit-image serve.
"""

import argparse
import importlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import harness
import torch
import yaml

from restoration import archs
from restoration.cli import main as command

WANTED = {
    "network of the evaluation": ">= 0.90",
    "network of the command": ">= 0.90",
    "network and metrics of the command": ">= 0.87",
}
STAND_IN = "skimage:chelsea,rocket,astronaut"
NETWORK, METRICS, EVALUATION = "network", "metrics", "evaluation, the rest of it"
ELSEWHERE = "network, for checks and figure"
PARTS = {  # part: functions, by module; looked up where they are used
    NETWORK: ["restoration.archs.restormer.network:Restormer.forward"],
    METRICS: ["restoration.metrics.against:Against.measure"],
    "noise": ["restoration.evaluate.sets:EvaluationSet.degrade"],
    "reading": ["restoration.data.sources:read_image"],
    EVALUATION: ["restoration.evaluate.run:run_benchmark"],
    "checks before the first image": ["restoration.evaluate.run:prepare"],
    "result files": ["restoration.evaluate.run:write_report"],
    "figure": ["restoration.evaluate.run:draw_picture"],
}
OUTSIDE = "options, folders, printing"


class Clocks:
    """Seconds per part, without the parts inside it; only what runs in the main thread counts."""

    def __init__(self, device: str):
        self.seconds = dict.fromkeys([*PARTS, ELSEWHERE], 0.0)
        self.device, self.inner = device, [0.0]  # seconds inside the parts below each open one
        self.open: list[str] = []

    def wrap(self, part: str, function: Callable) -> Callable:
        """Return the function with a clock around it."""

        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **named)
            harness.synchronize(self.device)
            self.inner.append(0.0)
            self.open.append(part)
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                harness.synchronize(self.device)
                spent = time.perf_counter() - began
                self.open.pop()
                other = part == NETWORK and EVALUATION not in self.open
                self.seconds[ELSEWHERE if other else part] += spent - self.inner.pop()
                self.inner[-1] += spent

        return run


@contextmanager
def clocks_on(device: str) -> Iterator[Clocks]:
    """Put clocks around the functions of every part."""
    clocks = Clocks(device)
    with ExitStack() as stack:
        for part, place in ((part, place) for part, places in PARTS.items() for place in places):
            module, _, path = place.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, name = path.split(".")
            for one in outer:
                owner = getattr(owner, one)
            wrapped = clocks.wrap(part, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, wrapped))
        yield clocks


def write_options(folder: Path, given: argparse.Namespace) -> Path:
    """Write a checkpoint of random weights and an option file that tests it."""
    torch.manual_seed(0)
    network = archs.build(given.network)
    torch.save({"params": network.state_dict()}, folder / "net_g.pth")
    roots = {name: given.root / name for name in given.sets}
    found = {name: str(root) for name, root in roots.items() if root.is_dir()}
    one = {"sigma_test": [15, 25, 50, 60], "max_images": given.max_images}
    options = {
        "name": "whole_benchmark",
        "num_gpu": int(given.device == "cuda"),
        "datasets": {
            name: {"dataroot_gt": root, **one}
            for name, root in (found or {"photographs": STAND_IN}).items()
        },
        "network_g": {"type": given.network},
        "path": {
            "pretrain_network_g": str(folder / "net_g.pth"),
            "results_root": str(folder / "results"),
        },
        "val": {"metrics": given.metrics},
    }
    path = folder / "options.yml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return path


def run_once(path: Path, device: str) -> dict[str, float]:
    """Run the command and return the seconds of every part."""
    with (
        clocks_on(device) as clocks,
        redirect_stdout(StringIO()),
        redirect_stderr(StringIO()) as said,
    ):
        began = time.perf_counter()
        code = command(["test", "-opt", str(path)])
        whole = time.perf_counter() - began
    if code:
        raise SystemExit(said.getvalue())
    return {**clocks.seconds, OUTSIDE: whole - sum(clocks.seconds.values())}


def shares(seconds: dict[str, float]) -> dict[str, float]:
    """The network's share of the evaluation and of the whole command, there also with metrics."""
    network, metrics, whole = seconds[NETWORK], seconds[METRICS], sum(seconds.values())
    evaluation = sum(seconds[part] for part in (NETWORK, METRICS, "noise", "reading", EVALUATION))
    found = (
        network / evaluation,
        (network + seconds[ELSEWHERE]) / whole,
        (network + seconds[ELSEWHERE] + metrics) / whole,
    )
    return {name: round(share, 3) for name, share in zip(WANTED, found, strict=True)}


def notes(metrics: list[str]) -> list[str]:
    """Say what a reader must know."""
    found = ["metrics: " + ", ".join(metrics) + ", of the noisy input too"]
    if "e_mae" in metrics:
        operations = "2.7e3 operations a pixel, twice per image and noise level"
        found.append(f"E-MAE's mask network takes {operations}")
    return found


def main() -> None:
    """Run the benchmark, print tables, and write files where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("datasets"), help="folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["Set12", "CBSD68"])
    parser.add_argument("--max-images", type=int, default=2, help="of each set (%(default)s)")
    parser.add_argument("--network", default="restormer_xs")
    parser.add_argument("--metrics", nargs="+", default=["psnr", "ssim", "e_mae"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = harness.arguments(parser, rounds=3)
    with tempfile.TemporaryDirectory() as made:
        path = write_options(Path(made), given)
        runs = [run_once(path, given.device) for _ in range(given.rounds + 1)][1:]
    seconds = {part: median(run[part] for run in runs) for part in runs[0]}
    found = [shares(run) for run in runs]
    rows = [
        {"share": name, "median": median(own), "best": max(own), "target": WANTED[name]}
        for name in found[0]
        for own in [[one[name] for one in found]]
    ]
    whole = sum(seconds.values())
    parts = [
        {"part": part, "seconds": round(value, 3), "percent": round(100 * value / whole, 1)}
        for part, value in seconds.items()
    ]
    harness.finish(
        f"`restoration test` with {given.network}, {given.max_images} images of each set, "
        "four noise levels",
        {"shares": rows, "where the time goes": parts},
        {"rounds": given.rounds, "sets": given.sets, "shares": rows, "parts": parts},
        given.out,
        given.device,
        notes(given.metrics),
    )


if __name__ == "__main__":
    main()
