"""`restoration compare`: options of its `statistics` section, from the file to the report."""

import json

import pytest
import yaml
from tiny import tiny_comparison

from restoration.cli import main

RECIPES = [{"name": name, "train": {"losses": [{"type": name}]}} for name in ("MAE", "MSE")]


@pytest.fixture
def compare(pictures, tmp_path):
    """Run a small comparison with a section `statistics`; return its exit code."""
    images = pictures(4, side=24, seed=1, name="statistics")

    def run(**statistics):
        options = tiny_comparison(images, recipes=RECIPES, seeds=[0, 1, 2])
        file = tmp_path / "compare.yml"
        file.write_text(yaml.safe_dump(options | {"statistics": statistics}))
        return main(["compare", "-opt", str(file), "--out", str(tmp_path / "out")])

    return run


def test_families_and_margins_reach_the_results(compare, tmp_path):
    assert compare(primary=["psnr"], margins={"e_mae": 0.5}) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    statistics = results["statistics"]
    assert (statistics["family_of_tests"], statistics["other_tests"]) == (1, 1)
    assert statistics["margins"] == {"psnr": 0.05, "ssim": 0.001, "lpips": 0.002, "e_mae": 0.5}
    psnr, e_mae = results["differences"]
    assert psnr["p_holm"] == psnr["p"] and e_mae["p_holm"] == e_mae["p"]
    assert (psnr["margin"], e_mae["margin"]) == (0.05, 0.5)
    assert e_mae["verdict"] == "equivalent"
    assert (psnr["n"], psnr["num_photographs"]) == (4, 4)
    text = (tmp_path / "out" / "report.html").read_text()
    assert "two families, all 1 tests of the primary metrics (PSNR) and all 1 of the others" in text


def test_images_of_one_photograph_count_once(compare, tmp_path):
    assert compare(group=r"\.png$") == 0
    for difference in json.loads((tmp_path / "out" / "results.json").read_text())["differences"]:
        assert (difference["n"], difference["num_photographs"]) == (4, 1)
        assert (difference["verdict"], difference["p"]) == ("too few", None)
        assert difference["low_fixed"] < difference["mean"] < difference["high_fixed"]
    text = (tmp_path / "out" / "report.html").read_text()
    assert "4 test images from 1 photograph, each of which counts once." in text
    assert "Every photograph counts the same here" in text


def test_a_primary_metric_that_is_not_measured_is_refused_before_training(
    compare, tmp_path, capsys
):
    assert compare(primary=["lpips"]) == 2
    told = capsys.readouterr().err
    assert "`statistics.primary`: expected metrics that are measured (psnr, e_mae)" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"margins": {"psnr": -1}}, "greater than 0"),
        ({"group": "("}, "a regular expression"),
        ({"resample": 9}, "unknown option"),
    ],
)
def test_wrong_options_are_refused(compare, capsys, statistics, message):
    assert compare(**statistics) == 2
    assert message in capsys.readouterr().err
