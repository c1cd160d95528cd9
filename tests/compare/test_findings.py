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
from restoration.evaluate.tables import wide_tables
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
    bright = np.zeros((50, 41))
    bright[30:, 20:] = 1
    assert crops.best_window(bright, 20) == (30, 21)


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


def test_crops_by_difference(base):
    gain = np.zeros(N)
    gain[3], gain[5] = 2, -3
    rows = rows_of(a={"e_mae": base}, b={"e_mae": base + gain})
    worse = np.zeros((128, 128))
    worse[:, 60:] = 1

    def errors(recipe, name, image):
        return worse if (recipe, image) in (("b", "3"), ("a", "5")) else worse * 0

    how = ("e_mae", "E-MAE", False, SIGMA_25, errors)
    found = crops.by_difference([to_row(row) for row in rows], ("a", "b"), *how)
    assert [one.title for one in found] == [
        "Largest win of a",
        "Largest win of b",
        "The median image",
    ]
    assert [one.image for one in found[:2]] == ["3", "5"]
    assert all(one.left == 48 for one in found[:2])
    same = rows_of(a={"e_mae": base}, b={"e_mae": base})
    only = crops.by_difference([to_row(row) for row in same], ("a", "b"), *how)
    assert [one.title for one in only] == ["The median image"]


def test_the_report_has_the_bold_of_the_tables():
    """30.001 and 30.004 print alike; by their raw values only the second was bold."""
    recipes = [
        SimpleNamespace(name=name, options=SimpleNamespace(train=None)) for name in ("a", "b", "c")
    ]
    plan = SimpleNamespace(recipes=recipes, reference=recipes[0])
    values = {"a": 30.001, "b": 30.004, "c": 29.0}
    means = summarize([Row(n, "s", "x", "gaussian", 25.0, {"psnr": v}) for n, v in values.items()])
    columns = {"psnr": Column("PSNR", True, 2)}
    record = SimpleNamespace(
        plan=plan,
        findings=SimpleNamespace(means=means, differences=[]),
        columns=columns,
        absent=[],
    )
    (table,) = means_page.tables_of_means(record)
    cells = [line["cells"][0] for line in table["rows"]]
    assert [cell["best"] for cell in cells] == [True, True, False]
    assert [cell["gap"] for cell in cells] == ["", "+0.003", "\N{MINUS SIGN}1.001"]
    (wide,) = wide_tables(means, columns)
    assert [cell["best"] for cell in cells] == [line.cells[0].best for line in wide.lines]
