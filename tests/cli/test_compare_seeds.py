"""`restoration compare` with several seeds: folders, values, verdicts, going on, refusals."""

import csv
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from tiny import tiny_comparison

from restoration.cli import main
from restoration.compare.inference import estimate
from restoration.compare.plan import load_comparison
from restoration.options.load import dump_yaml
from restoration.train.loop import Trainer

MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}
AGAIN = MAE | {"name": "mae_again"}
MSE = {"name": "mse", "train": {"losses": [{"type": "MSE"}]}}
STEPS = 2


@pytest.fixture(scope="module")
def write(pictures, tmp_path_factory):
    """Write a comparison's file, keys laid over a small one."""
    images = pictures(6, side=24, name="seeded")

    def make(**keys):
        file = tmp_path_factory.mktemp("options") / "compare.yml"
        file.write_text(yaml.safe_dump(tiny_comparison(images, recipes=[MAE, MSE]) | keys))
        return file

    return make


@pytest.fixture(scope="module")
def ran(write, tmp_path_factory):
    """The folder of a comparison with two seeds, in which one recipe stands twice."""
    folder = tmp_path_factory.mktemp("ran") / "out"
    assert run(write(recipes=[MAE, AGAIN, MSE], seeds=[4, 1]), folder) == 0
    return folder


def run(file, folder, *flags):
    return main(["compare", "-opt", str(file), "--out", str(folder), *flags])


def results(folder):
    return json.loads((folder / "results.json").read_text())


def values(folder):
    """Values per image by (run, seed, metric), images in one order."""
    found = {}
    for row in csv.DictReader((folder / "per_image.csv").open()):
        for metric in ("psnr", "e_mae"):
            one = found.setdefault((row["run"], row["seed"], metric), {})
            assert row["image"] not in one
            one[row["image"]] = float(row[metric])
    return {key: np.array([one[k] for k in sorted(one)]) for key, one in found.items()}


# ------------------------------------------------------------------ what was found


def test_every_training_has_its_folder_and_hash(ran):
    hashes = set()
    for one in results(ran)["recipes"]:
        assert [t["seed"] for t in one["trainings"]] == [4, 1]
        for training in one["trainings"]:
            folder = ran / "recipes" / one["name"] / f"seed_{training['seed']}"
            assert (folder / "models" / "net_g_latest.pth").is_file()
            own = yaml.safe_load((folder / "options.yml").read_text())
            assert own["manual_seed"] == training["seed"]
            hashes.add((one["name"], training["checkpoint_sha256"]))
        assert not (ran / "recipes" / one["name"] / "models").exists()
    assert len({sha for name, sha in hashes if name != "mae_again"}) == 4
    assert results(ran)["seeds"] == [4, 1]


def test_single_values_average_to_the_tables(ran):
    found = values(ran)
    assert {key[1] for key in found if key[0] == "noisy"} == {""}
    assert {key[1] for key in found if key[0] == "mae"} == {"4", "1"}
    for row in results(ran)["rows"]:
        for metric in ("psnr", "e_mae") if row["run"] != "noisy" else ():
            single = [found[row["run"], seed, metric] for seed in ("4", "1")]
            assert row[metric] == pytest.approx(np.mean(single), rel=1e-9)
            spread = np.std([one.mean() for one in single], ddof=1)
            assert row["spread"][metric] == pytest.approx(spread, rel=1e-6)
            assert spread > 0
            text = {"psnr": f"{np.mean(single):.2f} \N{PLUS-MINUS SIGN} {spread:.2f}"}.get(metric)
            assert text is None or text in (ran / "table.md").read_text()
        assert ("spread" in row) == (row["run"] != "noisy")


def test_differences_of_every_seed_against_numpy(ran):
    found = values(ran)
    text = (ran / "table.md").read_text()
    for one in results(ran)["differences"]:
        gaps = {
            seed: found[one["recipe"], seed, one["metric"]] - found["mae", seed, one["metric"]]
            for seed in ("4", "1")
        }
        means = {seed: gap.mean() for seed, gap in gaps.items()}
        assert one["mean_by_seed"] == pytest.approx(means, rel=1e-9, abs=1e-12)
        assert one["mean"] == pytest.approx(np.mean(list(means.values())), rel=1e-9, abs=1e-12)
        table = np.array(list(gaps.values()))
        margin = {"psnr": 0.05}.get(one["metric"])
        expected = estimate(table, margin=margin)
        for key, value in asdict(expected).items():
            assert value is None or one[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key
    assert "| seeds 4 / 1 |" in text
    assert "| interval, these images |" in text
    assert "Holm's correction over one family, all 4 tests" in text
    assert "margins of equivalence: 0.05 dB PSNR" in text


def test_the_same_recipe_twice_is_identical_for_every_seed(ran):
    found = values(ran)
    for seed in ("4", "1"):
        np.testing.assert_array_equal(found["mae", seed, "psnr"], found["mae_again", seed, "psnr"])
    assert (found["mae", "4", "psnr"] != found["mae", "1", "psnr"]).all()
    mine = [d for d in results(ran)["differences"] if d["recipe"] == "mae_again"]
    assert {(d["verdict"], d["identical"]) for d in mine} == {("equivalent", True)}
    assert [d["mean_by_seed"] for d in mine] == [{"4": 0, "1": 0}] * 2
    hashes = [one["identity"] for one in results(ran)["recipes"]]
    assert hashes[0] == hashes[1] == hashes[2]


def test_report_says_how_seeds_were_used(ran):
    text = (ran / "report.html").read_text()
    for words in (
        "trained 2 times, with seeds 4 and 1, for 2 steps",
        "Verdicts and intervals are for new trainings on new photographs",
        "seeds 4 / 1<small>interval, these images</small>",
        "all 4 tests of this page",
        "sample standard deviation over them",
        "networks trained with seed 4",
        "mean over the seeds at that step",
        "averaged over the seeds",
        "seed 1: ",
    ):
        assert words in text, words


def test_without_seeds_nothing_speaks_of_them(write, tmp_path):
    """And a single seed under `seeds` is that `manual_seed`."""
    plain, listed = tmp_path / "plain", tmp_path / "listed"
    assert run(write(manual_seed=7), plain) == 0
    assert run(write(seeds=[7]), listed) == 0
    assert "seed" not in next(csv.reader((plain / "per_image.csv").open()))
    found = [results(one) for one in (plain, listed)]
    rows, differences = ([one[key] for one in found] for key in ("rows", "differences"))
    assert rows[0] == rows[1]
    assert [d | {"mean_by_seed": d.get("mean_by_seed")} for d in differences[1]] == [
        d | {"mean_by_seed": {"7": d["mean"]}} for d in differences[0]
    ]
    checkpoints = [one["recipes"][0] for one in found]
    (training,) = checkpoints[1]["trainings"]
    assert training == {"seed": 7, "checkpoint_sha256": checkpoints[0]["checkpoint_sha256"]}
    assert checkpoints[0]["identity"] == checkpoints[1]["identity"]
    for folder in (plain, listed):
        text = (folder / "report.html").read_text()
        assert "trained once, with seed 7, for 2 steps" in text
        assert "option file trains every recipe several times" in text
        assert "all seeds" not in text
        tables = (folder / "table.md").read_text().replace("seeds of", "")
        assert "| seeds" not in tables and "\N{PLUS-MINUS SIGN}" not in tables


# ------------------------------------------------------------------ going on


def test_a_seed_that_is_added_is_all_that_is_trained(write, tmp_path, monkeypatch, capsys):
    step, taken, out = Trainer.step, [], tmp_path / "out"

    def counted(self, number, batches):
        taken.append(number)
        return step(self, number, batches)

    monkeypatch.setattr(Trainer, "step", counted)
    assert run(write(), out, "--force_yml", "seeds=[0]") == 0
    assert len(taken) == 2 * STEPS
    first = out / "recipes" / "mae" / "seed_0" / "models" / "net_g_latest.pth"
    before = first.stat().st_mtime_ns
    capsys.readouterr()
    elsewhere = {"name": "elsewhere", "pretrain_network_g": str(first)}
    file = write(seeds=[0, 3], recipes=[MAE, MSE, elsewhere])
    assert run(file, out, "--auto_resume") == 0
    assert len(taken) == 4 * STEPS
    assert first.stat().st_mtime_ns == before
    told = capsys.readouterr().out
    assert "Recipe 1 of 3: mae, seed 0 (training 1 of 4)\ntrained already" in told
    assert "Recipe 2 of 3: mse, seed 3 (training 4 of 4)" in told
    assert "Recipe 3 of 3: elsewhere\nnot trained" in told
    found = values(out)
    assert [key[1] for key in found if key[0] == "elsewhere"] == ["", ""]
    np.testing.assert_array_equal(found["elsewhere", "", "psnr"], found["mae", "0", "psnr"])
    (one,) = (
        d
        for d in results(out)["differences"]
        if (d["recipe"], d["metric"]) == ("elsewhere", "psnr")
    )
    assert one["mean_by_seed"]["0"] == 0
    assert one["mean_by_seed"]["3"] != 0
    assert one["verdict"] == "single training"
    assert run(write(manual_seed=0), out, "--auto_resume") == 2
    assert "with `seeds`: put them back" in capsys.readouterr().err


def test_a_training_without_seeds_is_not_trained_again(write, tmp_path, capsys):
    folder = tmp_path / "out" / "recipes" / "mae"
    folder.mkdir(parents=True)
    plan = load_comparison(write(manual_seed=3))
    (folder / "options.yml").write_text(dump_yaml(plan.recipes[0].options))
    assert run(write(seeds=[3, 4]), tmp_path / "out", "--auto_resume") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"move what is in it to {folder / 'seed_3'}" in told


# ------------------------------------------------------------------ refusals


def test_forcing_seed_and_seeds_is_refused(write, tmp_path, capsys):
    assert run(write(), tmp_path / "out", "--force_yml", "seeds=[0,1]", "manual_seed=2") == 2
    assert "expected `manual_seed` or `seeds`, got both" in capsys.readouterr().err


def test_recipes_that_differ_are_refused_as_without_seeds(write, tmp_path, capsys):
    other = {"name": "b", "train": {"losses": [{"type": "MSE"}], "total_iter": 3}}
    assert run(write(recipes=[MAE, other], seeds=[0, 1]), tmp_path / "out") == 2
    assert re.search(r"b in train.total_iter \(3 against 2\)", capsys.readouterr().err)
