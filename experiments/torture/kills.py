"""Trainings that are killed at random moments, and have to end as if nothing had happened."""

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import workload

SIGNALS = (signal.SIGKILL, signal.SIGTERM)


def torture(place: Path, pictures: Path, whole: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill and go on until so many kills hit, every finished run being compared.

    Returns:
        Counts, and what went wrong.
    """
    generator = random.Random(seed)  # noqa: S311
    child = workload.train(workload.write_options(place / "timed", pictures))
    workload.wait_for_start(child, place / "timed/run")
    began = time.monotonic()
    child.wait()
    length = time.monotonic() - began
    hit = {signal.Signals(one).name: 0 for one in SIGNALS}
    finished, wrong = 0, []
    folder = place / "killed"
    options = workload.write_options(folder, pictures)
    while sum(hit.values()) < kills or (folder / "run").exists():
        child = workload.train(options)
        enough = sum(hit.values()) >= kills
        number = generator.choice(SIGNALS)
        if not enough:
            workload.wait_for_start(child, folder / "run")
            time.sleep(generator.uniform(0, 0.6 * length))
            os.kill(child.number, number)
        code = child.wait()
        if code in (-number, 128 + number):
            hit[signal.Signals(number).name] += 1
            workload.say(f"kill {sum(hit.values())} of {kills}; {finished} runs finished")
            continue
        finished += 1
        found = [f"exit code {code}: {child.said()[-300:]}"] if code else []
        wrong += found or workload.differences(whole, folder / "run")
        workload.say(f"run {finished} finished; {len(wrong)} wrong so far")
        shutil.rmtree(folder / "run")
    return {"kills": hit, "finished": finished, "wrong": wrong}
