"""What the benchmarks share: turns of timing in one process, memory, the machine, tables and files.

Arms are timed in turn within every round, so that a busy machine slows them alike. A ratio is the
median over rounds of the ratio within a round; beside it stands the ratio of the shortest times,
which a busy machine disturbs least. Rows of a table are mappings from heading to value.
"""

import argparse
import ctypes
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from restoration.common.memory import keep_freed

LIBRARIES = ("torch", "numpy", "opencv-python-headless", "opencv-python", "basicsr", "lpips")
MEGABYTE = 2**20

Row = dict[str, Any]


class Timing(NamedTuple):
    """Milliseconds by the clock, and of CPU time of this process."""

    clock: float
    cpu: float


def timed(function: Callable[[], object], device: torch.device | str = "cpu") -> Timing:
    """Time one call; on a GPU until its work is done."""
    synchronize(device)
    clock, cpu = time.perf_counter(), time.process_time()
    function()
    synchronize(device)
    return Timing(1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cpu))


def synchronize(device: torch.device | str) -> None:
    """Wait for a GPU; nothing on a CPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def interleave(
    arms: Mapping[str, Callable[[], Timing]], rounds: int, warm_up: int = 1
) -> dict[str, list[Timing]]:
    """Measure every contender once per round, in turn, after rounds that do not count."""
    times: dict[str, list[Timing]] = {name: [] for name in arms}
    for number in range(warm_up + rounds):
        for name, arm in arms.items():
            timing = arm()
            if number >= warm_up:
                times[name].append(timing)
    return times


def describe(times: Sequence[Timing]) -> dict[str, float]:
    """Median and minimum, by the clock and of CPU time."""
    return {
        f"{kind}_{what}_ms": round(function(getattr(t, kind) for t in times), 2)
        for kind in Timing._fields
        for what, function in (("median", statistics.median), ("min", min))
    }


def ratio(above: Sequence[Timing], below: Sequence[Timing]) -> dict[str, float]:
    """How many times longer one contender takes than another of the same rounds."""
    found = {
        kind: round(
            statistics.median(
                getattr(a, kind) / max(getattr(b, kind), 1e-6)
                for a, b in zip(above, below, strict=True)
            ),
            3,
        )
        for kind in Timing._fields
    }
    shortest = min(t.clock for t in above) / min(t.clock for t in below)
    return {**found, "of_minima": round(shortest, 3)}


def peak_memory(function: Callable[[], object], device: torch.device | str = "cpu") -> float | None:
    """Megabytes that a call needs beyond what was in use before it.

    On a GPU by torch's allocator; on a CPU by the peak of the process's resident memory, which
    Linux alone lets a process reset: elsewhere None.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        synchronize(device)
        return round((torch.cuda.max_memory_allocated(device) - before) / MEGABYTE, 1)
    if not Path("/proc/self/clear_refs").exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)  # memory that is free but kept would hide what is needed
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _resident("VmRSS")
    function()
    return round((_resident("VmHWM") - before) / 1024, 1)


class _LiveStorages(TorchDispatchMode):
    """Counts the bytes of the storages that operations made and somebody still holds."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        out = func(*args, **(kwargs or {}))
        self.sizes = {ref: size for ref, size in self.sizes.items() if not ref.expired()}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.sizes[StorageWeakRef(storage)] = storage.nbytes()
        self.peak = max(self.peak, sum(self.sizes.values()))
        return out


def live_memory(function: Callable[[], object]) -> float:
    """Megabytes of the tensors that a call holds at its peak, each storage once.

    What a library takes inside an operation, and what an allocator adds, is not in it: compare
    `peak_memory`. An operation that returns a tensor made before the call counts it too.
    """
    with _LiveStorages() as storages:
        function()
    return round(storages.peak / MEGABYTE, 1)


def saved_memory(work: Callable[[], object], weights: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps of a forward pass: each storage once, without the weights'."""
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    sizes: dict[int, int] = {}
    held = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)  # an address stays its own only while somebody holds it
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        work()
    return sum(sizes.values())


def _resident(key: str) -> int:
    """Kilobytes of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def machine(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Describe what the numbers were taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    gpu = torch.device(device).type == "cuda"
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if gpu else None,
        "python": platform.python_version(),
        **{name: installed for name in LIBRARIES if (installed := _version(name))},
        "load": round(os.getloadavg()[0], 1),
    }


def _version(name: str) -> str | None:
    try:
        return torch.__version__ if name == "torch" else version(name)
    except PackageNotFoundError:
        return None


def arguments(parser: argparse.ArgumentParser, rounds: int) -> argparse.Namespace:
    """Add what every benchmark takes, parse, and set the threads."""
    parser.add_argument("--rounds", type=int, default=rounds, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="a FILE.md is put beside it")
    given = parser.parse_args()
    for name in ("rounds", "threads"):
        if getattr(given, name) < 1:
            parser.error(f"expected --{name} >= 1, got {getattr(given, name)}")
    torch.set_num_threads(given.threads)
    keep_freed()  # as the command line does
    return given


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, aligned, so that it serves a terminal too."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    cells = [heads, *([_text(row.get(head)) for head in heads] for row in rows)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(heads))]
    numbers = [all(isinstance(row.get(head), int | float | None) for row in rows) for head in heads]
    rows_of_text = [
        " | ".join(_align(c, w, n) for c, w, n in zip(line, widths, numbers, strict=True))
        for line in cells
    ]
    rule = " | ".join("-" * (w - n) + ":" * n for w, n in zip(widths, numbers, strict=True))
    return "\n".join(f"| {line} |" for line in (rows_of_text[0], rule, *rows_of_text[1:]))


def _align(cell: str, width: int, number: bool) -> str:
    return cell.rjust(width) if number else cell.ljust(width)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "" if value is None else str(value)


def finish(
    title: str,
    tables: Mapping[str, Sequence[Row]],
    result: Mapping[str, Any],
    out: Path | None,
    device: torch.device | str = "cpu",
    notes: Sequence[str] = (),
) -> None:
    """Print tables and notes; write FILE.json and FILE.md where asked.

    Args:
        title: what was measured, one line.
        tables: rows by heading.
        result: what goes into the JSON file, beside the machine and the notes.
        out: FILE.json, or None.
        device: where it was measured.
        notes: what a reader must know.
    """
    about = machine(device)
    where = ", ".join(f"{key} {value}" for key, value in about.items() if value is not None)
    parts = [f"# {title}", where, *(f"## {head}\n\n{table(rows)}" for head, rows in tables.items())]
    text = "\n\n".join([*parts, *([_list(notes)] if notes else [])]) + "\n"
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        content = {**result, "notes": list(notes), "machine": about}
        out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        out.with_suffix(".md").write_text(text, encoding="utf-8")


def _list(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)
