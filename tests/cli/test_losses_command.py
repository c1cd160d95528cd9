"""`restoration losses`: a table of the loss terms, and nothing trained."""

import pytest
import yaml
from tiny import tiny_options

from restoration.cli import main


@pytest.fixture
def file(pictures, tmp_path):
    losses = [{"type": "MAE"}, {"type": "MSE", "weight": {"share": 0.25}, "name": "squares"}]
    options = tiny_options(pictures(2, side=24)) | {"name": "run"}
    path = tmp_path / "options.yml"
    path.write_text(yaml.safe_dump(options | {"train": {"total_iter": 2, "losses": losses}}))
    return path


def test_table_of_the_terms(file, capsys, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert main(["losses", "-opt", str(file), "--batches", "3"]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "75.0%" in rows["MAE"] and "25.0%" in rows["squares"]
    assert "first 3 batches" in printed
    assert [path.name for path in file.parent.iterdir()] == ["options.yml"]


def test_options_can_be_overridden(file, capsys):
    assert main(["losses", "-opt", str(file), "--force_yml", "datasets:train:gt_size=999"]) == 2
    assert "999" in capsys.readouterr().err


def test_wrong_count_is_refused(file, capsys):
    assert main(["losses", "-opt", str(file), "--batches", "0"]) == 2
    assert "expected --batches of at least 1, got 0" in capsys.readouterr().err
