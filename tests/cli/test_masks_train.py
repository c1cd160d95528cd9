import csv
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import losses
from restoration.cli import main
from restoration.masks.run import train as train_masks

OPTIONS = {
    "name": "small",
    "metric": {"type": "e-mae"},
    "data": {
        "dataroot": "skimage:astronaut,coffee,rocket",
        "num_references": 6,
        "num_versions": 3,
        "size": 64,
        "distortions": ["noise", "blur"],
        "teachers": "haarpsi",
        "held_out_every": 3,
        "table": "table.npz",
    },
    "train": {"total_iter": 6, "crop": 32, "batch_references": 3, "batch_versions": 2},
    "logger": {"print_freq": 2, "save_checkpoint_freq": 4},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Runs write below the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yml").write_text(yaml.safe_dump(OPTIONS))
    return tmp_path


def train(*more):
    return main(["masks", "train", "-opt", "small.yml", *more])


def test_a_run_explains_itself_and_its_masks_load(here, capsys):
    assert train() == 0
    folder = here / "experiments" / "small"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("masks.safetensors", "scores.json", "options.yml", "environment.json"),
        *("curves.csv", "train.log", "training_states", ".lock"),
    }
    assert losses.EnhancedMAE(folder / "masks.safetensors")
    losses.load_scaler(folder / "masks.safetensors")
    scores = json.loads((folder / "scores.json").read_text())
    modes = {(folder / name).stat().st_mode for name in ("masks.safetensors", "scores.json")}
    assert len(modes) == 1, "others may read the masks as they may read the rest"
    assert -1 <= scores["spearman"]["enhanced"]["all"] <= 1
    assert set(scores["spearman"]["plain"]["families"]) <= {"noise", "blur"}
    assert scores["held_out"] == "6 pairs, 2 references of 1 photographs"
    rows = list(csv.DictReader((folder / "curves.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert all(float(row["grad_norm"]) > 0 and float(row["lr"]) > 0 for row in rows)
    assert list((here / "tb_logger" / "small").iterdir())
    assert "Spearman on held-out photographs: plain" in capsys.readouterr().out


def test_taps_settle_after_the_last_step(here):
    features = ("--force_yml", "metric={type: e-vgg, backbone: embedded}")
    assert train(*features, "name=as_trained") == 0
    assert train(*features, "name=settled", "train:tap_decay=0.5") == 0
    first, second = (
        losses.masks.load_state_dict(here / "experiments" / name / "masks.safetensors")
        for name in ("as_trained", "settled")
    )
    masks = [name for name in first if name.startswith("mask_finder")]
    changed = {name for name in masks if not torch.equal(first[name], second[name])}
    assert changed == {"mask_finder_2.conv3.0.bias", "mask_finder_3.conv3.0.bias"}
    before = "metric:masks=experiments/as_trained/masks.safetensors"
    no_step = ("train:total_iter=0", "train:tap_decay=0.5")
    assert train(*features, "name=later", before, *no_step) == 0
    later = losses.masks.load_state_dict(here / "experiments" / "later" / "masks.safetensors")
    for name in masks:
        torch.testing.assert_close(later[name], second[name], atol=5e-3, rtol=1e-4)


def test_weights_between_start_and_end_are_written(here, capsys):
    started, read = "metric:masks=pixel_mask_e_mae", losses.masks.load_state_dict
    file = here / "experiments" / "small" / "masks.safetensors"
    assert train("--force_yml", started) == 0
    end = read(file)
    assert train("--force_yml", started, "train:interpolation=0.25", "--auto_resume") == 0
    start, found = read(losses.weights.resolve("pixel_mask_e_mae")), read(file)
    masks = [name for name in end if name.startswith("mask_finder")]
    for name in masks:
        wanted = 0.75 * start[name].float() + 0.25 * end[name]
        torch.testing.assert_close(found[name], wanted)
    assert any(not torch.equal(found[name], end[name]) for name in masks)
    assert train("--force_yml", "train:interpolation=0.25") == 2
    assert "train.interpolation: below 1 it needs `metric.masks`" in capsys.readouterr().err


def test_interrupted_equals_uninterrupted(here, monkeypatch, capsys):
    assert train("--force_yml", "name=whole") == 0
    from restoration.masks import trainer as masks

    step_as_it_is = masks.train_step

    def interrupted(trainer, optimizer, table, settings, step):
        if step == 3:
            raise KeyboardInterrupt
        return step_as_it_is(trainer, optimizer, table, settings, step)

    monkeypatch.setattr(masks, "train_step", interrupted)
    assert train() == 130
    assert "state saved as experiments/small/training_states/3.state" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert train("--auto_resume") == 0
    whole, again = (here / "experiments" / name for name in ("whole", "small"))
    first, second = (losses.masks.load_state_dict(f / "masks.safetensors") for f in (whole, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (whole / "scores.json").read_text() == (again / "scores.json").read_text()
    states = {path.name for path in (again / "training_states").iterdir()}
    assert states == {"4.state", "6.state"}, "the newest, and one before it"


def test_a_resume_with_other_options_is_refused(here, capsys):
    assert train("--force_yml", "train:total_iter=1") == 0
    assert train("--auto_resume") == 2
    assert "began with another `train`" in capsys.readouterr().err
    assert train("--force_yml", "train:total_iter=1") == 0
    assert len(list((here / "experiments").glob("small_archived_*"))) == 1


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train:total_itr=3", "did you mean `total_iter`"),
        ("data:dataroot=nowhere", "expected a folder of images, got nowhere"),
        ("train:crop=128", "at most 64 pixels"),
        ("data:teachers=harpsi", "did you mean 'haarpsi'"),
        ("metric:backbone=vgg16", "e-mae compares pixels"),
    ],
)
def test_mistakes_are_one_line(here, assignment, message, capsys):
    assert train("--force_yml", assignment) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (here / "experiments").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["masks", "train", "-opt", "small.yml"],
        ["masks", "ablate", "-opt", "ablation.yml"],
        ["masks", "eval", "--data", "pseudo:skimage:coffee", "--out", "results"],
        ["score", "a.png", "a.png"],
    ],
)
def test_a_device_that_is_none(here, command, capsys):
    (here / "ablation.yml").write_text(ablation())
    before = set(here.iterdir())
    assert main([*command, "--device", "gpu"]) == 2
    assert "expected a device such as cpu, cuda or mps, got 'gpu'" in capsys.readouterr().err
    assert set(here.iterdir()) == before


def test_masks_from_python(here, capsys):
    steps = []

    @contextmanager
    def progress(title, total, done=0):
        steps.append((title, total, done))
        yield lambda: None

    masks = train_masks("small.yml", name="mine", train={"total_iter": 2}, progress=progress)
    assert masks == Path("experiments/mine/masks.safetensors")
    assert steps == [
        ("distorting and scoring", 12, 0),
        ("training", 2, 0),
        ("fitting the scaler network", 4, 0),
        ("measuring", 4, 0),
    ]
    assert "Spearman on held-out" in (here / "experiments/mine/train.log").read_text()
    assert not any(capsys.readouterr()), "only the command line prints"


def ablation(**more):
    test = {"dataroot": "skimage:chelsea", "num_references": 2, "num_versions": 4, "size": 64}
    variants = [
        {"name": "all"},
        {"name": "noise", "metric": {"type": "e-mse"}, "data": {"distortions": ["noise"]}},
    ]
    content = {
        "base": "small.yml",
        "name": "ablation",
        "data": {"held_out_every": 0, "table": None},
        "train": {"total_iter": 2},
        "test": test | {"teachers": "held-out", "size": 200},
        "figure": {"image": "skimage:chelsea", "distortion": "white_noise", "level": 5},
        "variants": variants,
    }
    return yaml.safe_dump(content | more)


def test_ablation_trains_measures_and_goes_on(here, capsys, monkeypatch):
    (here / "ablation.yml").write_text(ablation())
    command = ["masks", "ablate", "-opt", "ablation.yml"]
    assert main(command) == 0
    folder = here / "experiments" / "ablation"
    table = (folder / "ablation.md").read_text()
    rows = list(csv.DictReader((folder / "ablation.csv").open()))
    assert [row["variant"] for row in rows] == ["plain mae", "plain mse", "all", "noise"]
    assert f"{float(rows[2]['all']):.3f}" in table
    with Image.open(folder / "error_maps.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    before = (folder / "ablation.csv").read_text()
    (folder / "variants" / "noise" / "scores.json").unlink()  # as if it had been interrupted
    capsys.readouterr()
    assert main([*command, "--auto_resume"]) == 0
    assert capsys.readouterr().out.count("trained already") == 1
    assert (folder / "ablation.csv").read_text() == before
    (here / "ablation.yml").write_text(ablation(train={"total_iter": 3}))
    assert main([*command, "--auto_resume"]) == 2
    assert "began with another `train`" in capsys.readouterr().err


def test_an_ablation_is_not_measured_on_what_it_learnt_from(here, capsys):
    data = {"held_out_every": 0, "table": None, "dataroot": "skimage:chelsea"}
    text = ablation(data=data, train={"total_iter": 1})
    (here / "ablation.yml").write_text(text)
    assert main(["masks", "ablate", "-opt", "ablation.yml"]) == 2
    assert "expected every reference in one part, got in both" in capsys.readouterr().err
