"""Time and memory of our Restormer against its authors' file, forward and training step.

    python experiments/benchmarks/network.py --upstream DIR --threads 2 --rounds 5 --out speed.json

DIR is a checkout of swz30/Restormer; without it only ours is measured. A ratio is upstream over
ours. The memory of a step is what autograd keeps between forward and backward, storages counted
once and weights not at all; that of inference is the peak of a forward without gradients: of the
tensors that live at once, and of what the process or the GPU's allocator takes for it. `first_s`
is the first call, which compiles, as a rule from a cache.

`forward` and `step` compare the networks alone, in one process with one allocator. `as-used` gives
each a process of its own, which take turns: upstream's keeps the C library's allocator as it is,
ours keeps freed memory as our command line does. `cold` compiles in processes whose cache is empty.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import harness
import torch
from network_arms import ARMS, UPSTREAM, build_arm, forward, image, loss, step
from network_worker import Worker
from torch import Tensor

# those that start processes come first, while this one holds little memory
SECTIONS = ("as-used", "cold", "forward", "step", "memory", "inference")
INFERENCE_ARMS = (UPSTREAM, "ours", "ours, bf16")
PASSED_ON = ("upstream", "side", "batch", "dim", "threads", "device")


def measure(arms: dict, x: Tensor, function: Callable, rounds: int) -> dict[str, harness.Row]:
    """Times of every contender in turn: first call, median, minimum, and ratios to upstream."""
    turns = {
        name: partial(harness.timed, partial(function, network, x, lowered), x.device)
        for name, (network, lowered) in arms.items()
    }
    firsts = {name: turn() for name, turn in turns.items()}
    times = harness.interleave(turns, rounds, warm_up=0)
    return {
        name: {"first_s": round(firsts[name].clock / 1e3, 2), **about}
        for name, about in against_upstream(times).items()
    }


def against_upstream(times: Mapping[str, Sequence[harness.Timing]]) -> dict[str, harness.Row]:
    """Median and minimum of every contender, and ratios to upstream where that is among them."""
    rows: dict[str, harness.Row] = {}
    for name, own in times.items():
        about = harness.describe(own)
        rows[name] = {"median_ms": about["clock_median_ms"], "min_ms": about["clock_min_ms"]}
        if UPSTREAM in times:
            found = harness.ratio(times[UPSTREAM], own)
            rows[name] |= {"ratio": found["clock"], "ratio_of_minima": found["of_minima"]}
    return rows


def memory(arms: dict, x: Tensor) -> dict[str, harness.Row]:
    """Memory of a step of every contender, in GB and as a share of upstream's."""
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


def inference(arms: dict, given: argparse.Namespace) -> dict[str, harness.Row]:
    """Peak memory of a forward of one image in MB, and as a share of upstream's.

    Of the tensors, and of what a process of its own takes: with freed memory kept, and with the
    allocator as it is, which is one and the same on a GPU.
    """
    picture = image(1, given.inference_side, given.device)
    settings = {**process_settings(given), "batch": 1, "side": given.inference_side}
    rows: dict[str, harness.Row] = {}
    for name in (name for name in INFERENCE_ARMS if name in arms):
        network, lowered = arms[name]
        sizes = {"live": harness.live_memory(partial(forward, network, picture, lowered))}
        for kind, default in (("resident", False), ("resident_default", True)):
            with closing(Worker(name, settings, default)) as alone:
                sizes[kind] = alone.ask("peak")
        rows[name] = {f"{kind}_mb": size for kind, size in sizes.items()}
        if UPSTREAM in rows:
            for kind in (kind for kind, size in sizes.items() if size is not None):
                rows[name][f"{kind}_share"] = round(sizes[kind] / rows[UPSTREAM][f"{kind}_mb"], 3)
    return rows


def as_used(names: Sequence[str], given: argparse.Namespace) -> dict[str, harness.Row]:
    """Forward and step of every contender as its users run it, in turn, a process for each."""
    settings = process_settings(given)
    rows: dict[str, harness.Row] = {name: {} for name in names}
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(closing(Worker(name, settings, name == UPSTREAM)))
            for name in names
        }
        for what in ("forward", "step"):
            turns = {name: partial(one.timed, what) for name, one in made.items()}
            found = against_upstream(harness.interleave(turns, given.rounds, warm_up=2))
            for name, row in found.items():
                rows[name] |= {f"{what}_{key}": value for key, value in row.items()}
    return rows


def cold(names: Sequence[str], given: argparse.Namespace) -> dict[str, harness.Row]:
    """Seconds of the first compiled forward and of the first step, each with an empty cache."""
    rows: dict[str, harness.Row] = {name: {} for name in names}
    for name in names:
        for what in ("forward", "step"):
            with tempfile.TemporaryDirectory() as cache:
                environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
                one = Worker(name, process_settings(given), environment=environment)
                with closing(one) as alone:
                    rows[name][f"{what}_s"] = round(alone.timed(what).clock / 1e3, 1)
    return rows


def process_settings(given: argparse.Namespace) -> dict[str, object]:
    """Options that a process of its own gets as well."""
    return {key: getattr(given, key) for key in PASSED_ON}


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="checkout of swz30/Restormer")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dim", type=int, default=48)
    parser.add_argument(
        "--no-compile", action="store_true", help="leave out the compiled contenders"
    )
    parser.add_argument(
        "--sections",
        type=lambda text: text.split(","),
        default=[name for name in SECTIONS if name != "cold"],
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
    """Run the chosen sections: name -> rows by contender."""
    plain = {name: arm for name, arm in arms.items() if "checkpointed" not in name}
    compiled = [name for name in plain if "compiled" in name]
    work = {
        "as-used": lambda: as_used(list(plain), given),
        "cold": lambda: cold(compiled, given),
        "forward": lambda: measure(plain, x, forward, given.rounds),
        "step": lambda: measure(arms, x, step, given.rounds),
        "memory": lambda: memory(arms, x),
        "inference": lambda: inference(arms, given),
    }
    chosen = [name for name in SECTIONS if name in given.sections]
    return {name: rows for name in chosen if (rows := work[name]())}


def main() -> None:
    """Run the sections, print tables, and write files where asked."""
    given = parse()
    settings = {"dim": given.dim}
    chosen = [name for name, (made, *_) in ARMS.items() if not (made and given.no_compile)]
    if given.upstream is not None:
        chosen.insert(0, UPSTREAM)
    arms = {name: build_arm(name, given.upstream, settings) for name in chosen}
    for network, _ in arms.values():
        network.to(given.device)
    x = image(given.batch, given.side, given.device)
    sections = measure_sections(arms, x, given)
    result = {
        "input": list(x.shape),
        "dim": given.dim,
        "rounds": given.rounds,
        "upstream": given.upstream is not None,
        **sections,
    }
    about = {
        "inference": f"one image of {given.inference_side} pixels; `live` are the tensors, target "
        "<= 0.48 of upstream's; `resident` is a process with freed memory kept, `resident_default` "
        "one with the C library's allocator as it is: libraries' buffers are in both, and holes "
        "between tensors in the first",
        "as-used": "upstream's network with the C library's allocator as it is, ours with freed "
        "memory kept, as the command line does",
        "cold": "target < 30 s",
    }
    notes = [f"{name}: {text}" for name, text in about.items() if name in sections]
    if given.upstream is not None:
        ours, theirs = (forward(arms[name][0], x, False) for name in ("ours", UPSTREAM))
        result["largest_difference"] = (ours - theirs).abs().max().item()
        difference = result["largest_difference"]
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
