"""`restoration compare` with a grid: branches of one start, fronts, and one training at a time."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from tiny import TINY, tiny_comparison, tiny_options

import losses
import restoration
from restoration.archs import build_network
from restoration.cli import main
from restoration.compare import fairness
from restoration.train import shares

MAE = {"type": "MAE"}
SMALL = Path(__file__).parents[2] / "options/compare/front_small.yml"
LABELS = ["share=0.1", "share=0.3", "share=0.6"]
NAMES = [f"{loss} {label}" for loss in ("vgg", "evgg") for label in LABELS]
PIXEL = [
    {"name": name, "train": {"losses": [{"type": term}]}}
    for name, term in (("mae", "MAE"), ("mse", "MSE"))
]


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(3, side=24, name="grid")


@pytest.fixture(scope="module")
def start(images, tmp_path_factory):
    """Checkpoint of a run with averaged weights: what the branches begin with."""
    folder = tmp_path_factory.mktemp("start")
    options = tiny_options(images) | {
        "name": "start",
        "train": {"total_iter": 2, "losses": [MAE], "ema_decay": 0.5, "optim_g": {"lr": 0.01}},
        "val": {"metrics": ["psnr"], "val_freq": 1000},
        "logger": {"use_tb_logger": False},
    }
    return restoration.train(options, folder=folder / "run")


@pytest.fixture(scope="module")
def write(images, start, tmp_path_factory):
    """Write a comparison that branches from the start, keys laid over it."""

    def make(**keys):
        own = {"start": str(start), "seeds": [0, 1], "recipes": PIXEL}
        file = tmp_path_factory.mktemp("options") / "compare.yml"
        file.write_text(yaml.safe_dump(tiny_comparison(images) | own | keys))
        return file

    return make


@pytest.fixture(scope="module")
def small(images, start, tmp_path_factory):
    """Write the shipped file of a small front for a tiny network and few steps."""

    def make(**keys):
        own = tiny_comparison(images) | {"base": str(SMALL), "start": str(start), "seeds": [0, 1]}
        own["datasets"]["photographs"] = own["datasets"].pop("val") | {"sigma_test": [25, 50]}
        own["train"] |= {"scheduler": {"periods": [2]}}
        file = tmp_path_factory.mktemp("options") / "front.yml"
        file.write_text(yaml.safe_dump(own | keys))
        return file

    return make


@pytest.fixture(scope="module")
def ran(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "measure", partial(shares.measure, num_batches=1))  # of 32: seconds
        assert run(small(), folder) == 0
    return folder


def run(file, folder, *flags):
    return main(["compare", "-opt", str(file), "--out", str(folder), *flags])


def results(folder):
    return json.loads((folder / "results.json").read_text())


# ------------------------------------------------------------------ a grid from one start


def test_every_weight_of_every_loss_is_a_recipe(ran):
    found = results(ran)
    assert [recipe["name"] for recipe in found["recipes"]] == NAMES
    assert found["reference"] == NAMES[0]
    for name in NAMES:
        for seed in (0, 1):
            options = yaml.safe_load((ran / f"recipes/{name}/seed_{seed}/options.yml").read_text())
            weight = options["train"]["losses"][1]["weight"]
            assert weight["share"] == float(name.rpartition("=")[2])
            assert weight["value"] > 0


def test_every_training_branches_from_the_averaged_weights(ran, start):
    content = torch.load(start, weights_only=True)
    network = build_network(TINY)
    network.load_state_dict(content["params_ema"])
    assert any(
        not torch.equal(content["params_ema"][key], content["params"][key])
        for key in content["params"]
    )
    identities = [recipe["identity"] for recipe in results(ran)["recipes"]]
    assert {one["start"] for one in identities} == {fairness.file_digest(start)}
    merged = fairness.plain_digest([fairness.digest_tensors(network.state_dict())] * 2)
    single = fairness.digest_tensors(network.state_dict())
    assert {one["initial weights"] for one in identities} <= {merged, single}
    page = (ran / "report.html").read_text()
    assert "Every training branches from one checkpoint, net_g_latest.pth (params_ema)" in page
    assert "with a fresh optimiser" in page


def test_the_report_has_a_front_of_every_loss(ran):
    fronts = results(ran)["fronts"]
    assert [(f["quality"], f["distance"], f["sigma"]) for f in fronts] == [
        ("psnr", "e_mae", 25),
        ("psnr", "e_mae", 50),
    ]
    for front in fronts:
        assert list(front["curves"]) == ["vgg", "evgg"]
        for points in front["curves"].values():
            assert [point["label"] for point in points] == LABELS
            assert all(p["y_interval"][0] < p["y"] < p["y_interval"][1] for p in points)
        (difference,) = front["differences"]
        assert (difference["curve"], difference["reference"]) == ("evgg", "vgg")
    page = (ran / "report.html").read_text()
    assert 'id="front"' in page
    assert "PSNR at equal E-MAE x100: the front of evgg" in page
    for kind in ("png", "svg", "pdf"):
        assert (ran / f"figures/front_psnr_e_mae.{kind}").stat().st_size > 1000


def test_another_start_is_another_training(small, ran, start, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(ran, out)
    other = tmp_path / "net_g_other.pth"
    content = torch.load(start, weights_only=True)
    torch.save({"params": content["params"]}, other)
    assert run(small(start=str(other)), out, "--auto_resume") == 2
    assert "path.pretrain_network_g" in capsys.readouterr().err
    kept = start.read_bytes()
    try:
        torch.save({"params_ema": content["params"], "params": content["params"]}, start)
        assert run(small(), out, "--auto_resume") == 2
        assert "begun with another start" in capsys.readouterr().err
    finally:
        start.write_bytes(kept)


def test_the_same_loss_twice_gives_one_front_on_the_other(write, tmp_path):
    recipe = {"name": "mse", "train": {"losses": [MAE, {"type": "MSE"}]}}
    recipes = [recipe, recipe | {"name": "again"}]
    assert run(write(recipes=recipes, grid={"MSE": [0.1, 10]}), tmp_path / "out") == 0
    (front,) = results(tmp_path / "out")["fronts"]
    mine, other = front["curves"].values()
    assert [(p["x"], p["y"]) for p in mine] == [(p["x"], p["y"]) for p in other]
    (difference,) = front["differences"]
    assert difference["verdict"] in ("equivalent", "no overlap")


# ------------------------------------------------------------------ one training at a time


def test_every_training_is_listed(small, capsys):
    assert main(["compare", "-opt", str(small()), "--list"]) == 0
    listed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert listed == [[name, seed] for name in NAMES for seed in ("0", "1")]


def test_trainings_one_by_one_are_the_comparison(write, tmp_path, capsys):
    """On many machines, in any order; what is missing is named, and compared when it is there."""
    file, out, whole = write(), tmp_path / "out", tmp_path / "whole"
    for name, seed in (("mse", "1"), ("mse", "0"), ("mae", "1")):
        assert run(file, out, "--only", name, "--seed", seed) == 0
    assert not (out / "report.html").exists()
    capsys.readouterr()
    assert run(file, out, "--collect") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Left out: mae, seed 0: not begun." in told
    assert '--only "mae" --seed 0' in told
    found = results(out)
    assert [recipe["name"] for recipe in found["recipes"]] == ["mse"]
    assert found["absent"] == [{"recipe": "mae", "seed": 0, "reason": "not begun"}]
    assert "Left out: mae, seed 0: not begun." in (out / "report.html").read_text()
    assert run(file, out, "--only", "mae", "--seed", "0") == 0
    assert run(file, out, "--collect") == 0
    assert run(file, whole) == 0
    assert (out / "per_image.csv").read_text() == (whole / "per_image.csv").read_text()
    assert results(out)["differences"] == results(whole)["differences"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--only", "vgg share=0.2"], "expected a recipe that is trained .*did you mean"),
        (["--only", NAMES[0], "--seed", "7"], "expected a seed of the comparison (0, 1), got 7"),
        (["--seed", "1"], "expected --only RECIPE with --seed"),
        (["--only", NAMES[0], "--collect"], "got --only and --collect"),
        (["--collect"], "every recipe lacks a training: recipe .*seed 0: not begun"),
    ],
)
def test_what_does_not_go_together(small, tmp_path, capsys, flags, message):
    assert run(small(), tmp_path / "out", *flags) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in message.split(".*"))
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------ a recipe that diverges


@pytest.fixture
def wild(tmp_path_factory):
    """A loss of one's own that is not finite after the first step; nobody knows it afterwards."""
    folder, before = tmp_path_factory.mktemp("wild"), dict(losses.TERMS)
    (folder / "wild.py").write_text(
        "import torch\n"
        "from losses import MAE, register_loss\n"
        "class Wild(MAE):\n"
        "    def forward(self, prediction, target, features=None):\n"
        "        value = super().forward(prediction, target, features)\n"
        "        return value * (torch.inf if prediction.requires_grad else 1.0)\n"
        "register_loss('Wild')(Wild)\n"
    )
    yield folder / "wild.py"
    sys.modules.pop("wild", None)
    sys.path[:] = [place for place in sys.path if place != str(folder)]
    losses.TERMS.clear()
    losses.TERMS.update(before)


def test_a_recipe_that_diverges_does_not_end_the_others(write, wild, tmp_path, capsys):
    recipes = [
        {"name": "mae", "train": {"losses": [MAE]}},
        {"name": "wild", "train": {"losses": [{"type": "Wild"}]}},
        {"name": "mse", "train": {"losses": [{"type": "MSE"}]}},
    ]
    file = write(recipes=recipes, seeds=[5], imports=[str(wild)])
    out = tmp_path / "out"
    for flags in ([], ["--auto_resume"]):
        assert run(file, out, *flags) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert "Left out: wild, seed 5: diverged: the loss is not finite at step 1" in told
        assert "--only" not in told, "training on does not help"
        found = results(out)
        assert [recipe["name"] for recipe in found["recipes"]] == ["mae", "mse"]
        assert [one["seed"] for one in found["absent"]] == [5]
        assert {one["recipe"] for one in found["differences"]} == {"mse"}
        for text in ("report.html", "table.md"):
            assert "diverged: the loss is not finite at step 1" in (out / text).read_text()
        row = (
            '<th scope="row">wild<small>diverged: the loss is not finite at step 1 (seed 5)</small>'
        )
        assert row in (out / "report.html").read_text()


def test_one_recipe_that_is_left_is_measured(write, wild, tmp_path):
    recipes = [
        {"name": "wild", "train": {"losses": [{"type": "Wild"}]}},
        {"name": "mse", "train": {"losses": [{"type": "MSE"}]}},
    ]
    file = write(recipes=recipes, seeds=None, imports=[str(wild)])
    assert run(file, tmp_path / "out") == 0
    found = results(tmp_path / "out")
    assert found["reference"] == "mse"
    assert {row["run"] for row in found["rows"]} == {"noisy", "mse"}
