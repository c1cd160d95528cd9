"""Memory of tensors: how much of it lives at a time, and how much may still be taken."""

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

UNKNOWN = 2 * 2**30  # free bytes where the system does not tell


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that live at the same time, while it is entered."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled in here; torch would load its compiler, of 150 MB, to see to it."""
        return False

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._known or not size:
            return
        self._known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size


def free_bytes(device: torch.device) -> int:
    """Memory that a process may still take, on a GPU or in the machine.

    Args:
        device: where to compute.

    Returns:
        Bytes; within the limit of a container where there is one.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = [n for n in (_available(), _container(), _physical()) if n is not None]
    return min(free, default=UNKNOWN)


def _available() -> int | None:
    """What Linux says can be had without swapping."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _container() -> int | None:
    """What a control group, such as a container, leaves; version 2, then version 1."""
    for limit, used in (("memory.max", "memory.current"), _VERSION_1):
        with suppress(OSError, ValueError):  # "max" is no number
            root = Path("/sys/fs/cgroup")
            return max(int((root / limit).read_text()) - int((root / used).read_text()), 0)
    return None


_VERSION_1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")


def _physical() -> int | None:
    """Half of the memory of the machine, where the system does not say what is free."""
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return None
