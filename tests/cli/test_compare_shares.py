"""`restoration compare` with a loss weight that is a share of the gradient."""

import json

import pytest
import yaml
from tiny import tiny_comparison

from restoration.cli import main
from restoration.options.load import load_options

MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}


@pytest.fixture
def compare(pictures, tmp_path):
    """Run a small comparison whose second recipe has a share; return its exit code."""
    images = pictures(2, side=24, seed=1, name="shares")

    def run(share, *flags, **keys):
        losses = [{"type": "MAE"}, {"type": "MSE", "weight": {"share": share}}]
        recipes = [MAE, {"name": "shared", "train": {"losses": losses}}]
        file = tmp_path / "compare.yml"
        file.write_text(yaml.safe_dump(tiny_comparison(images, recipes=recipes) | keys))
        return main(["compare", "-opt", str(file), "--out", str(tmp_path / "out"), *flags])

    return run


def test_every_training_measures_its_own_weight(compare, tmp_path):
    assert compare(0.3, seeds=[0, 1]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    mae, shared = results["recipes"]
    assert mae["loss_weights"] == [{"MAE": 1.0}] * 2
    assert shared["loss"] == "MAE + MSE (0.3 of the gradient)"
    for seed, weights in enumerate(shared["loss_weights"]):
        folder = tmp_path / "out" / "recipes" / "shared" / f"seed_{seed}"
        written = load_options(folder / "options.yml").train.losses[1].weight
        assert (written.share, written.value) == (0.3, weights["MSE"])
    assert shared["loss_weights"][0] != shared["loss_weights"][1]
    assert mae["identity"] == shared["identity"]


def test_going_on_keeps_the_weight_and_refuses_another_share(compare, tmp_path, capsys):
    assert compare(0.3) == 0
    before = json.loads((tmp_path / "out" / "results.json").read_text())
    assert compare(0.3, "--auto_resume") == 0
    assert "trained already" in capsys.readouterr().out
    after = json.loads((tmp_path / "out" / "results.json").read_text())
    assert after["recipes"] == before["recipes"]
    assert compare(0.4, "--auto_resume") == 2
    assert "recipe shared was begun" in capsys.readouterr().err


def test_another_weight_under_the_same_share_is_refused(compare, tmp_path, capsys):
    """As when somebody edits options.yml: the hash of what a training began with tells."""
    assert compare(0.3) == 0
    file = tmp_path / "out" / "recipes" / "shared" / "options.yml"
    options = yaml.safe_load(file.read_text())
    options["train"]["losses"][1]["weight"]["value"] *= 2
    file.write_text(yaml.safe_dump(options))
    assert compare(0.3, "--auto_resume") == 2
    assert "begun with other weights of the loss" in capsys.readouterr().err
