"""Weights & Biases beside TensorBoard: a stand-in that listens, and the package itself, offline."""

import sys
from types import SimpleNamespace

import pytest
import torch

from restoration.options.load import validate
from restoration.train import trackers
from restoration.train.api import for_debugging, train

CPU = torch.device("cpu")


class Listener:
    """What the package offers and is used here."""

    def __init__(self):
        self.begun, self.logged, self.codes = [], [], []
        self.errors = SimpleNamespace(Error=KeyError)

    def init(self, **settings):
        self.begun.append(settings)
        return SimpleNamespace(
            id=settings["id"] or "abc123",
            log=lambda values, step: self.logged.append((step, values)),
            finish=lambda exit_code: self.codes.append(exit_code),
        )

    def Image(self, pixels):
        return pixels


@pytest.fixture
def listener(monkeypatch):
    made = Listener()
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.setattr(trackers, "check_wandb", lambda options: None)
    monkeypatch.setattr("restoration.train.run.check_wandb", lambda options: None)
    return made


@pytest.fixture
def options(make_options, images):
    def make(total=6, **wandb):
        base = make_options()
        return make_options(
            datasets={
                "train": base.datasets.train.model_dump(exclude_unset=True),
                "val": {"dataroot_gt": str(images), "sigma_test": [25], "max_images": 1},
            },
            train=base.train.model_dump(exclude_unset=True) | {"total_iter": total},
            val={"val_freq": 3, "metrics": ["psnr"]},
            logger={"wandb": {"project": "denoisers", "mode": "offline"} | wandb},
        )

    return make


def run(options, folder, **more):
    return train(options, folder=folder, tb_folder=folder.parent / "tb", device=CPU, **more)


def test_values_options_and_pictures(options, tmp_path, listener):
    run(options(entity="us"), tmp_path / "run")
    (begun,) = listener.begun
    assert (begun["project"], begun["entity"], begun["mode"]) == ("denoisers", "us", "offline")
    assert begun["name"] == "run" and begun["dir"] == str(tmp_path / "run")
    assert begun["config"]["network_g"]["type"] == "Restormer"
    by_step = {}
    for step, values in listener.logged:
        by_step.setdefault(step, {}).update(values)
    assert sorted(by_step) == [0, 1, 2, 3, 4, 5, 6]
    assert {"train/total", "train/MAE", "train/lr", "val/psnr/sigma25"} <= set(by_step[3])
    (picture,) = (value for tag, value in by_step[0].items() if tag.startswith("val/"))
    assert picture.dtype == "uint8" and picture.shape[2] == 3
    steps = [step for step, _ in listener.logged]
    assert steps == sorted(steps), "W&B drops what comes late"
    assert listener.codes == [0]


def test_a_training_that_goes_on_goes_on_there_too(options, tmp_path, listener):
    run(options(total=3), tmp_path / "run")
    run(options(), tmp_path / "run", resume=True)
    assert [begun["id"] for begun in listener.begun] == [None, "abc123"]
    assert all(begun["resume"] == "allow" for begun in listener.begun)
    run(options(resume_id="mine"), tmp_path / "other")
    assert listener.begun[-1]["id"] == "mine"


def test_a_training_that_fails_is_marked(options, tmp_path, listener, monkeypatch):
    def broken(*given):
        raise ValueError("no picture")

    monkeypatch.setattr("restoration.train.run.validate", broken)
    with pytest.raises(ValueError, match="no picture"):
        run(options(), tmp_path / "run")
    assert listener.codes == [1]


def test_a_refusal_is_a_sentence(options, tmp_path, listener, monkeypatch):
    def refuse(**settings):
        raise KeyError("no API key")

    monkeypatch.setattr(listener, "init", refuse)
    with pytest.raises(ValueError, match="logger.wandb: .*no API key.*wandb login.*mode: offline"):
        run(options(), tmp_path / "run")


def test_a_missing_package_is_said_before_the_training(options, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="denoisers needs wandb, .*pip install .*.wandb"):
        trackers.check_wandb(options())


def test_no_project_no_run(make_options):
    for wandb in ({"project": None, "resume_id": None}, None):
        made = make_options(logger={"wandb": wandb})
        assert made.logger.wandb.project is None
        trackers.check_wandb(made)
        assert trackers.open_wandb(made, None, False) is None


def test_debugging_leaves_no_run(options):
    assert for_debugging(options()).logger.wandb.project is None


def test_misspelt_keys_are_refused(options):
    with pytest.raises(ValueError, match="`logger.wandb.projekt`; did you mean `project`"):
        validate(options().model_dump() | {"logger": {"wandb": {"projekt": "x"}}})


def test_offline_for_real(options, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="pip install wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(options(), tmp_path / "run")
    (kept,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert list(kept.glob("run-*.wandb"))[0].stat().st_size > 1000
    noted = (tmp_path / "run" / trackers.RUN_ID).read_text().strip()
    assert kept.name.endswith(noted)
