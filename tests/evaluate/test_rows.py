"""Rows and tables whatever the metrics are called, and whatever spoiled the images."""

import csv
import json
import math

import pytest
import torch
import yaml
from tiny import TINY

from restoration.archs import build
from restoration.cli import main
from restoration.common.folders import write_json
from restoration.degradations.conditions import Condition
from restoration.evaluate import Mean, Row, summarize
from restoration.evaluate.layouts import latex, markdown_tables, terminal
from restoration.evaluate.report import write_per_image
from restoration.evaluate.rows import (
    condition_slug,
    condition_text,
    in_order,
    metric_columns,
    plain_means,
    to_row,
)
from restoration.evaluate.tables import long_table, wide_tables
from restoration.metrics import Column, build_metrics

PSNR = {"psnr": Column("PSNR", True, 2, "dB")}
JPEG, PAIRED = ("jpeg quality", 30.0), ("paired", None)


def row(run, psnr, condition=("gaussian", 25.0), image="x"):
    return Row(run, "s", image, *condition, {"psnr": psnr})


def mixed():
    return [
        row("a", 30.0),
        row("b", 31.0),
        row("a", 28.0, JPEG),
        row("b", 27.0, JPEG),
        row("a", 26.0, PAIRED),
    ]


# ------------------------------------------------------------------ names of metrics


@pytest.fixture
def tested(pictures, tmp_path):
    """`restoration test` of a network that changes nothing; returns (exit code, folder)."""
    folder = pictures(2, side=24, seed=5)
    network = build(**TINY)
    torch.nn.init.zeros_(network.output.weight)  # the rest is the input itself
    torch.save({"params": network.state_dict()}, tmp_path / "net.pth")

    def run(sigmas, **val):
        options = {
            "name": "own",
            "num_gpu": 0,
            "datasets": {"mine": {"dataroot_gt": str(folder), "sigma_test": sigmas}},
            "network_g": TINY,
            "path": {
                "pretrain_network_g": str(tmp_path / "net.pth"),
                "results_root": str(tmp_path / "results"),
            },
            "val": val,
        }
        file = tmp_path / "own.yml"
        file.write_text(yaml.safe_dump(options))
        return main(["test", "-opt", str(file)]), tmp_path / "results/own"

    return run


def test_no_name_of_a_metric_replaces_a_column(tested):
    names = ["sigma", "n", "set", "spread"]
    metrics = ["mae", *({"type": "mae", "name": name} for name in names)]
    code, folder = tested([15, 25], metrics=[*metrics, {"type": "psnr", "name": "e_mae"}])
    assert code == 0
    images = list(csv.DictReader((folder / "per_image.csv").open()))
    assert {image["sigma"] for image in images} == {"15.0", "25.0"}
    assert {image["set"] for image in images} == {"mine"}
    assert all(image[f"metric_{name}"] == image["mae"] for image in images for name in names)
    means = json.loads((folder / "results.json").read_text())["rows"]
    assert {mean["sigma"] for mean in means} == {15.0, 25.0}
    assert {mean["n"] for mean in means} == {2}
    assert all(mean[f"metric_{name}"] == mean["mae"] for mean in means for name in names)
    heads = (folder / "table.md").read_text().splitlines()[0]
    assert heads.endswith("| PSNR (e_mae) ↑ |"), "a PSNR, whatever it is called"
    assert "E-MAE x100" not in heads


def test_columns_of_metrics_are_never_shared():
    assert metric_columns(["psnr", "n", "metric_n"]) == {
        "psnr": "psnr",
        "n": "metric_metric_n",
        "metric_n": "metric_n",
    }


def test_what_a_table_says_follows_the_metric():
    metrics = build_metrics(["psnr", {"type": "psnr", "name": "near", "crop_border": 4}, "mae"])
    assert metrics["psnr"].column == Column("PSNR", True, 2, "dB")
    assert metrics["near"].column == Column("PSNR (near)", True, 2, "dB")
    assert metrics["mae"].column == Column("MAE", False)
    assert metrics["near"].column.text(30.126) == "30.13"
    assert metrics["psnr"].column.signed(-0.01234) == "\N{MINUS SIGN}0.012"
    assert metrics["psnr"].column.signed(-0.0001) == "0.000"
    assert metrics["psnr"].column.signed(None) == "-"


# ------------------------------------------------------------------ infinities


def test_a_lossless_result_has_all_its_files(tested):
    """Tiles are compared with the whole image by PSNR, which is infinite for both."""
    tiles = {"tile": 16, "tile_overlap": 8, "tile_report": True}
    code, folder = tested([0, 25], metrics=["psnr", "mae"], **tiles)
    assert code == 0
    results = json.loads((folder / "results.json").read_text())
    assert [mean["psnr"] for mean in results["rows"] if mean["sigma"] == 0] == [None] * 4
    assert results["tiles"][0]["psnr_change"] == 0
    table = (folder / "table.md").read_text()
    assert "| mine | 0 | own | 2 | inf | 0.0000 |" in table
    assert (folder / "table.tex").is_file() and (folder / "picture.png").is_file()


def test_write_json_has_null_for_what_json_lacks(tmp_path):
    content = {"a": [math.inf, 1.5, (-math.inf,)], "b": {"c": math.nan, "d": None, "e": "inf"}}
    write_json(tmp_path / "x.json", content)
    found = json.loads((tmp_path / "x.json").read_text())
    assert found == {"a": [None, 1.5, [None]], "b": {"c": None, "d": None, "e": "inf"}}


# ------------------------------------------------------------------ bold


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([30.001, 30.004, 29.0], [True, True, False]),  # the first two print alike
        ([30.0, 30.0, 30.0], [False, False, False]),  # nothing is better
        ([30.001, 30.004], [False, False]),
        ([29.996, 30.004, 29.994], [True, True, False]),
        ([math.inf, 30.0], [True, False]),
        ([math.nan, 30.0, 31.0], [False, False, True]),
        ([30.0], [False]),
    ],
)
def test_bold_is_what_prints_best(values, expected):
    means = summarize([row(f"r{k}", value) for k, value in enumerate(values)])
    (table,) = wide_tables(means, PSNR)
    assert [line.cells[0].best for line in table.lines] == expected
    text, tex = markdown_tables([table], []), latex([table], [])
    for value, best in zip(values, expected, strict=True):
        assert (f"**{value:.2f}**" in text) == best
        assert (f"\\textbf{{{value:.2f}}}" in tex) == best


def test_lower_is_better_turns_bold():
    means = summarize([row("a", 1.0), row("b", 2.0)])
    (table,) = wide_tables(means, {"psnr": Column("MAE", False)})
    assert [line.cells[0].best for line in table.lines] == [True, False]


# ------------------------------------------------------------------ conditions


def test_conditions_for_people_and_for_files():
    found = [Condition("gaussian", 25.0), Condition(*JPEG), Condition(*PAIRED)]
    assert [condition_text(one) for one in found] == ["sigma 25", "jpeg quality 30", "paired"]
    assert condition_text(found[0], "σ{:g}") == "σ25"
    assert [condition_slug(one) for one in found] == ["sigma25", "jpeg_quality_30", "paired"]


def test_conditions_in_order():
    found = [("jpeg quality", 70.0), ("gaussian", 50.0), ("gaussian", 15.0), JPEG]
    assert [(one.degradation, one.level) for one in in_order(Condition(*c) for c in found)] == [
        JPEG,
        ("jpeg quality", 70.0),
        ("gaussian", 15.0),
        ("gaussian", 50.0),
    ]


def test_tables_of_several_degradations():
    means = summarize(mixed())
    (table,) = wide_tables(means, PSNR)
    text, tex = markdown_tables([table], []), latex([table], [])
    assert "| run | σ25 PSNR ↑ | jpeg quality 30 PSNR ↑ | paired PSNR ↑ |" in text
    assert "| b | **31.00** | 27.00 | - |" in text
    assert "{$\\sigma=25$} & \\multicolumn{1}{c}{jpeg quality 30}" in tex
    assert "b & \\textbf{31.00} & 27.00 & --" in tex
    long = long_table(means, PSNR)
    assert long.heads == ("set", "condition", "run", "n")
    assert [line.head[1:3] for line in long.lines] == [
        ("sigma 25", "a"),
        ("sigma 25", "b"),
        ("jpeg quality 30", "a"),
        ("jpeg quality 30", "b"),
        ("paired", "a"),
    ]
    assert terminal(long).row_count == 5


def test_files_of_several_degradations(tmp_path):
    write_per_image(tmp_path / "per_image.csv", mixed())
    found = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert list(found[0]) == ["run", "set", "image", "degradation", "level", "psnr"]
    assert [(one["degradation"], one["level"]) for one in found[1:3]] == [
        ("gaussian", "25.0"),
        ("jpeg quality", "30.0"),
    ]
    assert found[4]["level"] == ""
    write_per_image(tmp_path / "gaussian.csv", mixed()[:2])
    heads = (tmp_path / "gaussian.csv").read_text().splitlines()[0]
    assert heads == "run,set,image,sigma,psnr"
    means = plain_means(summarize(mixed()))
    assert means[2] == {
        **{"run": "a", "set": "s", "degradation": "jpeg quality", "level": 30.0},
        **{"n": 1, "psnr": 28.0},
    }


def test_spread_of_several_trainings_is_printed_and_filed():
    mean = Mean("a", "s", "gaussian", 25.0, 2, {"psnr": 30.0}, {"psnr": 0.5})
    (table,) = wide_tables([mean], PSNR)
    assert "| a | 30.00 ± 0.50 |" in markdown_tables([table], [])
    assert "30.00 $\\pm$ 0.50" in latex([table], [])
    assert plain_means([mean])[0]["spread"] == {"psnr": 0.5}


def test_flat_mappings_are_rows():
    flat = {"run": "a", "set": "s", "image": "x", "sigma": 25.0, "psnr": 30.0, "seed": 3}
    assert to_row(flat) == Row("a", "s", "x", "gaussian", 25.0, {"psnr": 30.0}, 3)
    other = {"run": "a", "set": "s", "image": "x", "degradation": "paired", "level": None}
    assert to_row(other | {"psnr": 1.0}) == Row("a", "s", "x", *PAIRED, {"psnr": 1.0})
    assert to_row(row("a", 1.0)) == row("a", 1.0)
    with pytest.raises(ValueError, match="expected a Row or a mapping with run, set, image"):
        to_row({"run": "a", "set": "s", "sigma": 25.0, "psnr": 30.0})
