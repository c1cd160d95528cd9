"""Freed memory stays with the process, unless the user says otherwise."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from restoration.common import memory

ROOT = Path(__file__).parents[2]
CODE = """
import resource, sys
from restoration.common.memory import keep_freed
assert keep_freed() == (sys.argv[1] == "kept")
for _ in range(20):
    bytearray(64 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(how: str, **environment: str) -> int:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", CODE, how],
        env={**inherited, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc only")
def test_freed_memory_is_used_again():
    assert faults("kept") < faults("not", MALLOC_TOP_PAD_="0") / 5


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    assert memory.keep_freed() is False
