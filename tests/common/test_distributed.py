"""Choosing a device, and joining torchrun's group for the time of a block."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from restoration.common import distributed
from restoration.common.distributed import choose_device

ROOT = Path(__file__).parents[2]


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")


@pytest.mark.parametrize(
    ("wanted", "device"),
    [
        (0, "cpu"),
        (1, "cuda:1"),
        (8, "cuda:1"),
        ("auto", "cuda:1"),
        ("cpu", "cpu"),
        ("cuda", "cuda:1"),
        ("cuda:0", "cuda:0"),
    ],
)
def test_with_gpus(two_gpus, wanted, device):
    assert choose_device(wanted) == torch.device(device)


@pytest.mark.parametrize("wanted", [0, 1, "auto", "cpu"])
def test_without_gpus(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(wanted) == torch.device("cpu")


def test_apple_gpus_are_taken_by_name(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("cuda:2", r"expected a device that torch has here \(cpu, cuda\), got cuda:2"),
        ("mps", r"expected a device that torch has here \(cpu, cuda\), got mps"),
        ("meta", "expected a device that torch has here"),
        ("gpu", "expected a device such as cpu, cuda or mps, got 'gpu'"),
    ],
)
def test_devices_that_are_not_here(two_gpus, monkeypatch, wanted, message):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        choose_device(wanted)


def test_a_group_that_was_joined_before_is_not_left(monkeypatch, tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1
    )
    try:
        with distributed.process_group(0) as device:
            assert device.type == "cpu"
        assert torch.distributed.is_initialized()
    finally:
        distributed.stop()
    assert not torch.distributed.is_initialized()


WAITS = """
import sys, time
from restoration.common import distributed
try:
    with distributed.process_group(0, timeout_minutes=0.02):
        if distributed.rank() == 1:
            time.sleep(60)
        distributed.gather([1])
except ConnectionError as error:
    print(error, flush=True)
    import os
    os._exit(3)
"""


def test_a_process_that_was_stopped_is_not_waited_for_without_end(tmp_path):
    """The other one ends with a line; both have a store in a file of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", WAITS],
            env=os.environ | place | {"RANK": str(rank), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said, _ = ranks[0].communicate(timeout=60)
        assert ranks[0].returncode == 3
        assert said.startswith("another process was stopped, or has ended: ")
    finally:
        ranks[1].kill()
        ranks[1].communicate()
