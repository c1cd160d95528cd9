"""Files of a run that are damaged in every way, and what the run makes of it."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workload

LAST = workload.STEPS
FILES = {
    "newest state": f"training_states/{LAST}.state",
    "newest weights": f"models/net_g_{LAST}.pth",
    "latest weights": "models/net_g_latest.pth",
    "best weights": "models/net_g_best.pth",
    "options": "options.yml",
    "curves": "curves.csv",
    "environment": "environment.json",
    "log": "train.log",
}


def _flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * share), len(content) - 1)] ^= 4
    path.write_bytes(content)


def _become(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


class Opens:
    """What a pickle does that runs code: it leaves a file behind."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("torture_ran_code", "w"))


KINDS: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a bit at the start": lambda path: _flip(path, 0.01),
    "a bit in the middle": lambda path: _flip(path, 0.5),
    "text that is no UTF-8": lambda path: path.write_bytes(b"step,\xff\xfe\n1,2,3\n"),
    "code in a pickle": lambda path: path.write_bytes(pickle.dumps(Opens())),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: _become(path, Path.mkdir),
    "a pipe": lambda path: _become(path, os.mkfifo),
    "a link to nothing": lambda path: _become(path, lambda p: p.symlink_to("nowhere")),
}


def torture(place: Path, pictures: Path, whole: Path) -> list[dict[str, str]]:
    """Damage every file in every way, and go on.

    Returns:
        A row a kind: the file, the damage, the outcome. Good outcomes are "same", a run that ends
        as the undisturbed one, "said: ...", what cannot be known any more, and "refused: ..." with
        its one line.
    """
    rows = []
    folder = place / "damaged"
    options = workload.write_options(folder, pictures)
    for file, name in FILES.items():
        for kind, damage in KINDS.items():
            shutil.rmtree(folder / "run", ignore_errors=True)
            shutil.copytree(whole, folder / "run")
            damage(folder / "run" / name)
            child = workload.train(options)
            rows.append({"file": file, "damage": kind, "outcome": _outcome(child, folder, whole)})
            workload.say(f"{file}, {kind}: {rows[-1]['outcome'][:100]}")
    return rows


def _outcome(child: workload.Child, folder: Path, whole: Path) -> str:
    code = child.wait()
    said = child.said()
    if Path("torture_ran_code").exists():
        Path("torture_ran_code").unlink()
        return "BAD: code of the file was run"
    if code is None:
        return "BAD: hangs"
    if "Traceback" in said or code not in (0, 2):
        return f"BAD: exit code {code}, {said.strip()[-200:]}"
    if code == 2:
        line = said.strip().splitlines()[-1]
        if len(line) > workload.LONGEST_MESSAGE:
            return f"BAD: a message of {len(line)} characters"
        return f"refused: {line}"
    found = workload.differences(whole, folder / "run")
    if found and all("best" in one for one in found) and "missing or damaged" in said:
        return "said: the best weights are those of the next validation"
    if found == ["curves.csv"]:
        noticed = "are left out" in said or "is lost" in said
        return f"other curves, {'said' if noticed else 'unsaid'}; all else the same"
    return f"BAD: differs in {', '.join(found)}" if found else "same"
