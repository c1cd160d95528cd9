"""One stream, whatever the workers, the ranks and the interruptions."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from restoration.data import (
    BatchPlan,
    CachedSource,
    DenoisingDataset,
    FolderSource,
    Mixing,
    PatchSchedule,
    make_loader,
    write_png,
)
from restoration.degradations import BatchDegradation, Chain

BLIND = Chain({"type": "gaussian", "sigma": [0, 50]})

STEPS = 70
SCHEDULE = {1: ([20, 20, 30], [24, 16, 8]), 2: ([20, 20, 30], [12, 8, 4])}  # one or two ranks


def _schedule(world_size: int) -> PatchSchedule:
    iters, batches = SCHEDULE[world_size]
    return PatchSchedule(iters, batches, [8, 12, 16])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for number in range(11):
        image = np.random.default_rng(number).integers(0, 256, (24, 20, 3), dtype=np.uint8)
        write_png(root / f"{number}.png", image)
    return root


def _dataset(folder, seed: int = 0) -> DenoisingDataset:
    source = CachedSource(FolderSource(folder), 10**6)
    return DenoisingDataset(source, seed, BLIND, mixing=Mixing())


def _hashes(folder, *, seed=0, workers=0, rank=0, world_size=1, start=0, accumulate=1):
    """Per sample, a hash of all that was sent and of what the network would see."""
    plan = BatchPlan(_schedule(world_size), start, STEPS, rank, world_size, accumulate)
    hashes = {}
    loader = make_loader(_dataset(folder, seed), plan, workers)
    assert len(loader) == len(plan) == (STEPS - start) * accumulate
    for keys, batch in zip(plan, loader, strict=True):
        everything = [*batch.values(), *BatchDegradation(BLIND)(batch, "cpu")]
        for row, (index, patch) in enumerate(keys):
            assert batch["crop"].shape[2] == patch and index not in hashes
            data = b"".join(value[row].numpy().tobytes() for value in everything)
            hashes[index] = hashlib.sha256(data).hexdigest()
    return hashes


@pytest.fixture(scope="module")
def expected(folder):
    return _hashes(folder)


def test_the_stream_is_complete(expected):
    assert sorted(expected) == list(range(1040))
    assert len(set(expected.values())) == 1040


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing(folder, expected, workers):
    assert _hashes(folder, workers=workers) == expected


def test_ranks_change_nothing(folder, expected):
    first, second = (_hashes(folder, rank=rank, world_size=2) for rank in (0, 1))
    assert len(first) == len(second) == 520 and not first.keys() & second.keys()
    assert first | second == expected


@pytest.mark.parametrize("start", [1, 20, 33, 70])
def test_resume_equals_uninterrupted(folder, expected, start):
    first = _schedule(1).first_sample(start, 1)
    resumed = _hashes(folder, start=start)
    assert resumed == {index: value for index, value in expected.items() if index >= first}


def test_seeds_differ(folder, expected):
    assert not set(_hashes(folder, seed=1).values()) & set(expected.values())


def test_accumulation_covers_every_sample_once():
    plans = [BatchPlan(_schedule(2), 5, 45, rank, 2, accumulate=3) for rank in (0, 1)]
    indices = [index for plan in plans for batch in plan for index, _ in batch]
    first, last = (_schedule(2).first_sample(step, 2, 3) for step in (5, 45))
    assert sorted(indices) == list(range(first, last))
    step = [index for plan in plans for batch in list(plan)[:3] for index, _ in batch]
    assert sorted(step) == list(range(first, _schedule(2).first_sample(6, 2, 3)))


def test_order_within_a_step_is_micro_batch_then_rank():
    schedule = PatchSchedule([10], [2], [8])
    batches = [list(BatchPlan(schedule, 1, 2, rank, 2, accumulate=2)) for rank in (0, 1)]
    indices = [[[index for index, _ in batch] for batch in rank] for rank in batches]
    assert indices == [[[8, 9], [12, 13]], [[10, 11], [14, 15]]]


def test_loader_leaves_the_global_generator_alone(folder):
    before = torch.get_rng_state()
    next(iter(make_loader(_dataset(folder), BatchPlan(_schedule(1), 0, 2))))
    assert torch.equal(torch.get_rng_state(), before)


def test_error_of_a_worker_keeps_type_and_last_line(folder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    dataset = DenoisingDataset(FolderSource(tmp_path), 0, BLIND)
    with pytest.raises(ValueError, match=r"broken\.png") as caught:
        next(iter(make_loader(dataset, BatchPlan(_schedule(1), 0, 1), num_workers=1)))
    last = str(caught.value).strip().splitlines()[-1]
    assert last.startswith("ValueError: expected a readable image, got ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 4), "0 <= start_step <= 4, got 5"),
        ((-1, 4), "got -1"),
        ((0, 4, 2, 2), r"a rank in 0\.\.1, got 2"),
        ((0, 4, 0, 1, 0), "accumulate >= 1, got 0"),
    ],
)
def test_plan_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchPlan(_schedule(1), *arguments)


def test_loader_refuses_negative_workers(folder):
    with pytest.raises(ValueError, match="num_workers >= 0, got -1"):
        make_loader(_dataset(folder), BatchPlan(_schedule(1), 0, 2), num_workers=-1)


def test_spawn_where_there_is_no_forkserver(monkeypatch):
    from restoration.data import loader as stream

    monkeypatch.setattr(stream.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert stream._context().get_start_method() == "spawn"


def test_workers_end_with_a_killed_trainer(folder, tmp_path):
    """Kill -9 leaves no process behind that waits for ever, with the trainer's pipes open."""
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys\n"
        "from restoration.data import *\n"
        "from restoration.degradations import Chain\n"
        "if __name__ == '__main__':\n"
        "    chain = Chain({'type': 'gaussian', 'sigma': 25})\n"
        "    dataset = DenoisingDataset(FolderSource(sys.argv[1]), 0, chain)\n"
        "    plan = BatchPlan(PatchSchedule([9], [1], [8]), 0, 99)\n"
        "    batches = iter(make_loader(dataset, plan, num_workers=1))\n"
        "    next(batches)\n"
        "    print('fetched', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, str(script), str(folder)]
    killed = subprocess.run(command, stdout=subprocess.PIPE, timeout=30)  # noqa: S603
    assert killed.stdout == b"fetched\n"
    assert killed.returncode == -signal.SIGKILL


def test_workers_leave_ctrl_c_to_the_trainer(folder):
    """A terminal sends it to all of them; the step that is under way still needs its batches."""
    plan = BatchPlan(PatchSchedule([20], [1], [8]), 0, 20)
    batches = iter(make_loader(_dataset(folder), plan, num_workers=1))
    next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
    assert len(list(batches)) == 19
