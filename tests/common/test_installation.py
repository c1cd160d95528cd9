"""What an installation can lack: our own package `losses`, and a TensorBoard that starts."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from restoration.common import installation

ROOT = Path(__file__).parents[2]
SECONDS = 120  # that TensorBoard may take to start


def run_module(module: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("module", ["restoration.train", "restoration"])
def test_a_package_of_the_name_losses(tmp_path, module):
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses/__init__.py").touch()
    arguments = [] if module == "restoration.train" else ["train"]
    done = run_module(module, tmp_path, *arguments, "-opt", "gone.yml")
    assert done.returncode == 2
    assert f"got {tmp_path / 'losses'}: it hides ours" in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_that_are_no_packages_do_no_harm(tmp_path):
    for name in ("losses", "restoration"):
        (tmp_path / name).mkdir()
    done = run_module("restoration.train", tmp_path, "-opt", "gone.yml")
    assert done.returncode == 2
    assert "gone.yml does not exist" in done.stderr


def test_check_losses_names_what_is_in_its_place(monkeypatch):
    installation.check_losses()
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="got none"):
        installation.check_losses()


@pytest.mark.parametrize("missing", ["tb-nightly", "tensorboard", None])
def test_tensorboard_conflict(monkeypatch, missing):
    def version(name: str) -> str:
        if name == missing:
            raise PackageNotFoundError(name)
        return "2.21"

    monkeypatch.setattr(installation, "version", version)
    conflict = installation.tensorboard_conflict()
    if missing is None:
        assert "pip uninstall -y tb-nightly tensorboard && pip install tensorboard" in conflict
    else:
        assert conflict is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_page(url: str, server: subprocess.Popen[str]) -> str:
    """What a server answers once it is up; its own words if it ends before."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(SECONDS * 4):
        if server.poll() is not None:
            pytest.fail(f"TensorBoard ended: {server.communicate()[0]}")
        try:
            with opener.open(url, timeout=10) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.25)
    pytest.fail(f"TensorBoard does not answer within {SECONDS} s")


def test_tensorboard_shows_a_run(tmp_path):
    assert installation.tensorboard_conflict() is None, installation.tensorboard_conflict()
    with SummaryWriter(tmp_path / "run") as events:
        events.add_scalar("loss/total", torch.tensor(0.5), 1)
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path)]
    server = subprocess.Popen(  # noqa: S603
        [*command, "--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert "<title>TensorBoard</title>" in read_page(f"http://127.0.0.1:{port}/", server)
        assert "run" in read_page(f"http://127.0.0.1:{port}/data/runs", server)
    finally:
        server.terminate()
        server.wait(timeout=30)
        assert server.stdout is not None
        server.stdout.close()
