"""The scripts under experiments/benchmarks run, and count what they say."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
import torch

from restoration.options.load import validate

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "experiments" / "benchmarks"


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("harness")


def run(script: str, out: Path, *arguments) -> tuple[dict, str]:
    """Run a script; its JSON file, and its Markdown file, which is what it printed."""
    small = ["--rounds", 1, "--threads", 1, "--out", out, *arguments]
    done = subprocess.run(  # noqa: S603
        [sys.executable, SCRIPTS / script, *map(str, small)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    text = out.with_suffix(".md").read_text()
    assert text.strip() == done.stdout.strip()
    result = json.loads(out.read_text())
    assert {"torch", "threads", "processor"} <= set(result["machine"])
    return result, text


def test_arms_take_turns(harness):
    order = []

    def arm(name, milliseconds):
        order.append(name)
        return harness.Timing(milliseconds, milliseconds / 2)

    durations = iter([8.0, 4.0, 6.0])
    times = harness.interleave(
        {"a": lambda: arm("a", next(durations)), "b": lambda: arm("b", 2.0)}, rounds=2
    )
    assert order == ["a", "b"] * 3, "one round to warm up, then two"
    assert [t.clock for t in times["a"]] == [4.0, 6.0]
    assert harness.describe(times["a"]) == {
        "clock_median_ms": 5.0,
        "clock_min_ms": 4.0,
        "cpu_median_ms": 2.5,
        "cpu_min_ms": 2.0,
    }
    assert harness.ratio(times["a"], times["b"]) == {"clock": 2.5, "cpu": 2.5, "of_minima": 2.0}


def test_table(harness):
    rows = [{"name": "a", "ms": 1.23456}, {"name": "bcd", "ms": 12345.6, "wanted": None}]
    assert harness.table(rows) == (
        "| name |    ms | wanted |\n"
        "| ---- | ----: | -----: |\n"
        "| a    | 1.235 |        |\n"
        "| bcd  | 12346 |        |"
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="for Linux only")
def test_peak_memory_is_what_a_call_touches(harness):
    megabytes = harness.peak_memory(lambda: b"x" * (64 * harness.MEGABYTE))
    assert 60 < megabytes < 80


def test_live_memory_is_what_tensors_hold_at_once(harness):
    count = harness.MEGABYTE // 4  # of float32 in a megabyte
    before = torch.ones(count)

    def work():
        view = torch.zeros(2 * count).view(2, -1)  # 2, held by a view alone
        view = view.add_(1) + 1  # 2 + 2
        del view
        first = torch.cat([before, before])  # 2
        return first * 2 + before.sum()  # 2 + 2 + 2 and two numbers

    assert harness.live_memory(work) == 6
    assert harness.live_memory(lambda: torch.zeros(count)[:10]) == 1


@pytest.mark.slow
def test_loss_speed(tmp_path):
    result, _ = run("loss_speed.py", tmp_path / "x.json", "--side", 32)
    assert result["largest_relative_difference"] < 1e-5
    assert set(result["contenders"]) >= {
        "plain",
        "e-vgg",
        "straightforward",
        "e-vgg, bf16, compiled",
    }
    assert result["relative_difference_of_bf16"] < 2e-2
    shares = {name: row["share"] for name, row in result["memory"].items()}
    assert shares["e-vgg, bf16"] < shares["e-vgg"] < shares["straightforward"] == 1


@pytest.mark.slow
def test_metrics(tmp_path):
    result, text = run("metrics.py", tmp_path / "x.json", "--height", 64, "--width", 96)
    assert result["largest_difference"] < 1e-4
    assert ("basicsr / ours" in result["ratios"]) == ("basicsr is not installed" not in text)


@pytest.mark.slow
def test_stream(tmp_path):
    small = ["--count", 2, "--workers", 0, "--patch", 32, "--batch", 2, "--samples", 4]
    result, _ = run("stream.py", tmp_path / "x.json", *small)
    rows = result["workers_0"]
    assert rows["ours, decoded files"]["faster"] > 1
    assert rows["384 pixels, cut afterwards"]["faster"] == 1


@pytest.mark.slow
def test_whole_benchmark(tmp_path):
    small = ["--root", tmp_path, "--max-images", 1, "--metrics", "psnr"]
    result, _ = run("whole_benchmark.py", tmp_path / "x.json", *small)
    assert all(0 < row["median"] < 1 for row in result["shares"])
    parts = {row["part"]: row["seconds"] for row in result["parts"]}
    assert min(parts["network"], parts["metrics"], parts["checks before the first image"]) > 0


@pytest.mark.slow
def test_comparison(tmp_path):
    result, _ = run("comparison.py", tmp_path / "x.json", "--dry")
    whole, *parts = (row["seconds"] for row in result["seconds"])
    assert min(parts) > 0
    assert result["ratios"][0]["clock"] == pytest.approx(whole / sum(parts), rel=0.02)


@pytest.mark.slow
def test_scaling(tmp_path):
    small = ["--patches", 32, "--batches", 1, "--sides", 48, "--tile", 32, "--counts", 1]
    result, text = run("scaling.py", tmp_path / "x.json", *small)
    assert (tmp_path / "x.png").stat().st_size > 10_000
    assert "projection, not measured" in text
    (patch,) = result["tables"]["patch"]
    assert patch["gflop"] > 0 and patch["saved_mb"] > 0


@pytest.mark.slow
def test_scaling_of_large_images(tmp_path):
    small = ["--tile", 32, "--limit", 0, "--megapixels"]
    result, text = run("scaling.py", tmp_path / "x.json", *small, "0.004,0.002")
    (row,) = result["tiles"]
    assert (row["megapixels"], row["side"]) == (0.002, 45)
    assert row["s_per_megapixel"] > 0
    assert "left out, longer than 0 s by the rate before: 0.004" in text


@pytest.mark.slow
def test_network_without_upstream(tmp_path):
    small = ["--side", 16, "--dim", 8, "--no-compile", "--inference-side", 64]
    result, text = run("network.py", tmp_path / "x.json", *small)
    assert "only ours is measured" in text
    assert not result["upstream"]
    kept = {name: row["kept_gb"] for name, row in result["memory"].items()}
    assert kept["ours, checkpointed"] < kept["ours"]
    peaks = {name: row["live_mb"] for name, row in result["inference"].items()}
    assert 0 < peaks["ours, bf16"] < peaks["ours"]
    assert set(result["as-used"]) == {"ours", "ours, bf16"}
    assert all(row["step_min_ms"] > row["forward_min_ms"] for row in result["as-used"].values())
    assert "cold" not in result, "nothing is compiled"


@pytest.mark.slow
def test_sections_of_network(tmp_path):
    small = ["--side", 16, "--dim", 8, "--inference-side", 32]
    result, _ = run("network.py", tmp_path / "x.json", *small, "--sections", "inference")
    assert "inference" in result
    assert not {"forward", "step", "memory", "cold"} & set(result)
    wrong = [sys.executable, SCRIPTS / "network.py", "--sections", "forward,stepp"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 2
    known = "as-used,cold,forward,step,memory,inference"
    assert f"expected --sections among {known}, got stepp" in done.stderr


@pytest.mark.slow
def test_training(tmp_path):
    arms = ["basicsr", "ours, decoded files"]
    result, text = run("training.py", tmp_path / "x.json", "--dry", "--to", 5, "--arms", *arms)
    assert [row["contender"] for row in result["speed"]] == arms
    for row in result["speed"]:
        assert row["steps_per_second"] > 0 and row["peak_mb"] > 100
        assert 0 <= row["data_wait_percent"] < 100
    assert all(row["db"] > 5 and row["seconds"] > 0 for row in result["time"])
    assert "## time to 5 dB" in text
    wrong = [sys.executable, SCRIPTS / "training.py", "--steps", "3", "--warm-up", "3"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)  # noqa: S603
    assert "expected --warm-up below --steps, got 3 and 3" in done.stderr


def test_both_sides_of_a_training_are_the_same(harness, tmp_path):
    """Option files are read by ours, and say the same; rows compare rounds with rounds."""
    training = importlib.import_module("training")
    options = importlib.import_module("training_options")
    given = argparse.Namespace(
        dry=True, images=None, val=None, val_images=1, vgg=None, patch=16, batch=1
    )
    vars(given).update(rate=1e-3, print_freq=1, network="restormer_xs", upstream=None)
    inputs = options.Inputs(tmp_path, given)
    theirs = options.their_options(inputs, given, 4, 4)
    ours = validate(options.our_options(inputs, given, 4, 4, {"amp": "bf16", "decoded": True}))
    assert ours.train.terms()[1]["precision"] == "bf16"
    assert ours.train.terms()[1]["taps"] == list(theirs["train"]["perceptual_opt"]["layer_weights"])
    assert theirs["train"]["perceptual_opt"]["layer_weights"]["relu2_2"] == 128 / 192
    assert ours.network_g == theirs["network_g"]
    vars(given).update(dry=False, upstream=tmp_path)
    assert options.their_network(given) == {
        "type": "UpstreamRestormer",
        "dim": 16,
        "num_blocks": [1, 1, 1, 1],
        "num_refinement_blocks": 0,
    }
    run = {"cpu_s_per_step": 1.0, "data_wait": 0.1, "first_step_s": 2.0, "validations": []}
    slow = [run | {"steps_per_second": 1.0 * n, "peak_mb": 200.0} for n in (1, 2)]
    fast = [run | {"steps_per_second": 3.0 * n, "peak_mb": 100.0} for n in (1, 2)]
    first, second = training.speed_rows({"basicsr": slow, "ours": fast})
    assert (first["faster"], second["faster"], second["memory"]) == (1, 3, 0.5)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or which("bash") is None, reason="for bash only")
def test_gpu_script_without_a_gpu(tmp_path):
    script = [str(SCRIPTS / "cuda.sh"), "--dry", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    subprocess.run(script, env=environment, check=True, capture_output=True, timeout=300)  # noqa: S603
    result = json.loads((tmp_path / "cuda.json").read_text())
    assert all(row["largest_difference"] == 0 for row in result["parity"]), "CPU against itself"
    steps = result["training step, 1 patches of 16"]
    assert [row["network"] for row in steps] == ["ours", "ours, bf16"]
    assert all(row["percent_of_ceiling"] > 0 for row in steps)
    assert len(result["largest kernels of a step in bf16"]) == 3
    assert [row["type"] for row in result["photographs"]] == ["float32"] * 2 + ["bf16"] * 2
    assert not any("left out" in note for note in result["notes"])
    assert (tmp_path / "cuda_loss.md").is_file()
    wrong = subprocess.run(  # noqa: S603
        [*script, "--dri"], env=environment, capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "expected --dry, --upstream DIR or --out FOLDER, got --dri\n",
    )
