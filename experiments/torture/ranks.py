"""Two processes of torchrun that are asked to stop, or lose torchrun, and go on."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import workload

COMMAND = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def _start(options: Path, output: Path) -> subprocess.Popen[bytes]:
    training = ("-m", "restoration.train", "--auto_resume", "-opt", str(options))
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, *COMMAND, *training],
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )


def _ranks(parent: int) -> list[int]:
    """Processes that a process started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children]


def torture(place: Path, pictures: Path, stops: int, seed: int) -> list[str]:
    """Stop two ranks again and again; torchrun gets SIGTERM and SIGKILL by turns."""
    generator = random.Random(seed)  # noqa: S311
    folders = place / "ranks_whole", place / "ranks_stopped"
    whole, stopped = (workload.write_options(folder, pictures) for folder in folders)
    if _start(whole, folders[0] / "output").wait() != 0:
        return [f"undisturbed: {(folders[0] / 'output').read_text()[-300:]}"]
    wrong: list[str] = []
    for number in range(stops):
        (folders[1] / "run/.lock.holder").unlink(missing_ok=True)
        process = _start(stopped, folders[1] / "output")
        while not (folders[1] / "run/.lock.holder").exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(generator.uniform(0.2, 1.5))
        if process.poll() is not None:
            break
        ranks = _ranks(process.pid)
        workload.say(f"stop {number + 1} of {stops}, of two ranks")
        process.send_signal((signal.SIGTERM, signal.SIGKILL)[number % 2])
        process.wait()
        deadline = time.monotonic() + workload.PATIENCE
        while time.monotonic() < deadline and any(map(_lives, ranks)):
            time.sleep(0.1)
        wrong += [f"rank {rank} lives on" for rank in ranks if _lives(rank)]
    if _start(stopped, folders[1] / "output").wait() != 0:
        wrong.append((folders[1] / "output").read_text()[-300:])
        return wrong
    found = workload.differences(folders[0] / "run", folders[1] / "run")
    # without torchrun ranks cannot gather: the next mean of the curves is then the first rank's
    wrong += [name for name in found if name != "curves.csv" or stops < 2]
    shutil.rmtree(folders[1])
    return wrong


def _lives(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
