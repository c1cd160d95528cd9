"""Power cuts: copies of a file system's image while a training writes to it; needs root."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import workload

MEGABYTES = 96


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """Mount an image of a file system for as long as the block lasts."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def make_image(path: Path, megabytes: int) -> None:
    """Make an empty ext4 in a file."""
    with path.open("wb") as file:
        file.truncate(megabytes * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)


def torture(place: Path, pictures: Path, whole: Path, cuts: int, seed: int) -> dict[str, Any]:
    """Copy the image of a disk at random moments of a training, and go on from every copy.

    Returns:
        How many went on and ended as the undisturbed run, and what was wrong.
    """
    generator = random.Random(seed)  # noqa: S311
    image, images = place / "disk.img", []
    make_image(image, MEGABYTES)
    with mounted(image, place / "disk") as disk:
        while len(images) < cuts:
            shutil.rmtree(disk / "power", ignore_errors=True)
            child = workload.train(workload.write_options(disk / "power", pictures))
            workload.wait_for_start(child, disk / "power/run")
            while child.lives() and len(images) < cuts:
                time.sleep(generator.uniform(0.05, 0.6))
                os.kill(child.number, signal.SIGSTOP)
                if list((disk / "power/run").glob("training_states/*.state")):
                    images.append(Path(shutil.copy(image, place / f"cut_{len(images)}.img")))
                    workload.say(f"image {len(images)} of {cuts} taken")
                os.kill(child.number, signal.SIGCONT)
            os.kill(child.number, signal.SIGKILL)
            child.wait()
    wrong = []
    for copy in images:
        with mounted(copy, place / "disk") as disk:
            found = _go_on(disk, pictures, whole)
        wrong += [f"{copy.name}: {text}" for text in found]
        workload.say(f"{copy.name}: {'; '.join(found) or 'went on to the same end'}")
        copy.unlink()
    return {"cuts": len(images), "wrong": wrong}


def _go_on(disk: Path, pictures: Path, whole: Path) -> list[str]:
    """Go on after the cut; what is wrong with it."""
    from restoration.train.states import newest_whole

    state, passed_over = newest_whole(disk / "power/run")
    if state is None:
        return ["no state is there"]
    child = workload.train(workload.write_options(disk / "power", pictures))  # ours, not synced
    code = child.wait()
    if code != 0:
        return [f"exit code {code}: {child.said()[-300:]}"]
    return passed_over + workload.differences(whole, disk / "power/run")
