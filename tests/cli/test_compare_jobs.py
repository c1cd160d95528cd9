"""`restoration compare --jobs N`: trainings at once, each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from tiny import tiny_comparison

from restoration.cli import main

MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}
MSE = {"name": "mse", "train": {"losses": [{"type": "MSE"}]}}


@pytest.fixture
def write(pictures, tmp_path):
    """Write the option file of a small comparison; returns what a command line has of it."""
    images, tested = pictures(2, side=24), pictures(2, side=24, seed=1, name="tested")

    def make(**keys):
        options = tiny_comparison(images, recipes=[MAE, MSE]) | keys
        options["datasets"]["val"]["dataroot_gt"] = str(tested)
        file = tmp_path / "compare.yml"
        file.write_text(yaml.safe_dump(options))
        return ["compare", "-opt", str(file)]

    return make


def rows(folder):
    return json.loads((folder / "results.json").read_text())["rows"]


def _steps(curves):
    """How many steps of a training are logged."""
    return curves.read_text().count("\n") - 1 if curves.is_file() else 0


def test_the_same_result(write, tmp_path, capfd):
    command = write(seeds=[3, 4])
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    capfd.readouterr()
    assert main([*command, "--out", str(tmp_path / "jobs"), "--jobs", "2"]) == 0
    assert rows(tmp_path / "jobs") == rows(tmp_path / "one")
    out = capfd.readouterr().out
    assert [line.split("begun: ")[1] for line in out.splitlines() if "begun: " in line] == [
        "mae, seed 3",
        "mse, seed 3",
        "mae, seed 4",
        "mse, seed 4",
    ]
    assert out.count("trained: m") == 4
    measured = [tmp_path / "jobs" / name for name in ("journal.jsonl", "journal.1.jsonl")]
    assert all(file.read_text() for file in measured), "each process measured an image"
    assert "WORLD_SIZE" not in os.environ
    assert main([*command, "--out", str(tmp_path / "jobs"), "--jobs", "2", "--auto_resume"]) == 0
    assert "begun: " not in capfd.readouterr().out, "all is trained"


def test_a_recipe_that_cannot_be_trained(write, tmp_path, capfd):
    lacks = {"type": "E-MAE", "masks": str(tmp_path / "no.safetensors")}
    recipes = [MAE, {"name": "lacks", "train": {"losses": [lacks]}}]
    out = tmp_path / "out"
    assert main([*write(recipes=recipes), "--out", str(out), "--jobs", "2"]) == 2
    assert "recipe lacks: " in (error := capfd.readouterr().err)
    assert "no.safetensors" in error


def test_flags_that_do_not_go_together(write, capsys):
    command = write()
    for more in (["--only", "mae"], ["--collect"], ["--list"]):
        assert main([*command, "--jobs", "2", *more]) == 2
        assert f"got --jobs and {more[0]}" in capsys.readouterr().err
    assert main([*command, "--jobs", "0"]) == 2
    assert "1 or more" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_and_the_rest_is_trained_later(write, tmp_path, sent):
    steps = {"total_iter": 100_000, "optim_g": {"lr": 0.01}}
    out = tmp_path / "out"
    command = [*write(train=steps), "--out", str(out), "--jobs", "2"]
    start = "from restoration.cli import run_and_exit; run_and_exit()"
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", start, *command],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    curves = [out / "recipes" / name / "curves.csv" for name in ("mae", "mse")]
    until = time.monotonic() + 120
    while not all(_steps(file) for file in curves) and time.monotonic() < until:
        time.sleep(0.1)
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does
    else:
        process.send_signal(sent)
    assert process.wait(60) == 128 + sent
    for name in ("mae", "mse"):
        states = list((out / "recipes" / name / "training_states").glob("*.state"))
        assert len(states) == 1, "each saved its state"
