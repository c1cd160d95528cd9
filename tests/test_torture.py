"""The page of `make torture`: what was done, what was wrong, what is missing."""

import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "experiments" / "torture"


@pytest.fixture
def torture(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("torture")


def test_the_page_grows_part_by_part(torture, tmp_path):
    about = {"minutes": 1.0, "machine": "torch 2, 2 cores"}
    rows = [
        {"file": "newest state", "damage": "empty", "outcome": "same"},
        {"file": "log", "damage": "a pipe", "outcome": "BAD: hangs"},
    ]
    kills = {"kills": {"SIGKILL": 3, "SIGTERM": 2}, "finished": 2, "wrong": []}
    found = {"damage": about | {"found": rows}, "kills": about | {"found": kills}}
    for name, one in found.items():
        torture.write(tmp_path, f"{name}.json", torture.json.dumps(one))
    text = torture.page(torture.read_results(tmp_path))
    assert "| random kills | 3 SIGKILL, 2 SIGTERM; 2 runs finished and compared | 0 | 1.0 |" in text
    assert "| damaged files | 2 kinds | 1 | 1.0 |" in text
    assert "| log | a pipe | BAD: hangs |" in text
    assert "Not done: power cuts, full disk, two at once, two ranks, memory." in text


def test_the_table_of_damage_has_50_kinds(torture):
    assert len(torture.damage.FILES) * len(torture.damage.KINDS) >= 50
