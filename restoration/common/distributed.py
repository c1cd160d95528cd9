"""Processes and devices: torchrun's environment, one process per GPU, gloo on CPUs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def choose_device(wanted: int | str = "auto") -> torch.device:
    """Choose the device of this process.

    Args:
        wanted: 0 for the CPU; another number, or "auto", for this rank's GPU where there is one,
            else the CPU; or a device by torch's name, such as "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        ValueError: torch knows no such device, or has none here.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted == "auto" or isinstance(wanted, int):
        wanted = "cuda" if wanted != 0 and torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"expected a device such as cpu, cuda or mps, got {wanted!r}") from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", local_rank)
    gpus = torch.cuda.device_count()
    here = {"cpu": 1, "cuda": gpus, "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= here.get(device.type, 0):
        known = [name for name, count in here.items() if count]
        raise ValueError(
            f"expected a device that torch has here ({', '.join(known)}), got {wanted}"
        )
    return device


def start(num_gpu: int | str = "auto", backend: str | None = None) -> torch.device:
    """Join torchrun's process group, if this process was started by it, and choose the device.

    Args:
        num_gpu: see `choose_device`.
        backend: collective backend; None for nccl on GPUs and gloo on CPUs.

    Returns:
        The device of this rank.
    """
    device = choose_device(num_gpu)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        usable = backend if on_gpu or backend == "gloo" else None  # nccl needs GPUs
        dist.init_process_group(usable or ("nccl" if on_gpu else "gloo"))
    return device


@contextmanager
def process_group(
    num_gpu: int | str = "auto", backend: str | None = None
) -> Iterator[torch.device]:
    """Join torchrun's group for as long as the block lasts, and yield this rank's device.

    A group that was joined before is used, and not left. See `start` for the arguments.
    """
    joined = dist.is_initialized()
    device = start(num_gpu, backend)
    try:
        yield device
    finally:
        if not joined:
            stop()


def stop() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Rank of this process, 0 without a group."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes, 1 without a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gather(items: list[T]) -> list[T]:
    """Concatenate every rank's list, the same result on all ranks."""
    if not dist.is_initialized():
        return items
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def from_main(value: T) -> T:
    """Give every rank the value of rank 0."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def barrier() -> None:
    """Wait for the other ranks."""
    if dist.is_initialized():
        dist.barrier()
