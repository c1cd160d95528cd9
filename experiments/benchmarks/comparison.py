"""What `restoration compare` costs beside its parts: every training by itself, and one test of all.

    python experiments/benchmarks/comparison.py -opt options/compare/quick.yml

The comparison is a process, as a user starts it. Then `restoration train` trains every recipe with
every seed, from the option files that the comparison wrote, and one `restoration test` measures all
these networks on the same images with the same metrics; a process each, too. --dry takes less than
a minute.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import harness
import yaml

WANTED = "<= 1.1"
DRY = [
    "train:total_iter=2",
    "seeds=[0]",
    "datasets:photographs:dataroot_gt=skimage:chelsea@64",
    "datasets:photographs:sigma_test=[50]",
    "val:metrics=[psnr]",
    "expected=[]",
]


def run(command: list[str], threads: int) -> float:
    """Run a command of the toolkit in a process of its own; the seconds that it took."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "restoration", *command],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    return time.perf_counter() - began


def compare(given: argparse.Namespace, folder: Path) -> float:
    """The seconds of the comparison."""
    forced = ["--force_yml", *given.force_yml] if given.force_yml else []
    return run(["compare", "-opt", str(given.opt), "--out", str(folder), *forced], given.threads)


def option_files(compared: Path) -> list[Path]:
    """Those of all trainings of a comparison, with seeds or without."""
    return sorted((compared / "recipes").rglob("options.yml"))


def train_each(compared: Path, folder: Path, threads: int) -> tuple[float, dict[str, Path]]:
    """The seconds of all trainings, each by itself, and the networks that they left."""
    seconds, networks = 0.0, {}
    for path in option_files(compared):
        name = "_".join(path.parent.relative_to(compared / "recipes").parts)
        forced = [f"name={name}", f"path:experiments_root={folder}"]
        seconds += run(["train", "-opt", str(path), "--force_yml", *forced], threads)
        networks[name] = folder / name / "models" / "net_g_latest.pth"
    return seconds, networks


def test_all(compared: Path, folder: Path, networks: dict[str, Path], threads: int) -> float:
    """The seconds of one test that measures these networks as the comparison did."""
    trained, *_ = option_files(compared)
    options = yaml.safe_load(trained.read_text(encoding="utf-8"))
    del options["train"], options["datasets"]["train"]
    options |= {
        "name": "all",
        "path": {"results_root": str(folder)},
        "runs": {name: {"pretrain_network_g": str(path)} for name, path in networks.items()},
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return run(["test", "-opt", str(path)], threads)


def measure(given: argparse.Namespace) -> dict[str, float]:
    """Seconds of the comparison and of its parts."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        whole = compare(given, folder / "compared")
        trainings, networks = train_each(folder / "compared", folder / "alone", given.threads)
        test = test_all(folder / "compared", folder, networks, given.threads)
    return {"compare": whole, "trainings alone": trainings, "one test of all": test}


def main() -> None:
    """Measure, print tables, and write files where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-opt", type=Path, default=Path("options/compare/quick.yml"))
    parser.add_argument("--force_yml", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--dry", action="store_true", help="two steps and one small image, to try the script"
    )
    given = harness.arguments(parser, rounds=1)
    given.force_yml += DRY if given.dry else []
    rounds = [measure(given) for _ in range(given.rounds)]
    parts = [
        {"what": what, "seconds": round(median(one[what] for one in rounds), 1)}
        for what in rounds[0]
    ]
    whole, *alone = rounds[0]
    ratio = median(one[whole] / sum(one[what] for what in alone) for one in rounds)
    row = {"ratio": "compare / its parts", "clock": round(ratio, 3), "target": WANTED}
    harness.finish(
        f"`restoration compare` of {given.opt.name}, beside its parts",
        {"seconds": parts, "ratios": [row]},
        {"rounds": given.rounds, "seconds": parts, "ratios": [row]},
        given.out,
        notes=["every part is a command of its own, with its start"],
    )


if __name__ == "__main__":
    main()
