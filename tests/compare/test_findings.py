"""Verdicts, signs and crops from made-up values."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from restoration.compare import find_differences, findings
from restoration.compare.options import Expectation, Statistics
from restoration.compare.report import crops, page
from restoration.degradations import gaussian_noise
from restoration.degradations.conditions import Condition
from restoration.evaluate import EvaluationSet, Row, summarize
from restoration.evaluate.rows import to_row
from restoration.evaluate.tables import wide_tables
from restoration.metrics import Column

HOW = Statistics(resamples=500)
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


def find(base, **shifts):
    noise = np.random.default_rng(1).normal(0, 0.01, N)
    rows = rows_of(ref={"psnr": base}, **{n: {"psnr": base + s + noise} for n, s in shifts.items()})
    return find_differences(rows, {"psnr": True}, "ref", list(shifts), HOW)


def test_verdicts(base):
    found = find(base, up=0.5, down=-0.5, same=0.0)
    assert [one.verdict for one in found] == ["better", "worse", "not told apart"]
    assert [one.paired.wins for one in found][:2] == [N, 0]


def seeded(base, *shifts):
    """Differences of a recipe that is ahead by one shift per seed, at most 0.01 off per image."""
    noise = np.random.default_rng(1).normal(0, 0.01, N)
    rows = []
    for seed, shift in enumerate(shifts):
        found = rows_of(ref={"psnr": base}, other={"psnr": base + shift + noise})
        rows += [row | {"seed": seed} for row in found]
    return find_differences(rows, {"psnr": True}, "ref", ["other"], HOW)


def test_seeds_that_disagree_are_not_told_apart(base):
    """The values averaged over the seeds pass test and interval in all three cases."""
    for shifts, verdict in (
        ((0.5, 0.4, 0.6), "better"),
        ((0.9, 0.9, -0.1), "seeds disagree"),
        ((-0.9, -0.9, -0.1), "worse"),
        ((-0.9, -0.9, 0.1), "seeds disagree"),
    ):
        (one,) = seeded(base, *shifts)
        assert one.paired.p < 1e-4
        assert one.p_holm < HOW.alpha
        assert one.paired.low * one.paired.high > 0
        assert one.verdict == verdict
        noise = np.random.default_rng(1).normal(0, 0.01, N).mean()
        assert one.by_seed == pytest.approx({k: s + noise for k, s in enumerate(shifts)})
        assert one.paired.mean == pytest.approx(np.mean(shifts) + noise)
        assert list(findings.plain_differences([one])[0]["mean_by_seed"]) == [0, 1, 2]


def test_one_seed_is_judged_as_none(base):
    (one,), (other,) = seeded(base, 0.5), find(base, up=0.5)
    assert (one.paired, one.p_holm, one.verdict) == (other.paired, other.p_holm, other.verdict)
    assert "mean_by_seed" not in findings.plain_differences([other])[0]


def test_seeds_whose_differences_cancel_are_not_identical(base):
    rows = []
    for seed, values in enumerate(([1.0] * N, [2.0] * N)):
        pair = {"ref": {"psnr": values}, "other": {"psnr": [3 - v for v in values]}}
        rows += [row | {"seed": seed} for row in rows_of(**pair)]
    (one,) = find_differences(rows, {"psnr": True}, "ref", ["other"], HOW)
    assert one.paired.identical
    assert one.verdict == "not told apart"


def test_lower_is_better_turns_the_verdict(base):
    rows = rows_of(ref={"e_mae": base}, other={"e_mae": base - 1})
    (one,) = find_differences(rows, {"e_mae": False}, "ref", ["other"], HOW)
    assert one.verdict == "better"
    assert one.paired.mean == pytest.approx(-1)


def test_identical_and_too_few(base):
    rows = rows_of(ref={"psnr": base}, other={"psnr": base})
    (one,) = find_differences(rows, {"psnr": True}, "ref", ["other"], HOW)
    assert (one.verdict, one.p_holm) == ("identical", 1.0)
    rows = rows_of(ref={"psnr": base[:4]}, other={"psnr": base[:4] + [1, 2, 1, 2]})
    (one,) = find_differences(rows, {"psnr": True}, "ref", ["other"], HOW)
    assert (one.verdict, one.paired.p) == ("too few images", None)
    assert one.paired.low > 0


def test_holm_corrects_over_everything(base):
    one = find(base, a=0.004)
    many = find(base, a=0.004, b=0.5, c=0.5)
    assert many[0].paired.p == one[0].paired.p
    assert many[1].p_holm == pytest.approx(3 * many[1].paired.p)


def test_images_are_paired_by_name_not_by_place(base):
    rows = rows_of(ref={"psnr": base}, other={"psnr": base + 1})
    shuffled = rows[:N] + rows[N:][::-1]
    (one,) = find_differences(shuffled, {"psnr": True}, "ref", ["other"], HOW)
    assert one.paired.median == pytest.approx(1)


def test_signs_count_what_agrees(base):
    rows = rows_of(
        a={"psnr": base, "ssim": base, "e_mae": base},
        b={"psnr": base + 1, "ssim": base, "e_mae": base + 1},
    )
    rows = [to_row(row) for row in rows]
    signs = {"psnr": "higher", "ssim": "higher", "e_mae": "lower", "lpips": "higher"}
    expected = [Expectation(recipe="b", signs=signs)]
    found = findings.find(rows, {"psnr": True}, "a", ["b"], expected, HOW)
    assert [one.outcome for one in found.signs] == ["agrees", "equal", "disagrees", "not measured"]
    assert found.family == 1


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


def test_the_public_door_takes_rows_and_mappings(base):
    flat = rows_of(ref={"psnr": base}, other={"psnr": base + 1})
    (one,) = find_differences(flat, {"psnr": True}, "ref", ["other"], HOW)
    (other,) = find_differences(
        rows=[to_row(row) for row in flat],
        higher_is_better={"psnr": True},
        reference="ref",
        runs=["other"],
        statistics=HOW,
    )
    assert one == other
    assert (one.condition, one.verdict) == (SIGMA_25, "better")
    (default,) = find_differences(flat, {"psnr": True}, "ref", ["other"])
    assert default.paired.mean == one.paired.mean
    assert findings.plain_differences([one])[0]["sigma"] == 25.0


def test_every_condition_has_its_difference(base):
    rows = [to_row(row) for row in rows_of(ref={"psnr": base}, other={"psnr": base + 1})]
    rows += [
        replace(row, degradation="jpeg quality", level=level) for row in rows for level in (9, 5)
    ]
    found = find_differences(rows, {"psnr": True}, "ref", ["other"], HOW)
    assert [(one.condition.degradation, one.condition.level) for one in found] == [
        ("gaussian", 25.0),
        ("jpeg quality", 5),
        ("jpeg quality", 9),
    ]
    plain = findings.plain_differences(found)
    assert [(one["degradation"], one["level"]) for one in plain][:2] == [
        ("gaussian", 25.0),
        ("jpeg quality", 5),
    ]
    assert "sigma" not in plain[0]


def test_runs_on_other_images_are_refused(base):
    rows = rows_of(ref={"psnr": base}, other={"psnr": base + 1})
    with pytest.raises(ValueError, match="same images of other and ref at sigma 25, got 19 and 20"):
        find_differences(rows[:-1], {"psnr": True}, "ref", ["other"], HOW)


def test_infinite_differences_are_left_out(base):
    rows = rows_of(ref={"psnr": base, "mae": base}, other={"psnr": [np.inf] * N, "mae": base})
    found = find_differences(rows, {"psnr": True, "mae": False}, "ref", ["other"], HOW)
    assert [one.metric for one in found] == ["mae"]


def test_the_report_has_the_bold_of_the_tables():
    """30.001 and 30.004 print alike; by their raw values only the second was bold."""
    recipes = [
        SimpleNamespace(name=name, options=SimpleNamespace(train=None)) for name in ("a", "b", "c")
    ]
    plan = SimpleNamespace(recipes=recipes, reference=recipes[0])
    values = {"a": 30.001, "b": 30.004, "c": 29.0}
    means = summarize([Row(n, "s", "x", "gaussian", 25.0, {"psnr": v}) for n, v in values.items()])
    columns = {"psnr": Column("PSNR", True, 2)}
    record = SimpleNamespace(plan=plan, findings=SimpleNamespace(means=means), columns=columns)
    (table,) = page._tables(record)
    cells = [line["cells"][0] for line in table["rows"]]
    assert [cell["best"] for cell in cells] == [True, True, False]
    assert [cell["gap"] for cell in cells] == ["", "+0.003", "\N{MINUS SIGN}1.001"]
    (wide,) = wide_tables(means, columns)
    assert [cell["best"] for cell in cells] == [line.cells[0].best for line in wide.lines]
