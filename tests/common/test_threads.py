"""OpenMP's threads spin briefly, unless the user has chosen how they wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from restoration.common import threads

ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(monkeypatch):
    """A process that has not imported torch and has set nothing."""
    for name in threads.CHOSEN_BY_USER:
        monkeypatch.setenv(name, "")  # so that it is put back afterwards, as it was
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch")
    return monkeypatch


def test_limit_is_set(process):
    assert threads.spin_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == threads.SPIN_ROUNDS


@pytest.mark.parametrize("name", threads.CHOSEN_BY_USER)
def test_the_user_has_the_last_word(process, name):
    process.setenv(name, "7")
    assert not threads.spin_briefly()
    assert os.environ[name] == "7"


def test_too_late_after_torch(process):
    process.setitem(sys.modules, "torch", object())
    assert not threads.spin_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.parametrize("module", ["restoration", "restoration.train", "restoration.test"])
def test_the_command_line_sets_it_before_torch(module):
    """With `--help` no torch is needed: whoever imports it first would make the limit useless."""
    code = (
        "import os, runpy, sys\n"
        f"sys.argv = [{module!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit:\n"
        "    pass\n"
        "sys.stderr.write(os.environ['GOMP_SPINCOUNT'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in threads.CHOSEN_BY_USER}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == threads.SPIN_ROUNDS
