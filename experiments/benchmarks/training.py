"""Whole trainings: BasicSR's `train_pipeline` against `restoration train`, as users run them.

    python experiments/benchmarks/training.py --images datasets/BSDS400 --val datasets/CBSD68

The same network, the same photographs as PNG files, MAE + VGG with the same taps and weights
(BasicSR's PerceptualLoss on one side), two workers, logging and one validation. BasicSR gets
network and data set from our plug-in, so that what is faster in our network is faster there too;
with --upstream DIR, a checkout of swz30/Restormer, it trains the network of the authors' file.
Every training is a process of its own; all take turns. Then our options, one by one. --to 28
measures too when a validation first reaches so many dB; --dry is a small network, small images and
a few steps. VGG-16 is what `restoration weights fetch vgg16` has fetched, or --vgg FILE.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median
from typing import Any

import harness
import torch
import yaml
from training_options import WORKERS, Inputs, our_options, their_options

HERE = Path(__file__).parent
WANTED = {"ours": ">= 2", "ours, bf16 and compiled": ">= 3"}
BF16 = {"amp": "bf16"}
THEIRS = "basicsr"
ARMS: dict[str, dict[str, Any]] = {  # what a contender has beside our default
    THEIRS: {},
    "ours": {},
    "ours, bf16": BF16,
    "ours, compiled": {"compile": True},
    "ours, channels first": {"channels_last": False},
    "ours, decoded files": {"decoded": True},
    "ours, bf16 and compiled": BF16 | {"compile": True},
}


def memory_of(group: int) -> float:
    """Megabytes of all processes of a group, what they share counted once; 0 where unknown."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[2]) != group:
                continue
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue  # it has ended
    return total / 1024


def train(
    arm: str,
    inputs: Inputs,
    given: argparse.Namespace,
    steps: int,
    every: int,
    until: float | None = None,
) -> dict[str, Any]:
    """Train in a process of its own; what it saw, and the most memory that all of it took."""
    side = THEIRS if arm == THEIRS else "ours"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shape = (inputs, given, steps, every)
        options = their_options(*shape) if side == THEIRS else our_options(*shape, ARMS[arm])
        (folder / "options.yml").write_text(yaml.safe_dump(options), encoding="utf-8")
        command = [sys.executable, str(HERE / "training_worker.py"), side]
        command += [str(folder / name) for name in ("options.yml", "report.json")]
        command += [str(inputs.vgg), "--warm-up", str(given.warm_up)]
        command += [] if until is None else ["--until", str(until)]
        command += [] if given.upstream is None else ["--upstream", str(given.upstream.resolve())]
        threads = {"OMP_NUM_THREADS": str(given.threads)}
        with (folder / "said.txt").open("w") as said:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=folder,
                env={**os.environ, **threads},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            peak, ended = 0.0, threading.Event()
            threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
            while not ended.wait(0.1):
                peak = max(peak, memory_of(process.pid))
        if process.returncode:
            raise SystemExit(f"{arm}: " + (folder / "said.txt").read_text()[-3000:])
        return json.loads((folder / "report.json").read_text()) | {"peak_mb": peak}


def speed_rows(runs: dict[str, list[dict[str, Any]]]) -> list[harness.Row]:
    """A row per contender: medians, and ratios to the first contender within a round."""
    first = runs[next(iter(runs))]
    rows = []
    for arm, own in runs.items():
        middle = {key: median(run[key] for run in own) for key in own[0] if key != "validations"}
        pairs = list(zip(own, first, strict=True))
        faster = median(a["steps_per_second"] / b["steps_per_second"] for a, b in pairs)
        cpu = median(b["cpu_s_per_step"] / a["cpu_s_per_step"] for a, b in pairs)
        memory = median(a["peak_mb"] / b["peak_mb"] if b["peak_mb"] else 0 for a, b in pairs)
        rows.append(
            {
                "contender": arm,
                "steps_per_second": round(middle["steps_per_second"], 3),
                "faster": round(faster, 3),
                "less_cpu": round(cpu, 3),
                "target": WANTED.get(arm),
                "data_wait_percent": round(100 * middle["data_wait"], 2),
                "first_step_s": round(middle["first_step_s"], 1),
                "peak_mb": round(middle["peak_mb"]),
                "memory": round(memory, 3),
            }
        )
    return rows


def time_rows(runs: dict[str, dict[str, Any]], to: float) -> list[harness.Row]:
    """Seconds of the whole command until a PSNR was reached; None where it was not."""
    rows = []
    for arm, run in runs.items():
        step, seconds, psnr = run["validations"][-1]
        seconds = seconds if psnr >= to else None
        rows.append({"contender": arm, "seconds": seconds, "step": step, "db": psnr})
    return rows


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="PNG files; default: 24 photographs, 512x512")
    parser.add_argument("--val", type=Path, help="validation images; default: the first of those")
    parser.add_argument("--val-images", type=int, default=4, help="how many (%(default)s)")
    parser.add_argument("--vgg", type=Path, help="VGG-16's weights; default: the fetched ones")
    parser.add_argument("--upstream", type=Path, help="checkout of swz30/Restormer, for BasicSR")
    parser.add_argument("--network", default="restormer_xs", help="(%(default)s); or Restormer")
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (%(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="of a timed training (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="steps not timed (%(default)s)")
    parser.add_argument("--print-freq", type=int, default=10)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="CONTENDER")
    parser.add_argument("--to", type=float, metavar="DB", help="also the time to this PSNR")
    parser.add_argument("--every", type=int, default=50, help="steps between its validations")
    parser.add_argument("--most-steps", type=int, default=5000, help="that it may take")
    parser.add_argument("--dry", action="store_true", help="a few steps of a tiny network")
    given = harness.arguments(parser, rounds=3)
    if given.dry:
        given.steps, given.warm_up, given.patch, given.batch, given.val_images = 3, 1, 16, 1, 1
        given.every, given.most_steps, given.print_freq = 1, 2, 1
    if not given.warm_up < given.steps:
        parser.error(f"expected --warm-up below --steps, got {given.warm_up} and {given.steps}")
    return given


def main() -> None:
    """Run the benchmark, print tables, and write files where asked."""
    given = parse()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as made:
        inputs = Inputs(Path(made), given)
        runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in given.arms}
        for _ in range(given.rounds):
            for arm in given.arms:
                runs[arm].append(train(arm, inputs, given, given.steps, given.steps))
        tables = {"steps": speed_rows(runs)}
        result: dict[str, Any] = {"steps": given.steps, "speed": tables["steps"], "runs": runs}
        if given.to is not None:
            longest = (given.most_steps, given.every, given.to)
            found = {arm: train(arm, inputs, given, *longest) for arm in given.arms}
            result["time"] = tables[f"time to {given.to:g} dB"] = time_rows(found, given.to)
    network = "a tiny Restormer" if given.dry else given.network
    harness.finish(
        f"Whole trainings of {network}, {given.batch} patches of {given.patch}, MAE + VGG",
        tables,
        result,
        given.out,
        notes=[
            f"{WORKERS} workers, {given.steps} steps with one validation in the time; "
            f"the first {given.warm_up} steps do not count",
            "faster, less_cpu, memory: against the first contender, medians of the ratios within a "
            "round; less_cpu is of the main process",
            "BasicSR trains "
            + ("our network" if given.upstream is None else "the network of the authors' file"),
            "memory of all processes of a training, what they share counted once",
        ],
    )


if __name__ == "__main__":
    main()
