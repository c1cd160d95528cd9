"""docs/clusters.md and its Slurm template: commands that exist, and a script that calls them."""

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from restoration.cli import build_parser
from restoration.compare.plan import load_comparison
from restoration.compare.single import chosen_runs

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "clusters.md").read_text(encoding="utf-8")
SCRIPT = DOCS / "compare_array.sbatch"


def commands():
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_are_real(command):
    if command[0] == "torchrun":
        module = command[command.index("-m") + 1]
        command = ["restoration", module.split(".")[1], *command[command.index("-m") + 2 :]]
    parsed = build_parser().parse_args(command[1:])
    assert (DOCS.parent / parsed.opt).is_file()
    if getattr(parsed, "only", None):
        (run,) = chosen_runs(load_comparison(DOCS.parent / parsed.opt), parsed.only, parsed.seed)
        assert run.title == "vgg share=0.3, seed 1"


@pytest.fixture
def job(tmp_path):
    """Run the script as Slurm does, with a `restoration` that says what it was called with."""
    fake = tmp_path / "restoration"
    fake.write_text("#!/bin/bash\nfor word; do printf '%s\\n' \"$word\"; done\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "trainings.tsv").write_text("vgg share=0.3\t1\nmae\t\n")

    def run(**environment):
        path = f"{tmp_path}:{os.environ['PATH']}"
        variables = {"PATH": path, "OPT": "c.yml", "OUT": "my out"} | environment
        done = subprocess.run(  # noqa: S603
            ["bash", str(SCRIPT)],  # noqa: S607
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize(
    ("number", "flags"),
    [
        ("0", ["--auto_resume", "--only", "vgg share=0.3", "--seed", "1"]),
        ("1", ["--auto_resume", "--only", "mae"]),
        ("", ["--collect"]),
    ],
)
def test_a_job_trains_its_line_of_the_list(job, number, flags):
    said = job(SLURM_ARRAY_TASK_ID=number)
    assert said == ["compare", "-opt", "c.yml", "--out", "my out", *flags]
    build_parser().parse_args(said)


def test_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / target).exists(), target
