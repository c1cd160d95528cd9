"""Processes and devices: torchrun's environment, one process per GPU, gloo on CPUs."""

import ctypes
import datetime
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
TIMEOUT = 30.0  # minutes
FIRST_PORT, NUM_PORTS = 20000, 10000  # of slurm's jobs, by their number


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


def start(
    num_gpu: int | str = "auto", backend: str | None = None, timeout_minutes: float = TIMEOUT
) -> torch.device:
    """Join torchrun's process group, if this process was started by it, and choose the device.

    Args:
        num_gpu: see `choose_device`.
        backend: collective backend; None for nccl on GPUs and gloo on CPUs.
        timeout_minutes: a rank that others wait for longer is taken for dead.

    Returns:
        The device of this rank.

    Raises:
        ValueError: there is no such device, or the environment names a rank of nothing.
    """
    if "RANK" in os.environ and "WORLD_SIZE" not in os.environ:
        raise ValueError(
            f"expected WORLD_SIZE beside RANK={os.environ['RANK']}, as torchrun sets it, got RANK "
            "alone: start with torchrun, or unset it"
        )
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent()
    device = choose_device(num_gpu)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        usable = backend if on_gpu or backend == "gloo" else None  # nccl needs GPUs
        timeout = datetime.timedelta(minutes=timeout_minutes)
        dist.init_process_group(usable or ("nccl" if on_gpu else "gloo"), timeout=timeout)
    return device


def end_with_parent() -> None:
    """Let Linux end this process, as SIGTERM does, when torchrun is gone, even if it was killed."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)


def join_slurm() -> None:
    """Tell torch what slurm's `srun` says of this process: its rank, and where the first one is.

    Raises:
        ValueError: this process was not started by `srun`.
    """
    ours = {name: os.environ.get(f"SLURM_{name}") for name in ("PROCID", "NTASKS", "LOCALID")}
    host = os.environ.get("SLURM_LAUNCH_NODE_IPADDR")
    if host is None or None in ours.values():
        raise ValueError(
            "expected a process of `srun` for --launcher slurm, got one without SLURM_PROCID, "
            "SLURM_NTASKS, SLURM_LOCALID or SLURM_LAUNCH_NODE_IPADDR in its environment"
        )
    port = FIRST_PORT + int(os.environ.get("SLURM_JOB_ID", "0")) % NUM_PORTS
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    told = dict(zip(names, map(str, ours.values()), strict=True))
    for name, value in (told | {"MASTER_ADDR": host, "MASTER_PORT": str(port)}).items():
        os.environ.setdefault(name, value)


@contextmanager
def process_group(
    num_gpu: int | str = "auto", backend: str | None = None, timeout_minutes: float = TIMEOUT
) -> Iterator[torch.device]:
    """Join torchrun's group for as long as the block lasts, and yield this rank's device.

    A group that was joined before is used, and not left. See `start` for the arguments.

    Raises:
        ConnectionError: another rank does not answer.
    """
    joined = dist.is_initialized()
    device = start(num_gpu, backend, timeout_minutes)
    try:
        yield device
    except RuntimeError as error:
        if world_size() > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
            line = str(error).strip().splitlines()[0]
            raise ConnectionError(f"another process was stopped, or has ended: {line}") from error
        raise
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


class Notes:
    """A number of every rank that all can read, without waiting for each other.

    Args:
        name: of the notes, the same on all ranks, and another one next time.
    """

    def __init__(self, name: str):
        self.store = dist.distributed_c10d._get_default_store() if dist.is_initialized() else None
        self.name, self.written = f"restoration {name}", False

    def write(self, number: int) -> None:
        """Write this rank's number; the first one stays."""
        if self.store is None or self.written:
            return
        self.store.set(f"{self.name} {rank()}", str(number))
        self.store.set(self.name, "written")
        self.written = True

    def any(self) -> bool:
        """Whether a rank has written."""
        return self.store is not None and self.store.check([self.name])

    def read(self) -> list[int]:
        """The numbers of all ranks; none until all have written."""
        keys = [f"{self.name} {one}" for one in range(world_size())]
        if self.store is None or not self.store.check(keys):
            return []
        return [int(self.store.get(key)) for key in keys]
