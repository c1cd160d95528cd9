"""`restoration compare` told what changes behind its options, and going on after that."""

import json
import shutil

import pytest
import yaml
from safetensors.torch import load_file, save_file
from tiny import tiny_comparison

from restoration.cli import main
from restoration.compare import resume
from restoration.train.loop import Trainer

MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}
MSE = {"name": "mse", "train": {"losses": [{"type": "MSE"}]}}


@pytest.fixture
def images(pictures):
    return pictures(2, side=24, name="going_on")


@pytest.fixture
def tested(pictures):
    return pictures(2, side=24, seed=1, name="tested")


@pytest.fixture
def mask(tmp_path):
    """A mask file of the user's own."""
    import losses

    shipped = losses.weights.resolve("pixel_mask_e_mae")
    return shutil.copy(shipped, tmp_path / "mask.safetensors")


def alter(mask):
    """Put other weights under the same name."""
    save_file({k: v + 0.1 for k, v in load_file(mask).items()}, mask)


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


def test_values_under_other_metric_weights_are_measured_again(compare, tmp_path, mask):
    metrics = {"metrics": [{"type": "e_mae", "weights": str(mask)}], "val_freq": 1000}

    def values():
        return {row["run"]: row["e_mae"] for row in results(tmp_path)["rows"]}

    assert compare(val=metrics) == 0
    before = values()
    alter(mask)
    assert compare("--auto_resume", val=metrics) == 0
    after = values()
    assert all(after[run] != before[run] for run in ("noisy", "mae", "mse"))
    assert compare(val=metrics) == 0  # anew
    assert values() == after


def test_a_loss_with_other_weights_is_refused(compare, capsys, mask):
    e_mae = {"train": {"losses": [{"type": "E-MAE", "weights": str(mask)}]}}
    recipes = [MAE, {"name": "e_mae"} | e_mae]
    assert compare(recipes=recipes) == 0
    alter(mask)
    capsys.readouterr()
    assert compare("--auto_resume", recipes=recipes) == 2
    assert "recipe e_mae was begun with other weights of the loss" in capsys.readouterr().err


def test_hashes_are_of_what_was_trained_on(compare, tmp_path, images, capsys):
    assert compare() == 0
    before = results(tmp_path)["recipes"][0]["identity"]
    shutil.copy(images / "0.png", images / "2.png")
    assert compare("--auto_resume") == 0
    assert [one["identity"] for one in results(tmp_path)["recipes"]] == [before] * 2
    added = [MAE, MSE, MAE | {"name": "late"}]
    capsys.readouterr()
    assert compare("--auto_resume", recipes=added) == 2
    assert "late in sample stream" in capsys.readouterr().err
    assert compare("--auto_resume", "--allow-different", recipes=added) == 0
    marks = {(one["recipe"], one["key"]) for one in results(tmp_path)["different"]}
    assert ("late", "sample stream") in marks
    assert "mae" not in {recipe for recipe, _ in marks}


def test_the_rest_of_a_training_sees_the_same_images(compare, images, monkeypatch, capsys):
    step = Trainer.step

    def interrupted(self, number, batches):
        if number == 1:
            raise KeyboardInterrupt
        return step(self, number, batches)

    monkeypatch.setattr(Trainer, "step", interrupted)
    assert compare() == 130
    monkeypatch.setattr(Trainer, "step", step)
    shutil.copy(images / "0.png", images / "2.png")
    capsys.readouterr()
    assert compare("--auto_resume") == 2
    assert "mae was begun with another sample stream" in capsys.readouterr().err


def test_a_metric_that_cannot_be_had_is_said_once(compare, tmp_path, capsys):
    gone = {"type": "lpips", "weights": str(tmp_path / "gone.pth"), "optional": True}
    assert compare(val={"metrics": ["psnr", gone], "val_freq": 1000}) == 0
    assert capsys.readouterr().out.count("LPIPS (alex) is unavailable") == 1


def test_a_loss_that_is_not_finite_names_its_recipe(compare, capsys):
    wild = {"total_iter": 2, "optim_g": {"lr": 1e30}, "use_grad_clip": False}
    assert compare(train=wild) != 0
    assert "recipe mae: the loss is not finite" in capsys.readouterr().err


def test_tiles_are_part_of_the_protocol(compare, tmp_path):
    assert compare(val={"metrics": ["psnr"], "val_freq": 1000, "tile": 64}) == 0
    told = "networks see tiles of 64 pixels, overlap 32"
    assert told in results(tmp_path)["protocol"]
    for name in ("report.html", "table.md"):
        assert told in (tmp_path / "out" / name).read_text()


def test_what_was_begun_before_is_known(tmp_path):
    """One file for all trainings, as it was, and one for each, as it is."""
    (tmp_path / "begun.json").write_text(
        json.dumps({"mae": {"identity": 1}, "mse": {"identity": 2}})
    )
    (tmp_path / "begun/mse").mkdir(parents=True)
    (tmp_path / "begun/mse/seed_0.json").write_text(json.dumps({"mse/seed_0": {"identity": 3}}))
    (tmp_path / "begun/mae.json").write_text(json.dumps({"mae": {"identity": 4}}))
    known = {name: one["identity"] for name, one in resume.read(tmp_path).items()}
    assert known == {"mae": 4, "mse": 2, "mse/seed_0": 3}
