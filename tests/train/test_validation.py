"""Validations: val.csv, the best step, TensorBoard, several sets, going on."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from restoration.degradations.conditions import Condition
from restoration.evaluate import Mean, Row
from restoration.train import checkpoint, validation
from restoration.train import run as training
from restoration.train.api import train
from restoration.train.pictures import GAP, HEAD, SMALLEST, labelled
from restoration.train.step_files import ValidationFile
from restoration.train.validation import Validation

CPU = torch.device("cpu")


@pytest.fixture
def validated(make_options, images):
    """Options of a run of 6 steps that validates every two; sets by name and noise levels."""

    def make(sets=None, metrics=("psnr", "ssim"), val_freq=2, **sections):
        data = {"train": make_options().datasets.train.model_dump(exclude_unset=True)}
        for name, levels in (sets or {"val": [15, 50]}).items():
            data[name] = {"dataroot_gt": str(images), "sigma_test": levels, "max_images": 2}
        val = {"val_freq": val_freq, "metrics": list(metrics)}
        return make_options(datasets=data, val=val, **sections)

    return make


def run(options, folder, resume=False):
    tb_folder = folder.with_name(f"{folder.name}_tb")
    return train(options, folder=folder, tb_folder=tb_folder, device=CPU, resume=resume)


def rows(folder):
    with (folder / "val.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state(folder, step):
    return torch.load(folder / "training_states" / f"{step}.state", weights_only=True)


def made_up(*values, sets=("val",)):
    """Validations with one image at one level per set, whose PSNR is given."""
    for value in values:
        each = value if isinstance(value, tuple) else (value,) * len(sets)
        yield Validation(
            [
                Row("restored", name, "a", "gaussian", 25.0, {"psnr": v, "ssim": 0.0})
                for name, v in zip(sets, each, strict=True)
            ]
        )


# ------------------------------------------------------------------ val.csv


def test_val_csv_has_a_row_per_step_set_and_level(validated, tmp_path):
    options = validated({"first": [15, 50], "second": [25]})
    run(options, tmp_path / "run")
    found = rows(tmp_path / "run")
    assert list(found[0]) == ["step", "set", "sigma", "psnr", "ssim"]
    places = [("first", "15.0"), ("first", "50.0"), ("second", "25.0")]
    expected = [(str(step), *place) for step in (2, 4, 6) for place in places]
    assert [(r["step"], r["set"], r["sigma"]) for r in found] == expected
    log = (tmp_path / "run/train.log").read_text()
    assert len(re.findall(r"\] validation on (first|second): psnr/sigma", log)) == 6
    last = {(r["set"], r["sigma"]): float(r["psnr"]) for r in found if r["step"] == "6"}
    prepared = training.prepare(
        validated({"first": [15, 50], "second": [25]}),
        CPU,
        tmp_path / "run/training_states/6.state",
    )
    for mean in validation.validate(prepared).means:
        assert last[mean.set, str(mean.level)] == pytest.approx(mean.values["psnr"], rel=1e-6)


def test_other_degradations_have_a_level_of_their_own(tmp_path):
    conditions = [Condition("jpeg quality", 30.0), Condition("paired", None)]
    file = ValidationFile(tmp_path, 0, conditions, ["psnr"])
    file.add(5, [Mean("", "live", c.degradation, c.level, 3, {"psnr": 30.5}) for c in conditions])
    assert (tmp_path / "val.csv").read_text().splitlines() == [
        "step,set,degradation,level,psnr",
        "5,live,jpeg quality,30.0,30.5",
        "5,live,paired,,30.5",
    ]


def test_a_resumed_run_writes_the_same_file(validated, tmp_path):
    options = validated()
    run(options, tmp_path / "run")
    whole = (tmp_path / "run/val.csv").read_text()
    (tmp_path / "run/training_states/6.state").unlink()
    run(options, tmp_path / "run", resume=True)
    assert (tmp_path / "run/val.csv").read_text() == whole
    run(options, tmp_path / "run", resume=True)  # it is finished
    assert (tmp_path / "run/val.csv").read_text() == whole


def test_a_validation_that_was_interrupted_is_made_up_for(validated, tmp_path, monkeypatch):
    options = validated()
    run(options, tmp_path / "whole")
    calls = []

    def stopping(one, *tell):
        calls.append(one)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validation.validate(one, *tell)

    with monkeypatch.context() as patch:
        patch.setattr(training, "validate", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(options, tmp_path / "parts")
    assert checkpoint.latest_state(tmp_path / "parts").stem == "4"
    run(options, tmp_path / "parts", resume=True)
    for name in ("val.csv", "curves.csv", "best.json"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert {k: v for k, v in state(tmp_path / "parts", 6).items() if k != "optimizer"} == {
        k: v for k, v in state(tmp_path / "whole", 6).items() if k != "optimizer"
    }


def test_without_a_validation_there_is_no_file(make_options, tmp_path):
    run(make_options(), tmp_path / "run")
    assert not (tmp_path / "run/val.csv").exists()


# ------------------------------------------------------------------ best


def test_the_best_step_is_recorded_and_logged(validated, tmp_path, monkeypatch):
    found = made_up(20.0, 30.0, 25.0)
    monkeypatch.setattr(training, "validate", lambda run, *tell: next(found))
    run(validated({"val": [25]}), tmp_path / "run")
    last = state(tmp_path / "run", 6)
    assert (last["best"], last["best_step"], last["validated"]) == (30.0, 4, 6)
    content = json.loads((tmp_path / "run/best.json").read_text())
    assert content == {"step": 4, "value": 30.0, "of": "psnr on val (2) at (25.0,)"}
    log = (tmp_path / "run/train.log").read_text()
    assert re.findall(r"best so far: (\S+) at step (\d)", log) == [
        ("20.0000", "2"),
        ("30.0000", "4"),
        ("30.0000", "4"),
    ]
    best, latest = (
        torch.load(tmp_path / f"run/models/net_g_{label}.pth", weights_only=True)["params"]
        for label in ("best", "latest")
    )
    assert not torch.equal(best["output.weight"], latest["output.weight"])


def test_lower_is_better_for_losses_as_metrics(validated):
    prepared = training.prepare(validated(metrics=["mae"]), CPU)
    assert validation.is_better(prepared, 0.1, 0.2)
    assert not validation.is_better(prepared, 0.3, 0.2)
    assert validation.is_better(prepared, 0.3, None)


def test_infinite_values_are_in_no_score(validated):
    prepared = training.prepare(validated({"val": [25]}), CPU)
    (found,) = made_up(float("inf"))
    assert validation.score_of(prepared, found.rows) is None


@pytest.mark.parametrize(
    ("levels", "score", "of"),
    [
        ([25], 25.0, "psnr on first (2) at (25.0,); second (2) at (25.0,)"),
        ([15, 25], 20.0, "psnr on first (2) at (25.0,)"),
    ],
)
def test_sets_with_other_levels_are_not_mixed(validated, levels, score, of):
    """Sets with the same levels are averaged; of others, the first alone says what is best."""
    prepared = training.prepare(validated({"first": [25], "second": levels}), CPU)
    (found,) = made_up((20.0, 30.0), sets=("first", "second"))
    assert validation.score_of(prepared, found.rows) == score
    assert validation.best_of(prepared) == of
    assert {mean.set: mean.values["psnr"] for mean in found.means} == {
        "first": 20.0,
        "second": 30.0,
    }


# ------------------------------------------------------------------ TensorBoard


@pytest.fixture
def events(tmp_path):
    """Read the events of a run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(folder):
        found = accumulator.EventAccumulator(str(folder), size_guidance={"images": 0})
        found.Reload()
        return found

    return read


def test_tensorboard(validated, tmp_path, events):
    options = validated(
        val_freq=3,
        train={"losses": [{"type": "MAE"}, {"type": "SSIM", "weight": 0.1, "name": "structure"}]},
        logger={"use_tb_logger": True},
    )
    run(options, tmp_path / "run")
    found = events(tmp_path / "run_tb")
    tags = found.Tags()
    wanted = {f"train/{name}" for name in ("total", "MAE", "structure", "lr", "grad_norm")}
    wanted |= {f"val/{m}/sigma{s}" for m in ("psnr", "ssim") for s in (15, 50)}
    assert wanted <= set(tags["scalars"])
    total = found.Scalars("train/total")
    assert [event.step for event in total] == [1, 2, 3, 4, 5, 6]
    with (tmp_path / "run/curves.csv").open(newline="") as file:
        totals = [float(row["total"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose([event.value for event in total], totals, rtol=1e-6)
    assert [event.step for event in found.Scalars("val/psnr/sigma15")] == [3, 6]
    assert set(tags["images"]) == {"val/val/sigma15", "val/val/sigma50"}
    pictures = found.Images("val/val/sigma15")
    assert [picture.step for picture in pictures] == [0, 3, 6]
    size = (SMALLEST + HEAD, 5 * SMALLEST + 4 * GAP)
    assert {(picture.height, picture.width) for picture in pictures} == {size}


def test_tensorboard_is_told_what_the_run_is(validated, tmp_path, events):
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.plugins.hparams import plugin_data_pb2

    sets = {"first": [15], "second": [25, 50]}
    run(validated(sets, val_freq=6, logger={"use_tb_logger": True}), tmp_path / "run")
    found = events(tmp_path / "run_tb")
    scalars = set(found.Tags()["scalars"])
    assert {"val/psnr/first/sigma15", "val/psnr/second/sigma25"} <= scalars
    assert "val/psnr/sigma25" not in scalars, "sets are not mixed"
    (text,) = found.Tensors("options/text_summary")
    assert b"    total_iter: 6" in text.tensor_proto.string_val[0]
    (chart,) = found.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(chart.tensor_proto.string_val[0])
    (category,) = layout.category
    charts = {one.title: list(one.multiline.tag) for one in category.chart}
    assert set(charts) == {"psnr", "ssim"}
    matched = {tag for tag in scalars if re.match(charts["psnr"][0], tag)}
    assert matched == {f"val/psnr/{place}" for place in (
        "first/sigma15", "second/sigma25", "second/sigma50"
    )}  # fmt: skip
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["lr"].number_value == pytest.approx(1e-3)
    assert start.hparams["weight/MAE"].number_value == 1
    assert start.hparams["network"].string_value == "Restormer"


def test_pictures_at_the_start_change_no_training(validated, tmp_path):
    for name, logged in (("with", True), ("without", False)):
        run(validated(logger={"use_tb_logger": logged}), tmp_path / name)
    one, other = (
        torch.load(tmp_path / name / "models/net_g_6.pth", weights_only=True)["params"]
        for name in ("with", "without")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_labels_stand_above_their_panels():
    dark, light = torch.zeros(1, 3, 8, 200), torch.ones(1, 3, 8, 200)
    drawn = labelled([dark, light], ["noisy", "restored"])
    assert drawn.shape == (3, 8 + HEAD, 400 + GAP)
    assert (drawn[:, HEAD:, :200] == 0).all() and (drawn[:, HEAD:, 200 + GAP :] == 1).all()
    heads = drawn[:, :HEAD]
    assert (heads[..., :200] < 0.5).any() and (heads[..., 200 + GAP :] < 0.5).any()
