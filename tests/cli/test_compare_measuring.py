"""`restoration compare` measures as one benchmark: once, journalled, whatever comes out."""

import json

import pytest
import torch
import yaml
from tiny import TINY, tiny_comparison

from restoration.archs import build
from restoration.cli import main
from restoration.compare import run as workflow
from restoration.data import FolderSource
from restoration.evaluate import candidates
from restoration.train import run as training

MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}
MSE = {"name": "mse", "train": {"losses": [{"type": "MSE"}]}}


@pytest.fixture
def images(pictures):
    return pictures(6, side=24, name="trained")


@pytest.fixture
def tested(pictures):
    return pictures(2, side=24, seed=1, name="tested")


@pytest.fixture
def compare(images, tested, tmp_path):
    """Run a small comparison with keys laid over it; returns the exit status."""

    def run(*flags, **keys):
        options = tiny_comparison(images, recipes=[MAE, MSE]) | keys
        options["datasets"]["val"]["dataroot_gt"] = str(tested)
        file = tmp_path / "compare.yml"
        file.write_text(yaml.safe_dump(options))
        return main(["compare", "-opt", str(file), "--out", str(tmp_path / "out"), *flags])

    return run


def results(tmp_path):
    return json.loads((tmp_path / "out" / "results.json").read_text())


def saved(path, seed, zero_output=False):
    """A checkpoint of a random network, or of one that changes nothing."""
    torch.manual_seed(seed)
    network = build(**TINY)
    if zero_output:
        torch.nn.init.zeros_(network.output.weight)
    torch.save({"params": network.state_dict()}, path)
    return {"name": path.stem, "pretrain_network_g": str(path)}


def test_an_interrupted_measurement_goes_on(compare, tmp_path, monkeypatch, capsys):
    assert compare() == 0
    whole = results(tmp_path)["rows"]
    denoiser_of, calls = candidates.denoiser_of, []

    def stopping(*arguments):
        denoise = denoiser_of(*arguments)

        def counted(*image):
            calls.append(1)
            if len(calls) == 4:  # the second picture, after one whole one
                raise KeyboardInterrupt
            return denoise(*image)

        return counted

    monkeypatch.setattr(candidates, "denoiser_of", stopping)
    assert compare() == 130
    assert not (tmp_path / "out" / "results.json").exists()
    assert len((tmp_path / "out" / "journal.jsonl").read_text().splitlines()) == 3
    monkeypatch.setattr(candidates, "denoiser_of", denoiser_of)
    capsys.readouterr()
    assert compare("--auto_resume") == 0
    assert "known from before: 3 of 6 images x runs" in capsys.readouterr().out
    assert len((tmp_path / "out" / "journal.jsonl").read_text().splitlines()) == 6
    assert results(tmp_path)["rows"] == whole


def test_every_test_image_is_read_once_for_all_runs(compare, monkeypatch):
    read, read_float = [], FolderSource.read_float

    def counted(source, index):
        if len(source) == 2:  # the test set
            read.append(index)
        return read_float(source, index)

    monkeypatch.setattr(FolderSource, "read_float", counted)
    monkeypatch.setattr(workflow, "_write", lambda *_: None)  # the report's crops read some again
    assert compare(seeds=[0, 1]) == 0
    assert sorted(read) == [0, 1]


def test_every_network_is_built_to_be_tried_trained_and_tested(compare, tmp_path, monkeypatch):
    built, build_network = [], training.build_network

    def counted(arguments):
        built.append(arguments)
        return build_network(arguments)

    monkeypatch.setattr(training, "build_network", counted)
    monkeypatch.setattr(candidates, "build_network", counted)
    elsewhere = saved(tmp_path / "elsewhere.pth", 1)
    assert compare(recipes=[MAE, MSE, elsewhere]) == 0
    assert len(built) == 3 + 3 + 1, "tried before any training, since many do not fit together"
    built.clear()
    assert compare("--auto_resume", recipes=[MAE, MSE, elsewhere]) == 0
    assert len(built) == 3, "finished trainings are only tested"


def test_a_lossless_recipe_ends_in_a_report(compare, tmp_path, tested):
    same, other = (saved(tmp_path / f"{n}.pth", 1, n == "same") for n in ("same", "other"))
    keys = {"recipes": [other, same], "val": {"metrics": ["psnr", "mae"], "val_freq": 1}}
    data = {"val": {"dataroot_gt": str(tested), "sigma_test": [0, 25]}}
    assert compare(datasets=data, picture_sigma=0, **keys) == 0
    found = results(tmp_path)
    values = {(r["run"], r["sigma"]): r["psnr"] for r in found["rows"] if r["set"] == "val"}
    assert values["same", 0] is None and values["other", 0] > 0
    tests = [(one["metric"], one["sigma"]) for one in found["differences"]]
    assert tests == [("psnr", 25.0), ("mae", 0.0), ("mae", 25.0)]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "no finite difference to other at sigma 0" in page
    assert "| val | 0 | same | 2 | inf | 0.0000 |" in (tmp_path / "out" / "table.md").read_text()


def test_only_what_was_asked_for_is_a_column(compare, tmp_path):
    assert compare(val={"metrics": ["psnr"], "val_freq": 1}) == 0
    assert set(results(tmp_path)["rows"][0]) == {"run", "set", "sigma", "n", "psnr"}
    assert "LPIPS" not in (tmp_path / "out" / "report.html").read_text()


def test_an_image_that_is_too_small_is_found_before_training(compare, tmp_path, capsys):
    assert compare(val={"metrics": ["ms_ssim"], "val_freq": 1}) == 2
    assert "val/0.png: expected at least 176x176 pixels" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_recipe_cannot_be_called_like_the_noisy_input(compare, capsys):
    assert compare(recipes=[MAE, MSE | {"name": "noisy"}]) == 2
    assert "got 'noisy'" in capsys.readouterr().err
