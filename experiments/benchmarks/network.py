"""Time and memory of our Restormer against its authors' file, forward and training step.

    python experiments/benchmarks/network.py --upstream DIR --threads 2 --rounds 5 --out speed.json

DIR is a checkout of swz30/Restormer; without it only ours is measured. A ratio is upstream over
ours. The memory of a step is what autograd keeps between forward and backward, storages counted
once and weights not at all; that of inference is the peak of a forward without gradients: of the
tensors that live at once, and of what the process or the GPU's allocator takes for it. `first_s`
is the first call, which compiles, as a rule from a cache; `cold` is a process of its own whose
cache is empty.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness
import torch
from torch import Tensor, nn

from restoration.archs import Restormer

UPSTREAM = "upstream"
ARMS = {  # name: (compiled, checkpointing, autocast)
    "ours": (False, "none", False),
    "ours, compiled": (True, "none", False),
    "ours, bf16": (False, "none", True),
    "ours, bf16, compiled": (True, "none", True),
    "ours, checkpointed level 1": (False, "level1", False),
    "ours, checkpointed": (False, "all", False),
}
SECTIONS = ("forward", "step", "memory", "inference", "cold")
INFERENCE_ARMS = (UPSTREAM, "ours", "ours, bf16")
WARM_SIDE = 64  # of the image that goes first, for what is made once only
COLD = """
import json, sys
import network as benchmark, harness, torch
from functools import partial
from restoration.archs import Restormer
name, side, dim, threads, device = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
torch.set_num_threads(threads)
model, x = Restormer(dim=dim).to(device), torch.rand(1, 3, side, side, device=device)
model.compile_parts()
lowered = benchmark.ARMS[name][2]
calls = [partial(kind, model, x, lowered) for kind in (benchmark.forward, benchmark.step)]
print(json.dumps([harness.timed(call, device).clock / 1e3 for call in calls]))
"""


def build_upstream(folder: Path, settings: dict) -> nn.Module:
    """Build the network of the authors' checkout."""
    path = folder / "basicsr" / "models" / "archs" / "restormer_arch.py"
    if not path.is_file():
        raise SystemExit(f"expected a checkout of swz30/Restormer, got no {path}")
    spec = importlib.util.spec_from_file_location("upstream_restormer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Restormer(LayerNorm_type="BiasFree", **settings)


def build_arms(upstream: Path | None, settings: dict, chosen: list[str]) -> dict:
    """Build every arm with one set of weights: name -> (network, autocast)."""
    torch.manual_seed(0)
    first = Restormer(**settings)
    arms = {}
    if upstream is not None:
        theirs = build_upstream(upstream, settings)
        theirs.load_state_dict(first.state_dict())
        arms[UPSTREAM] = (theirs, False)
    for name in chosen:
        compiled, checkpointing, lowered = ARMS[name]
        network = Restormer(**settings)
        network.load_state_dict(first.state_dict())
        network.checkpoint(checkpointing)
        if compiled:
            network.compile_parts()
        arms[name] = (network, lowered)
    return arms


def forward(network: nn.Module, x: Tensor, lowered: bool) -> Tensor:
    """One forward without gradients."""
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=lowered):
        return network(x)


def loss(network: nn.Module, x: Tensor, lowered: bool) -> Tensor:
    """L1 of one forward with gradients."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=lowered):
        out = network(x)
    return (out.float() - x).abs().mean()


def step(network: nn.Module, x: Tensor, lowered: bool) -> None:
    """One forward and backward; the optimiser is the same for all arms and left out."""
    network.zero_grad(set_to_none=True)
    loss(network, x, lowered).backward()


def measure(arms: dict, x: Tensor, function: Callable, rounds: int) -> dict[str, harness.Row]:
    """Times of every arm in turn: first call, median, minimum, and ratios to upstream."""
    turns = {
        name: partial(harness.timed, partial(function, network, x, lowered), x.device)
        for name, (network, lowered) in arms.items()
    }
    firsts = {name: turn() for name, turn in turns.items()}
    times = harness.interleave(turns, rounds, warm_up=0)
    rows = {}
    for name, own in times.items():
        about = harness.describe(own)
        rows[name] = {
            "first_s": round(firsts[name].clock / 1e3, 2),
            "median_ms": about["clock_median_ms"],
            "min_ms": about["clock_min_ms"],
        }
        if UPSTREAM in times:
            found = harness.ratio(times[UPSTREAM], own)
            rows[name] |= {"ratio": found["clock"], "ratio_of_minima": found["of_minima"]}
    return rows


def memory(arms: dict, x: Tensor) -> dict[str, harness.Row]:
    """Memory of a step of every arm, in GB and as a share of upstream's."""
    sizes = {
        name: harness.saved_memory(partial(loss, network, x, lowered), network.parameters())
        for name, (network, lowered) in arms.items()
    }
    whole = sizes.get(UPSTREAM)
    return {
        name: {
            "kept_gb": round(size / 1e9, 3),
            **({"share": round(size / whole, 3)} if whole else {}),
        }
        for name, size in sizes.items()
    }


def inference(arms: dict, image: Tensor) -> dict[str, harness.Row]:
    """Peak memory of a forward of one image, of tensors and in all, in MB and against upstream."""
    rows: dict[str, harness.Row] = {}
    for name in (name for name in INFERENCE_ARMS if name in arms):
        network, lowered = arms[name]
        forward(network, image[..., :WARM_SIDE, :WARM_SIDE], lowered)
        work = partial(forward, network, image, lowered)
        sizes = {"peak": harness.peak_memory(work, image.device), "live": harness.live_memory(work)}
        rows[name] = {}
        for kind in ("live", "peak"):
            rows[name][f"{kind}_mb"] = sizes[kind]
            if UPSTREAM in rows and sizes[kind] is not None:
                share = round(sizes[kind] / rows[UPSTREAM][f"{kind}_mb"], 3)
                rows[name][f"share_of_{kind}"] = share
    return rows


def cold(chosen: list[str], given: argparse.Namespace) -> dict[str, harness.Row]:
    """Seconds of the first compiled forward and step of a process whose cache is empty."""
    rows = {}
    for name in (name for name in chosen if ARMS[name][0]):
        settings = map(str, (given.side, given.dim, given.threads, given.device))
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, "-c", COLD, name, *settings],
                env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
                cwd=Path(__file__).parent,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        first = json.loads(done.stdout.splitlines()[-1])
        seconds = {"forward_s": first[0], "step_s": first[1], "sum_s": sum(first)}
        rows[name] = {what: round(value, 1) for what, value in seconds.items()}
    return rows


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="checkout of swz30/Restormer")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dim", type=int, default=48)
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled arms")
    parser.add_argument(
        "--sections",
        type=lambda text: text.split(","),
        default=list(SECTIONS[:-1]),
        metavar="A,B",
        help=f"which of {','.join(SECTIONS)} (default: all but cold)",
    )
    parser.add_argument(
        "--inference-side", type=int, default=512, help="of its image (default: %(default)s)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = harness.arguments(parser, rounds=5)
    unknown = [name for name in given.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"expected --sections among {','.join(SECTIONS)}, got {','.join(unknown)}")
    return given


def measure_sections(arms: dict, x: Tensor, given: argparse.Namespace) -> dict:
    """Run the chosen sections: name -> rows by arm."""
    plain = {name: arm for name, arm in arms.items() if "checkpointed" not in name}
    side = given.inference_side
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(x.device)
    work = {
        "forward": lambda: measure(plain, x, forward, given.rounds),
        "step": lambda: measure(arms, x, step, given.rounds),
        "memory": lambda: memory(arms, x),
        "inference": lambda: inference(arms, image),
        "cold": lambda: cold([name for name in arms if name in ARMS], given),
    }
    return {name: rows for name in given.sections if (rows := work[name]())}


def main() -> None:
    """Run the sections, print tables, and write files where asked."""
    given = parse()
    chosen = [name for name, (made, *_) in ARMS.items() if not (made and given.no_compile)]
    arms = build_arms(given.upstream, {"dim": given.dim}, chosen)
    for network, _ in arms.values():
        network.to(given.device)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(given.batch, 3, given.side, given.side, generator=generator).to(given.device)
    sections = measure_sections(arms, x, given)
    outputs = {
        name: forward(arms[name][0], x, False) for name in ("ours", UPSTREAM) if name in arms
    }
    result = {
        "input": list(x.shape),
        "dim": given.dim,
        "rounds": given.rounds,
        "upstream": given.upstream is not None,
        **sections,
    }
    about = {
        "inference": f"one image of {given.inference_side} pixels, wanted <= 0.48 of upstream's; "
        "`live` are the tensors, `peak` is resident memory, which on a CPU has the libraries' "
        "buffers in it and the holes between tensors where freed memory stays with the process",
        "cold": "wanted < 30 s",
    }
    notes = [f"{name}: {text}" for name, text in about.items() if name in sections]
    if UPSTREAM in outputs:
        difference = (outputs["ours"] - outputs[UPSTREAM]).abs().max().item()
        result["largest_difference"] = difference
        notes.append(f"largest difference of the forward to upstream: {difference:.1e}")
    else:
        notes.append("no --upstream: only ours is measured, and no ratio is known")
    tables = {
        title: [{"network": name, **row} for name, row in rows.items()]
        for title, rows in sections.items()
    }
    shape = "x".join(map(str, x.shape))
    title = f"Restormer of width {given.dim}, input {shape}"
    harness.finish(title, tables, result, given.out, given.device, notes)


if __name__ == "__main__":
    main()
