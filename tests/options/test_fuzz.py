"""Option files and overrides, damaged in every way: one short line says what is wrong."""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from restoration.cli import main
from restoration.data import write_png
from restoration.options.shipped import shipped_options

MUTANTS, OVERRIDES = 3000, 500
CHUNK = 250  # of one process
LONGEST = 500  # characters of a message
PATIENCE = 20  # seconds after which one counts as hanging
MEMORY = 16 * 2**30  # bytes of address space
COMMANDS = {  # by folder or name of the shipped file
    "train": ["train"],
    "test": ["test"],
    "compare": ["compare"],
    "masks": ["masks", "train"],
    "ablation.yml": ["masks", "ablate"],
    "demo.yml": ["train"],
}
FAST = {  # so that a network is built in no time
    "type: Restormer": "type: restormer_xs",
    "dim: 48": "dim: 8",
    "num_blocks: [4, 6, 6, 8]": "num_blocks: [1, 1, 1, 1]",
    "num_refinement_blocks: 4": "num_refinement_blocks: 1",
}
LONG, DEEP = "x" * 3000, "[" * 300 + "]" * 300
NUMBERS = [0, 1, -1, 2, 1e18, 10**18, 10**30, -1e-9, 1e38, 1e-300, 100_000, 0.5, 3.7, 2**63, 2**64]
VALUES = [
    *NUMBERS,
    *(True, False, None, [], {}, "", " ", "true", "a", LONG, "\0", "\n", "../x", "ä", "%s", "{}"),
    *(float("inf"), -float("inf"), float("nan"), [[]], [None], [1, 2, 3], ["a", 1], {"type": 5}),
    *(
        {"type": "MAE"},
        {"a": {"b": [1]}},
        [{}],
        [{"type": "x"}],
        {"name": ["a"]},
        "a:b",
        "os:getcwd",
    ),
    *({1: 2}, [True], {"share": 0.5}, "$\\foo$", "-", "~", "\ud7ff", [1] * 1000, {LONG: LONG}),
]
BOMB = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else 'x'] * 9)}]\n" for n in range(12))
SNIPPETS = [
    DEEP,
    "*a",
    "&a [*a]",
    "!!python/object/apply:os.system [x]",
    "!!int x",
    "? [a]\n",
    "<<: 5",
]
SNIPPETS += [
    "\t",
    "\0",
    "---\n",
    "[",
    "}",
    ": ",
    "- ",
    "!!binary '#'",
    "2020-99-99",
    "0x" + "f" * 5000,
]


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Paths of everything in nested mappings and lists."""
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] * bool(path) + [p for key, one in pairs for p in places(one, (*path, key))]


def damaged(text: str, generator: random.Random) -> str:
    """Damage what an option file holds, or its text."""
    if generator.random() < 0.25:
        return damaged_text(text, generator)
    content = yaml.safe_load(text)
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        *path, last = generator.choice(places(content) or [("name",)])
        section = content
        for key in path:
            section = section[key]
        way = generator.randrange(6)
        if way == 0:
            section.pop(last)
        elif way == 1 and isinstance(section, dict):
            name = generator.choice(
                [f"{last}x", str(last)[:-1], LONG, "type", "name", 5, "total", "train"]
            )
            section[name] = section.pop(last)
        elif way == 2:
            section[last] = generator.choice(
                ([section[last]], {"a": section[last]}, [section[last]] * 2)
            )
        elif way == 3 and isinstance(section, dict):
            section[generator.choice(["x", LONG, "type", "name", "weight", "eps"])] = (
                generator.choice(VALUES)
            )
        else:
            section[last] = generator.choice(VALUES)
    return yaml.safe_dump(content, allow_unicode=True)


def damaged_text(text: str, generator: random.Random) -> str:
    """Cut, insert, repeat, or let aliases grow."""
    place = generator.randrange(len(text))
    way = generator.randrange(5)
    if way == 0:
        return text[:place]
    if way == 1:
        return text[:place] + generator.choice(SNIPPETS) + text[place:]
    if way == 2:
        return text[:place] + text[place + generator.randrange(1, 9) :]
    if way == 3:
        return BOMB + text.replace(": ", ": *b11 #", 1 + generator.randrange(8))
    line = generator.choice(text.splitlines())
    return f"{text}\n{line}\n"


def assignment(options: dict, generator: random.Random) -> str:
    """An override, of a key that is there or not, by a value that means something or not."""
    keys = ":".join(map(str, generator.choice(places(options))))
    keys = generator.choice(
        [keys, keys, keys, keys + ":x", keys[:-1], LONG, "", ":" * 3000, ":", "a.b"]
    )
    value = generator.choice(
        [json.dumps(generator.choice(VALUES)), *generator.sample(SNIPPETS, 3), "{a: &a [*a]}"]
    )
    return keys + generator.choice(["=", "=", "=", "=", "==", "", ": "]) + value


def verdict(arguments: list[str]) -> str | None:
    """What is wrong with what a command says to its arguments; None where nothing is."""

    def hangs(*given: object) -> None:
        raise TimeoutError(f"it hangs: {traceback.format_stack()[-3:]}")

    said, shown = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(shown):
            code = main(arguments)
    except SystemExit as ending:  # argparse's, whose message is not ours
        code = ending.code
        return None if code == 2 else f"it ends with {code}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {where.filename}:{where.lineno}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    line = said.getvalue().strip()
    if "it hangs" in line or "Traceback" in line + shown.getvalue():
        return line[-500:]
    longest = max(map(len, line.splitlines()), default=0)  # some mistakes take several lines
    if code == 2 and (longest > LONGEST or line.count("restoration: error") != 1):
        return f"{len(line)} characters: {line[:200]}"
    return None if code in (0, 2) else f"exit code {code}"


def commands(folder: Path) -> dict[Path, list[str]]:
    """Copies of the shipped option files, and the command of each."""
    found = {}
    shutil.copytree(shipped_options(), folder / "options")
    for path in sorted((folder / "options").rglob("*.yml")):
        text = path.read_text()
        for old, new in FAST.items() if path.parent.name == "train" else ():
            text = text.replace(old, new)
        path.write_text(text)
        command = COMMANDS.get(path.name, COMMANDS.get(path.parent.name))
        if command is not None:
            found[path] = command
    return found


def stop_before_work(folder: Path) -> None:
    """Let commands check all that they check, and then do nothing; give them pictures."""
    import restoration.cli.compare
    import restoration.cli.masks_ablate
    import restoration.cli.masks_train
    import restoration.cli.test
    import restoration.train.api

    def nothing(*given: object, **named: object) -> None:
        raise ValueError("all is well")

    restoration.train.api.train_prepared = nothing
    restoration.cli.compare.compare = nothing
    restoration.cli.test.test = nothing
    restoration.cli.masks_train.train = nothing
    restoration.cli.masks_ablate.ablate = nothing
    picture = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    for name in ("DFWB", "CBSD68", "BSDS500/train"):
        write_png(folder / "datasets" / name / "0.png", picture)


def fuzz(folder: Path, seed: int, mutants: int, overrides: int) -> list[str]:
    """Try so many damaged files and overrides; what is wrong, a line each."""
    os.chdir(folder)
    generator = random.Random(seed)  # noqa: S311
    files = commands(folder)
    texts = {path: path.read_text() for path in files}
    stop_before_work(folder)
    wrong = []
    for number in range(mutants + overrides):
        path = generator.choice(list(files))
        more, text = [], texts[path]
        if number < mutants:
            text = damaged(text, generator)
        else:
            more = ["--force_yml", assignment(yaml.safe_load(text), generator)]
        path.write_text(text, errors="surrogatepass")
        found = verdict([*files[path], "-opt", str(path), *more])
        path.write_text(texts[path])
        if found is not None:
            wrong.append(f"{path.name} {more}: {found}")
            Path(f"wrong_{seed}_{number}.yml").write_text(text, errors="surrogatepass")
    return wrong


def run(folder: Path, seed: int, mutants: int, overrides: int) -> list[str]:
    """Fuzz in a process of its own, whose memory is limited."""
    folder.mkdir(parents=True)
    done = subprocess.run(  # noqa: S603
        [sys.executable, __file__, str(folder), str(seed), str(mutants), str(overrides)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RESTORATION_WEIGHTS": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MUTANTS // CHUNK))
def test_damaged_options_end_with_one_short_line(seed, tmp_path):
    share = -(-OVERRIDES * CHUNK // MUTANTS)
    assert run(tmp_path / "fuzz", seed, CHUNK, share) == []


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(json.dumps(fuzz(Path(sys.argv[1]), *map(int, sys.argv[2:]))))  # noqa: T201
