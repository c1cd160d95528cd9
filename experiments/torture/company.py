"""Two trainings in one folder, a full disk, and memory over many steps."""

import os
import re
import time
from pathlib import Path
from typing import Any

import power
import workload


def two_at_once(place: Path, pictures: Path, whole: Path) -> list[str]:
    """Start the same training twice; one has to end with a line, the other as ever."""
    options = workload.write_options(place / "twice", pictures)
    children = [workload.train(options), workload.train(options)]
    codes = [child.wait() for child in children]
    wrong = [] if sorted(map(str, codes)) == ["0", "2"] else [f"exit codes {codes}"]
    loser = next((child for child, code in zip(children, codes, strict=True) if code == 2), None)
    if loser is not None and "works in" not in loser.said():
        wrong.append(f"it said: {loser.said()[-300:]}")
    if list((place / "twice").glob("run_archived*")):
        wrong.append("the living folder was archived")
    return wrong or workload.differences(whole, place / "twice/run")


def full_disk(place: Path, pictures: Path, whole: Path) -> list[str]:
    """Train on a disk that fills up; it ends with a line, and goes on where there is room."""
    image = place / "small.img"
    power.make_image(image, 8)
    with power.mounted(image, place / "small") as disk:
        options = workload.write_options(disk / "full", pictures)
        child = workload.train(options)
        code = child.wait()
        wrong = [] if code == 2 else [f"exit code {code}"]
        if "Traceback" in child.said() or not re.search("disk full|No space left", child.said()):
            wrong.append(f"it said: {child.said()[-300:]}")
        again = workload.train(options, "--force_yml", "logger:keep_last=2")
        code = again.wait()
        if code not in (0, 2) or "Traceback" in again.said():
            wrong.append(f"going on, exit code {code}: {again.said()[-300:]}")
    return wrong


def leak(place: Path, pictures: Path, steps: int) -> dict[str, Any]:
    """Resident memory of a training of many steps: early, and at its end."""
    options = workload.write_options(place / "long", pictures, total_iter=steps)
    sparse = ["logger:save_checkpoint_freq=500", "val:val_freq=500", "logger:keep_last=2"]
    child = workload.train(options, "--force_yml", *sparse)
    page, early, late, said = os.sysconf("SC_PAGE_SIZE"), 0, 0, 0
    curves = place / "long/run/curves.csv"
    while child.lives():
        late = int(Path(f"/proc/{child.number}/statm").read_text().split()[1]) * page or late
        done = curves.read_text().count("\n") * 4 if curves.exists() else 0
        if not early and done > steps // 5:
            early = late
        if done >= said + steps // 10:
            said = done
            workload.say(f"step {done} of {steps}, {late / 1e6:.0f} MB")
        time.sleep(0.1)
    code = child.wait()
    return {"steps": steps, "code": code, "early_mb": early / 1e6, "late_mb": late / 1e6}
