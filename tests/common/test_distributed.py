"""Choosing a device, and joining torchrun's group for the time of a block."""

import pytest
import torch

from restoration.common import distributed
from restoration.common.distributed import choose_device


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
