"""Time and memory of our Restormer against its authors' file, forward and training step.

    python experiments/benchmarks/network.py --upstream DIR --threads 2 --rounds 5 --out speed.json

DIR is a checkout of swz30/Restormer; without it only ours is measured. All arms run in turn in one
process, so that a busy machine slows them alike. A ratio is upstream over ours: of the medians and
of the minima, which a busy machine disturbs least. The memory of a step is what autograd keeps
between forward and backward, storages counted once and weights not at all.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def counted(network: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes of every storage that autograd keeps inside, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    sizes, held = {}, []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)  # an address stays its own only while somebody holds it
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def kept(network: nn.Module, x: Tensor, lowered: bool) -> int:
    """Bytes that autograd keeps for the backward pass."""
    with counted(network) as sizes:
        loss(network, x, lowered)
    return sum(sizes.values())


def seconds(function: Callable, *arguments: object) -> float:
    """Time of one call, what a GPU still has to do included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    function(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(arms: dict, x: Tensor, function: Callable, rounds: int) -> dict:
    """Times of every arm in turn: first call, median, minimum, and ratios to upstream."""
    firsts = {name: seconds(function, arm[0], x, arm[1]) for name, arm in arms.items()}
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, (network, lowered) in arms.items():
            times[name].append(seconds(function, network, x, lowered))
    rows = {
        name: {
            "first_s": round(firsts[name], 2),
            "median_ms": round(1e3 * statistics.median(values), 1),
            "min_ms": round(1e3 * min(values), 1),
        }
        for name, values in times.items()
    }
    for row in rows.values():
        if UPSTREAM in rows:
            row["ratio"] = round(rows[UPSTREAM]["median_ms"] / row["median_ms"], 2)
            row["ratio_of_minima"] = round(rows[UPSTREAM]["min_ms"] / row["min_ms"], 2)
    return rows


def memory(arms: dict, x: Tensor) -> dict:
    """Memory of a step of every arm, in GB and as a share of upstream's."""
    sizes = {name: kept(network, x, lowered) for name, (network, lowered) in arms.items()}
    whole = sizes.get(UPSTREAM)
    return {
        name: {
            "kept_gb": round(size / 1e9, 3),
            **({"share": round(size / whole, 3)} if whole else {}),
        }
        for name, size in sizes.items()
    }


def show(title: str, rows: dict[str, dict]) -> None:
    """Print one section as a table."""
    print(title)
    for name, row in rows.items():
        print(f"  {name:28s}", "  ".join(f"{key} {value}" for key, value in row.items()))


def main() -> None:
    """Run the sections and print them; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="checkout of swz30/Restormer")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dim", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled arms")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = [name for name, (made, *_) in ARMS.items() if not (made and given.no_compile)]
    arms = build_arms(given.upstream, {"dim": given.dim}, chosen)
    for network, _ in arms.values():
        network.to(device)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(given.batch, 3, given.side, given.side, generator=generator).to(device)
    result = {
        "input": list(x.shape),
        "dim": given.dim,
        "rounds": given.rounds,
        "upstream": given.upstream is not None,
        "machine": {
            "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "load": round(os.getloadavg()[0], 1),
        },
        "memory": memory(arms, x),
        "step": measure(arms, x, step, given.rounds),
    }
    plain = {name: arm for name, arm in arms.items() if "checkpointed" not in name}
    outputs = {name: forward(network, x, lowered) for name, (network, lowered) in plain.items()}
    result["forward"] = measure(plain, x, forward, given.rounds)
    if UPSTREAM in outputs:
        difference = (outputs["ours"] - outputs[UPSTREAM]).abs().max().item()
        result["largest_difference"] = difference
    else:
        print("no --upstream: only ours is measured, and no ratio is known")
    for title in ("forward", "step", "memory"):
        show(title, result[title])
    print({k: v for k, v in result.items() if k not in ("forward", "step", "memory")})
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
