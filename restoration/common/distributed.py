"""Processes and devices: torchrun's environment, one process per GPU, gloo on CPUs."""

import os
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def start(num_gpu: int | str = "auto", backend: str | None = None) -> torch.device:
    """Join torchrun's process group, if this process was started by it, and choose the device.

    Args:
        num_gpu: 0 for the CPU; anything else for a GPU where there is one.
        backend: collective backend; None for nccl on GPUs and gloo on CPUs.

    Returns:
        The device of this rank.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = num_gpu != 0 and torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        usable = backend if on_gpu or backend == "gloo" else None  # nccl needs GPUs
        dist.init_process_group(usable or ("nccl" if on_gpu else "gloo"))
    return device


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
