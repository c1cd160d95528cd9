"""`restoration plot`: losses and validations of runs in one figure."""

import json

import pytest

from restoration.cli import main
from restoration.data import read_image
from restoration.train import plot


@pytest.fixture
def make_run(tmp_path):
    """Write the files that a training leaves."""

    def make(name, loss="MAE", validations=True, total=0.1):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        lines = [f"step,lr,grad_norm,total,{loss}"]
        lines += [f"{k},0.1,nan,{total / k},{total / k}" for k in (10, 20, 30)]
        (folder / "curves.csv").write_text("\n".join(lines))
        if validations:
            lines = ["step,set,sigma,psnr"]
            lines += [f"{k},val,{s},{20 + k / s}" for k in (15, 30) for s in (25.0, 50.0)]
            (folder / "val.csv").write_text("\n".join([*lines, "45,val,25.0,inf"]))
            (folder / "best.json").write_text(json.dumps({"step": 30}))
        return folder

    return make


def test_what_is_read_of_a_run(make_run):
    found = plot.read_run(make_run("a"), "a")
    assert list(found.losses) == ["total", "MAE"], "nothing finite is known of the gradient"
    assert found.losses["MAE"].points == [(10, 0.01), (20, 0.005), (30, pytest.approx(0.1 / 30))]
    (lines,) = found.validations.values()
    assert [line.place for line in lines] == ["val, σ 25", "val, σ 50"]
    assert lines[0].points == [(15, 20.6), (30, 21.2)], "infinite values are left out"
    assert found.best_step == 30


def test_one_run_is_drawn_into_its_folder(make_run, capsys):
    folder = make_run("a")
    assert main(["plot", str(folder)]) == 0
    assert f"written: {folder / 'curves.png'}" in capsys.readouterr().out
    height, width, _ = read_image(folder / "curves.png").shape
    assert width > 3 * height / 2, "three panels in a row"


def test_several_runs_are_drawn_into_one_figure(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [make_run("x/a"), make_run("y/a", "MSE", validations=False, total=-1)]
    assert main(["plot", *map(str, runs)]) == 0
    assert (tmp_path / "curves.png").is_file()
    assert main(["plot", *map(str, runs), "--out", "other.png"]) == 0
    assert (tmp_path / "other.png").read_bytes() == (tmp_path / "curves.png").read_bytes()
    assert plot._names(runs) == ["x/a", "y/a"]


def test_what_is_no_training_is_refused(make_run, tmp_path, capsys):
    assert main(["plot", str(make_run("a")), str(tmp_path)]) == 2
    assert "expected the folder of a training, got" in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least one run"):
        plot.plot_runs([], tmp_path / "a.png")
