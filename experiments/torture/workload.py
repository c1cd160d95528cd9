"""The training that is tortured, and child processes that run it without importing all again."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from restoration.cli import main
from restoration.common.lock import HOLDER
from restoration.data import write_png
from restoration.train.states import is_whole

TINY = {
    "type": "Restormer",
    "dim": 4,
    "num_blocks": [1, 1, 1, 1],
    "num_refinement_blocks": 0,
    "heads": [1, 1, 1, 1],
    "ffn_expansion_factor": 1.0,
}
STEPS, SAVE, VALIDATE = 60, 3, 10
LONGEST_MESSAGE = 500
PATIENCE = 120.0  # seconds after which a process counts as hanging


BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print how far the torture is."""
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    print(f"{minutes:3d}:{seconds:02d} {text}", flush=True)


def make_pictures(folder: Path) -> Path:
    """Write a few smooth random pictures."""
    generator = np.random.default_rng(0)
    for number in range(4):
        coarse = generator.uniform(40, 215, (8, 8, 3))
        write_png(folder / f"{number}.png", np.kron(coarse, np.ones((4, 4, 1))).astype(np.uint8))
    return folder


def write_options(place: Path, pictures: Path, **train: object) -> Path:
    """Write the option file of a small training with averaged weights and a validation set."""
    options = {
        "name": "run",
        "num_gpu": 0,
        "datasets": {
            "train": {
                "dataroot_gt": str(pictures),
                "batch_size_per_gpu": 1,
                "gt_size": 16,
                "num_worker_per_gpu": 0,
            },
            "val": {"dataroot_gt": str(pictures), "sigma_test": [25], "max_images": 1},
        },
        "network_g": TINY,
        "path": {"experiments_root": str(place), "tb_root": str(place / "tb")},
        "train": {"total_iter": STEPS, "losses": [{"type": "MAE"}], "ema_decay": 0.9} | train,
        "val": {"val_freq": VALIDATE, "metrics": ["psnr"]},
        "logger": {"print_freq": 4, "save_checkpoint_freq": SAVE, "use_tb_logger": False},
    }
    place.mkdir(parents=True, exist_ok=True)
    path = place / "options.yml"
    path.write_text(yaml.safe_dump(options))
    return path


@dataclass
class Child:
    """A process of ours.

    Attributes:
        number: its process id.
        output: file of what it prints.
    """

    number: int
    output: Path

    def wait(self) -> int | None:
        """Its exit code, negative for a signal; None where it hangs, and is killed."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            done, status = os.waitpid(self.number, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(self.number, signal.SIGKILL)
        os.waitpid(self.number, 0)
        return None

    def lives(self) -> bool:
        """Whether it has not ended; it stays to be waited for."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.number, options) is None

    def said(self) -> str:
        """What it printed."""
        return self.output.read_text("utf-8", errors="replace")


def start(act: Callable[[], int]) -> Child:
    """Run a function in a process forked from this one, which has imported everything."""
    handle, name = tempfile.mkstemp(prefix="torture_")
    number = os.fork()
    if number:
        os.close(handle)
        return Child(number, Path(name))
    try:
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        code = act()
        sys.stdout.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    os._exit(code)


def train(options: Path, *more: str) -> Child:
    """Start the training, or go on with it."""
    return start(lambda: main(["train", "-opt", str(options), "--auto_resume", *more]))


def reference(place: Path, pictures: Path) -> Path:
    """The folder of a run that nothing happened to."""
    child = train(write_options(place, pictures))
    code = child.wait()
    if code != 0:
        raise RuntimeError(f"the undisturbed run ended with {code}: {child.said()}")
    return place / "run"


def differences(first: Path, second: Path) -> list[str]:
    """What two finished runs do not share to the last bit: weights, states, curves."""
    found = []
    names = [f"models/net_g_{label}.pth" for label in (STEPS, "latest", "best")]
    for name in (*names, f"training_states/{STEPS}.state"):
        if not is_whole(second / name):
            found.append(f"{name} (not readable)")
            continue
        contents = [torch.load(f / name, weights_only=True) for f in (first, second)]
        if not same(*contents):
            found.append(name)
    if (first / "curves.csv").read_bytes() != (second / "curves.csv").read_bytes():
        found.append("curves.csv")
    return found


def same(a: object, b: object) -> bool:
    """Whether nested values are the same to the last bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


def wait_for_start(child: Child, folder: Path) -> None:
    """Wait until a process works in a folder, or has ended."""
    holder, deadline = folder / HOLDER, time.monotonic() + PATIENCE
    while time.monotonic() < deadline and child.lives():
        if holder.exists() and f"process {child.number} " in holder.read_text():
            return
        time.sleep(0.005)
