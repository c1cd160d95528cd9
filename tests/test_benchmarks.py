"""The scripts under experiments/benchmarks run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_loss_speed(tmp_path):
    script = ROOT / "experiments" / "benchmarks" / "loss_speed.py"
    small = ["--side", "32", "--rounds", "1", "--threads", "1", "--out", tmp_path / "x.json"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, script, *map(str, small)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "x.json").read_text())
    assert result["largest_relative_difference"] < 1e-5
    assert set(result["arms"]) >= {"plain", "e-vgg", "straightforward"}


@pytest.mark.slow
def test_network_without_upstream(tmp_path):
    script = ROOT / "experiments" / "benchmarks" / "network.py"
    small = ["--side", "16", "--dim", "8", "--rounds", "1", "--threads", "1", "--no-compile"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, script, *small, "--out", str(tmp_path / "x.json")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "only ours is measured" in done.stdout
    result = json.loads((tmp_path / "x.json").read_text())
    assert not result["upstream"]
    kept = {name: row["kept_gb"] for name, row in result["memory"].items()}
    assert kept["ours, checkpointed"] < kept["ours"]
