"""`make torture`: a small training that is killed, damaged, cut off and crowded.

Everything has to end as the undisturbed run did, to the last bit, or with one line that says what
is wrong. Parts that need root (power cuts, a full disk) are left out, and said, without it.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import company
import damage
import kills
import power
import ranks
import torch
import workload

MOST_GROWTH = 20.0  # megabytes of a training from its first fifth to its end


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--cuts", type=int, default=10, help="power cuts; default: %(default)s")
    parser.add_argument("--stops", type=int, default=4, help="of two ranks; default: %(default)s")
    parser.add_argument("--steps", type=int, default=5000, help="of the test of memory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", help="of kills, damage, power, company, memory")
    parser.add_argument("--out", type=Path, help="write FILE.json and FILE.md")
    return parser.parse_args()


def run(given: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Run the parts that are wanted."""
    pictures = workload.make_pictures(place / "pictures")
    whole = workload.reference(place / "whole", pictures)
    wanted = given.parts or ["kills", "damage", "power", "company", "memory"]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    parts: dict[str, Any] = {}
    if "kills" in wanted:
        parts["kills"] = kills.torture(place, pictures, whole, given.kills, given.seed)
    if "damage" in wanted:
        parts["damage"] = damage.torture(place, pictures, whole)
    if "power" in wanted and not root:
        print("power cuts and the full disk are left out: they need root")
    elif "power" in wanted:
        parts["power cuts"] = power.torture(place, pictures, whole, given.cuts, given.seed)
        parts["full disk"] = company.full_disk(place, pictures, whole)
    if "company" in wanted:
        parts["two at once"] = company.two_at_once(place, pictures, whole)
        parts["ranks"] = ranks.torture(place, pictures, given.stops, given.seed)
    if "memory" in wanted:
        parts["memory"] = company.leak(place, pictures, given.steps)
    return parts


def count_wrong(name: str, found: Any) -> int:
    """How much was wrong in a part."""
    if name == "damage":
        return sum(row["outcome"].startswith("BAD") for row in found)
    if name == "memory":
        return int(found["late_mb"] - found["early_mb"] > MOST_GROWTH or found["code"] != 0)
    return len(found["wrong"] if isinstance(found, dict) else found)


def what_was_done(name: str, found: Any) -> str:
    """A part in a few words."""
    if name == "damage":
        return f"{len(found)} kinds"
    if name == "kills":
        hit = ", ".join(f"{count} {signal}" for signal, count in found["kills"].items())
        return f"{hit}; {found['finished']} runs finished and compared"
    if name == "power cuts":
        return f"{found['cuts']} images of ext4"
    if name == "memory":
        grown = found["late_mb"] - found["early_mb"]
        return f"{found['steps']} steps, {found['late_mb']:.0f} MB, {grown:+.1f} MB since a fifth"
    return "once"


def describe(parts: dict[str, Any]) -> list[str]:
    """The outcome in Markdown."""
    lines = ["| part | what was done | wrong |", "|---|---|---|"]
    lines += [
        f"| {name} | {what_was_done(name, found)} | {count_wrong(name, found)} |"
        for name, found in parts.items()
    ]
    if "damage" in parts:
        lines += ["", "| file | damage | outcome |", "|---|---|---|"]
        lines += [f"| {r['file']} | {r['damage']} | {r['outcome']} |" for r in parts["damage"]]
    return lines


def main() -> int:
    """Run, print and write; returns 1 if anything was wrong."""
    given = parse()
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture_") as place:
        parts = run(given, Path(place))
        lines = [line.replace(place, "<place>") for line in describe(parts)]
    minutes = (time.monotonic() - began) / 60
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    machine = f"{versions}, {os.cpu_count()} cores"
    text = "\n".join([f"{minutes:.1f} minutes; {machine}", "", *lines]) + "\n"
    print(text)
    for name, found in parts.items():
        if name != "damage" and count_wrong(name, found):
            print(name, json.dumps(found, indent=1))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.with_suffix(".md").write_text(text)
        content = json.dumps({"minutes": minutes, "machine": machine, "parts": parts}, indent=1)
        given.out.with_suffix(".json").write_text(content.replace(place, "<place>") + "\n")
    return int(any(count_wrong(name, found) for name, found in parts.items()))


if __name__ == "__main__":
    sys.exit(main())
