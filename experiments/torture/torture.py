"""`make torture`: a small training that is killed, damaged, cut off and crowded.

Everything has to end as the undisturbed run did, to the last bit, or with one line that says what
is wrong. Every part leaves a file of results, and is not done again where that is there already:
a torture that was interrupted goes on with the next part. Parts that need root (power cuts, a full
disk) are left out, and said, without it.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
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
ROOT = ("power", "disk")
TITLES = {
    "kills": "random kills",
    "damage": "damaged files",
    "power": "power cuts",
    "disk": "full disk",
    "twice": "two at once",
    "ranks": "two ranks",
    "memory": "memory",
}


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--cuts", type=int, default=10, help="power cuts; default: %(default)s")
    parser.add_argument("--stops", type=int, default=4, help="of two ranks; default: %(default)s")
    parser.add_argument("--steps", type=int, default=5000, help="of the test of memory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--again", action="store_true", help="do parts again that are done")
    parser.add_argument(
        "--out", type=Path, default=Path("torture"), help="folder of PART.json and README.md"
    )
    return parser.parse_args()


def parts_of(given: argparse.Namespace, place: Path) -> dict[str, Callable[[], Any]]:
    """What every part does; the undisturbed run that they compare with is made by the first."""
    pictures = workload.make_pictures(place / "pictures")
    whole = workload.reference(place / "whole", pictures)
    return {
        "kills": partial(kills.torture, place, pictures, whole, given.kills, given.seed),
        "damage": partial(damage.torture, place, pictures, whole),
        "power": partial(power.torture, place, pictures, whole, given.cuts, given.seed),
        "disk": partial(company.full_disk, place, pictures, whole),
        "twice": partial(company.two_at_once, place, pictures, whole),
        "ranks": partial(ranks.torture, place, pictures, given.stops, given.seed),
        "memory": partial(company.leak, place, pictures, given.steps),
    }


def wanted_of(given: argparse.Namespace) -> list[str]:
    """Parts that are to be done now; those that are not are said."""
    wanted = []
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    for name in given.parts:
        if name in ROOT and not is_root:
            workload.say(f"{TITLES[name]}: left out, it needs root")
        elif (given.out / f"{name}.json").is_file() and not given.again:
            workload.say(f"{TITLES[name]}: done before, {given.out / name}.json is there")
        else:
            wanted.append(name)
    return wanted


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
    if name == "power":
        return f"{found['cuts']} images of ext4"
    if name == "memory":
        grown = found["late_mb"] - found["early_mb"]
        return f"{found['steps']} steps, {found['late_mb']:.0f} MB, {grown:+.1f} MB since a fifth"
    return "once"


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Results of all parts that are done, in their order."""
    files = {name: folder / f"{name}.json" for name in TITLES}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}


def page(results: dict[str, dict[str, Any]]) -> str:
    """The outcome in Markdown."""
    machines = list(dict.fromkeys(one["machine"] for one in results.values()))
    about = "[what the parts and outcomes mean](../../torture/README.md)"
    written = f"Written by `make torture`; {about}. {'; '.join(machines)}."
    lines = ["# Torture", "", written, ""]
    lines += ["| part | what was done | wrong | minutes |", "|---|---|---|---|"]
    for name, one in results.items():
        found = one["found"]
        cells = [TITLES[name], what_was_done(name, found), str(count_wrong(name, found))]
        lines.append(f"| {' | '.join(cells)} | {one['minutes']:.1f} |")
    missing = [title for name, title in TITLES.items() if name not in results]
    if missing:
        lines += ["", f"Not done: {', '.join(missing)}."]
    if "damage" in results:
        lines += ["", "| file | damage | outcome |", "|---|---|---|"]
        for row in results["damage"]["found"]:
            outcome = row["outcome"].replace("|", "\\|")
            lines.append(f"| {row['file']} | {row['damage']} | {outcome} |")
    wrong = {name: one["found"] for name, one in results.items() if name != "damage"}
    for name, found in wrong.items():
        if count_wrong(name, found):
            lines += ["", f"## {TITLES[name]}", "", "```", json.dumps(found, indent=1), "```"]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, content: str) -> None:
    """Write a file whole, or not at all."""
    part = folder / f"{name}.part"
    part.write_text(content)
    part.replace(folder / name)


def main() -> int:
    """Run the parts, print and write; returns 1 if anything was wrong."""
    given = parse()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = wanted_of(given)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    machine = f"{versions}, {os.cpu_count()} cores"
    with tempfile.TemporaryDirectory(prefix="torture_") as place:
        tempfile.tempdir = place  # what children print goes with it
        parts = parts_of(given, Path(place)) if wanted else {}
        for name in wanted:
            workload.say(f"{TITLES[name]}: begins")
            began = time.monotonic()
            found = parts[name]()
            minutes = (time.monotonic() - began) / 60
            content = json.dumps({"minutes": minutes, "machine": machine, "found": found}, indent=1)
            write(given.out, f"{name}.json", content.replace(place, "<place>") + "\n")
            write(given.out, "README.md", page(read_results(given.out)))
            workload.say(f"{TITLES[name]}: {count_wrong(name, found)} wrong")
    results = read_results(given.out)
    print(page(results))
    return int(any(count_wrong(name, one["found"]) for name, one in results.items()))


if __name__ == "__main__":
    sys.exit(main())
