"""Signs, crops and tables of a report from made-up values."""

from types import SimpleNamespace

import numpy as np
import pytest

from restoration.compare import findings
from restoration.compare.options import Expectation, Statistics
from restoration.compare.report import crops
from restoration.compare.report import means as means_page
from restoration.degradations import gaussian_noise
from restoration.degradations.conditions import Condition
from restoration.evaluate import EvaluationSet, Row, summarize
from restoration.evaluate.rows import to_row
from restoration.metrics import Column

N = 20
SIGMA_25 = Condition("gaussian", 25.0)


def rows_of(**values):
    """Rows of runs at one noise level from (metric -> N values) by run."""
    return [
        {"run": run, "set": "s", "image": f"{k}", "sigma": 25.0}
        | {metric: float(column[k]) for metric, column in metrics.items()}
        for run, metrics in values.items()
        for k in range(len(next(iter(metrics.values()))))
    ]


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(0).uniform(20, 30, N)


def test_signs_count_what_agrees(base):
    rows = rows_of(
        a={"psnr": base, "ssim": base, "e_mae": base},
        b={"psnr": base + 1, "ssim": base, "e_mae": base + 1},
    )
    rows = [to_row(row) for row in rows]
    signs = {"psnr": "higher", "ssim": "higher", "e_mae": "lower", "lpips": "higher"}
    expected = [Expectation(recipe="b", signs=signs)]
    found = findings.find(rows, {"psnr": True}, "a", ["b"], expected, Statistics())
    assert [one.outcome for one in found.signs] == ["agrees", "equal", "disagrees", "not measured"]


class Pictures:
    """A source of grey levels: made-up pictures without files."""

    def __init__(self, pictures):
        self.pictures, self.names = pictures, [f"{k}.png" for k in range(len(pictures))]

    def __len__(self):
        return len(self.pictures)

    def read_float(self, index):
        return self.pictures[index]


def test_window_sums_by_hand():
    values = np.random.default_rng(0).random((50, 41))
    sums, tops, lefts = crops.window_sums(values, 20)
    assert (tops, lefts) == ([0, 16, 30], [0, 16, 21])
    assert sums[1, 2] == pytest.approx(values[16:36, 21:41].sum())


def test_windows_overlap_by_half_and_end_with_the_image():
    places = [(0, 0), (0, 10), (0, 15), (10, 0), (10, 10), (10, 15), (11, 0), (11, 10), (11, 15)]
    assert crops.half_overlapping((31, 35), 20) == places
    assert crops.half_overlapping((20, 20), 20) == [(0, 0)]


def test_dark_smooth_finds_the_dark_smooth_corner():
    noise = np.random.default_rng(0)
    textured = noise.uniform(0, 1, (200, 200, 3)).astype(np.float32)
    textured[:100, :100] = 0.1  # dark and flat
    textured[100:, 100:] = 0.0  # nothing to see
    bright = np.full((200, 200, 3), 0.9, np.float32)
    sets = {"s": EvaluationSet(Pictures([bright, textured]), gaussian_noise(50.0))}
    (first,) = [
        one for one in crops.dark_smooth(sets, Condition("gaussian", 50.0)) if one.image == "1.png"
    ]
    assert first.top <= 20 and first.left <= 20
    assert "darkest 20%" in first.rule
    assert crops.dark_smooth(sets, Condition("gaussian", 15.0)) == []


@pytest.fixture
def ranked(base):
    """Crops of made-up rows: image 3 is won by a, 5 by b; right of column 168 either wins most."""
    gain = np.zeros(N)
    gain[3], gain[5] = 2, -3

    def measure(recipe, name, image, windows, side):
        loses = (recipe, image) in (("b", "3"), ("a", "5"))
        return np.array([left / 100 if loses else 0.0 for _, left in windows])

    def luma(name, image):
        grey = np.zeros((224, 280))
        grey[112:, ::2] = 1
        return grey

    def find(gain=gain, label="E-MAE", with_median=True):
        rows = [to_row(r) for r in rows_of(a={"e_mae": base}, b={"e_mae": base + gain})]
        how = crops.Ranking("e_mae", label, False, SIGMA_25, measure, f"its {label}")
        return crops.by_difference(rows, ("a", "b"), how, luma, with_median)

    return find


def test_crops_by_difference(ranked):
    found = ranked()
    assert [one.title for one in found] == [
        "Largest win of a in E-MAE",
        "Largest win of b in E-MAE",
        "The median image in E-MAE",
    ]
    assert [one.image for one in found[:2]] == ["3", "5"]
    assert all((one.left, one.side) == (168, 112) for one in found[:2]), "where it wins most"
    assert found[2].top == 112, "where there is most to see"
    only = ranked(gain=np.zeros(N))
    assert [one.title for one in only] == ["The median image in E-MAE"]
    assert len(ranked(with_median=False)) == 2


def test_crops_of_one_place_are_one_picture(ranked):
    both = crops.merge_same([*ranked(with_median=False), *ranked(label="LPIPS", with_median=False)])
    assert [one.title for one in both] == [
        "Largest win of a in E-MAE; largest win of a in LPIPS",
        "Largest win of b in E-MAE; largest win of b in LPIPS",
    ]
    assert both[0].rule.count("the image on which a is ahead") == 2


def table_of(values, verdicts=()):
    """Template's table of three recipes, the first the reference, at one noise level."""
    recipes = [SimpleNamespace(name=name, options=SimpleNamespace(train=None)) for name in values]
    means = summarize([Row(n, "s", "x", "gaussian", 25.0, dict(v)) for n, v in values.items()])
    differences = [
        SimpleNamespace(key=(name, "psnr", SIGMA_25), verdict=verdict) for name, verdict in verdicts
    ]
    record = SimpleNamespace(
        plan=SimpleNamespace(recipes=recipes, reference=recipes[0]),
        findings=SimpleNamespace(means=means, differences=differences),
        columns={"psnr": Column("PSNR", True, 2), "lpips": Column("LPIPS", False, 4)},
        absent=[],
    )
    return means_page.table_of_means(record)


def test_only_verdicts_are_marked_in_the_table():
    values = {name: {"psnr": v} for name, v in {"a": 30.001, "b": 30.004, "c": 29.0}.items()}
    table = table_of(values, [("b", "inconclusive"), ("c", "worse")])
    (group,) = table["groups"]
    cells = [line["cells"][0] for line in group["rows"]]
    assert [cell["gap"] for cell in cells] == ["", "+0.003", "\N{MINUS SIGN}1.001"]
    assert [cell["kind"] for cell in cells] == ["", "", "worse"]


def test_a_verdict_that_the_mean_contradicts_is_not_marked():
    values = {name: {"psnr": v} for name, v in {"a": 30.0, "b": 30.5}.items()}
    (group,) = table_of(values, [("b", "worse")])["groups"]
    assert group["rows"][1]["cells"][0]["kind"] == ""


def test_only_measured_columns_are_shown():
    nothing = {"psnr": 30.0, "lpips": float("nan")}
    assert table_of({"a": nothing, "b": nothing})["heads"] == ["PSNR \N{UPWARDS ARROW}"]
