"""The tutorial, followed from a folder outside of the repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/tutorials/bring_your_own.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.S)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere")
    (place / "mine.py").write_text(block("python"))
    (place / "mine.yml").write_text(block("yaml"))
    return place


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "restoration", *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_is_short():
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 35


def test_train_resume_and_test(folder):
    """Two loader processes: they must find the degradation too."""
    run(folder, "train", "-opt", "mine.yml", "--force_yml", "num_gpu=0")
    experiment = folder / "experiments/mine"
    assert (experiment / "models/net_g_latest.pth").is_file()
    header = (experiment / "curves.csv").read_text().splitlines()[0]
    assert "LogCosh" in header
    assert str(folder / "mine.py") in (experiment / "options.yml").read_text()
    run(folder, "train", "-opt", str(experiment / "options.yml"), "--auto_resume",
        "--force_yml", "train:total_iter=22")  # fmt: skip
    checkpoint = "path:pretrain_network_g=experiments/mine/models/net_g_latest.pth"
    said = run(folder, "test", "-opt", "mine.yml", "--force_yml", "num_gpu=0", checkpoint)
    assert "Worst pixel" in said
    csv = (folder / "results/mine/per_image.csv").read_text()
    assert "worst_pixel" in csv.splitlines()[0] and "dimmer by,1.5" in csv


def test_a_module_that_fails_is_named(folder):
    (folder / "broken.py").write_text("import no_such_module\n")
    (folder / "broken.yml").write_text("base: mine.yml\nimports: [broken.py]\n")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "restoration", "train", "-opt", "broken.yml"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "broken.py: ModuleNotFoundError: No module named 'no_such_module'" in done.stderr
    assert "Traceback" not in done.stderr
