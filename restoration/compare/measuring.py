"""The test images of a comparison shared out over several processes on this machine."""

import multiprocessing
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from restoration.common import distributed
from restoration.compare.jobs import How, begin_process
from restoration.compare.plan import Plan
from restoration.compare.run import run_comparison


@contextmanager
def measured_together(
    plan: Plan, folder: Path, device: torch.device, jobs: int, allow_different: bool = False
) -> Iterator[None]:
    """Make this process the first of a group that measures a comparison whose recipes are trained.

    Inside the block `process_group` joins the group, and images are shared out over it: one process
    for each job, but no more than there are GPUs where they compute.

    Args:
        plan: see `load_comparison`.
        folder: of the comparison.
        device: where to compute.
        jobs: how many processes.
        allow_different: see `run_comparison`.
    """
    on_gpu = device.type == "cuda"
    count = min(jobs, torch.cuda.device_count()) if on_gpu else jobs
    if count == 1:
        yield
        return
    threads = torch.get_num_threads()
    how = How(plan, folder, max(1, threads // count), allow_different)
    common = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    ranks = [
        {name: str(value) for name, value in {**common, "RANK": k, "LOCAL_RANK": k}.items()}
        for k in range(count)
    ]
    before = {name: os.environ.get(name) for name in ranks[0]}
    context = multiprocessing.get_context("spawn")
    used = "cuda" if on_gpu else str(device)
    others = [context.Process(target=_measure, args=(how, rank, used)) for rank in ranks[1:]]
    try:
        for other in others:
            other.start()
        os.environ.update(ranks[0])
        torch.set_num_threads(how.threads)
        yield
        for other in others:
            other.join()
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        for other in others:
            other.terminate()
            other.join()


def _measure(how: How, rank: dict[str, str], device: str) -> None:
    """Measure a share of the images, in a process of its own."""
    begin_process(how)
    os.environ.update(rank)
    dist_params = how.plan.shared.dist_params
    group = (device, dist_params.backend, dist_params.timeout_minutes)
    with distributed.process_group(*group) as used:
        run_comparison(how.plan, how.folder, used, True, how.allow_different)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
