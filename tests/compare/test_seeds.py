"""Several trainings of one recipe taken together, against plain NumPy."""

import numpy as np
import pytest

from restoration.compare import seeds
from restoration.evaluate.tables import summarize, table_rows

DRAWS = np.random.default_rng(3)
VALUES = DRAWS.uniform(20, 30, (2, 3, 2, 4))  # (run, seed, set, image)
RUNS, SEEDS, SETS = ("a", "b"), (5, 0, 9), ("s", "t")


@pytest.fixture(scope="module")
def rows():
    """Rows of two runs with three seeds, and of a checkpoint that has none."""
    found = [
        {"run": run, "set": name, "image": f"{k}", "sigma": 25.0, "seed": seed}
        | {"psnr": VALUES[r, s, t, k]}
        for r, run in enumerate(RUNS)
        for s, seed in enumerate(SEEDS)
        for t, name in enumerate(SETS)
        for k in range(4)
    ]
    lone = [{k: v for k, v in row.items() if k != "seed"} for row in found[:8]]
    return found + [row | {"run": "checkpoint"} for row in lone]


def test_average_against_numpy(rows):
    found = {(r["run"], r["set"], r["image"]): r for r in seeds.average(rows)}
    assert len(found) == 3 * 8
    for r, run in enumerate(RUNS):
        for t, name in enumerate(SETS):
            mine = [found[run, name, f"{k}"]["psnr"] for k in range(4)]
            np.testing.assert_allclose(mine, VALUES[r, :, t].mean(0), rtol=1e-12)
    assert not any("seed" in row for row in found.values())
    plain = [row for row in rows if "seed" not in row]
    assert seeds.average(plain) == plain


def test_average_keeps_infinite_values():
    row = {"run": "a", "set": "s", "image": "0", "sigma": 25.0}
    pair = [row | {"seed": 0, "psnr": np.inf}, row | {"seed": 1, "psnr": 30.0}]
    assert seeds.average(pair) == [row | {"psnr": np.inf}]


def test_mean_differences_against_numpy(rows):
    found = seeds.mean_differences(rows, "psnr", 25.0, ("b", "a"))
    expected = (VALUES[1] - VALUES[0]).mean((1, 2))
    assert list(found) == list(SEEDS)
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


def test_a_checkpoint_is_compared_with_every_seed(rows):
    found = seeds.mean_differences(rows, "psnr", 25.0, ("checkpoint", "b"))
    expected = (VALUES[0, 0] - VALUES[1]).mean((1, 2))
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)
    lone = [row for row in rows if row["run"] == "checkpoint"]
    twice = lone + [row | {"run": "other"} for row in lone]
    assert seeds.mean_differences(twice, "psnr", 25.0, ("checkpoint", "other")) == {}


def test_a_seed_without_finite_differences_has_none(rows):
    perfect = [r | {"psnr": np.inf} if (r["run"], r.get("seed")) == ("b", 0) else r for r in rows]
    found = seeds.mean_differences(perfect, "psnr", 25.0, ("b", "a"))
    assert found[0] is None
    assert None not in (found[5], found[9])


def test_spread_against_numpy(rows):
    names = ["psnr", "lpips"]  # the second was not measured
    found = seeds.add_spread(summarize(seeds.average(rows), names), rows, names)
    by_place = {(r["run"], r["set"]): r for r in found}
    for r, run in enumerate(RUNS):
        means = VALUES[r].mean(2)  # (seed, set)
        for t, name in enumerate(SETS):
            row = by_place[run, name]
            assert row["psnr"] == pytest.approx(means[:, t].mean(), rel=1e-12)
            assert row["spread"] == pytest.approx({"psnr": means[:, t].std(ddof=1)}, rel=1e-9)
        spread = by_place[run, "average"]["spread"]["psnr"]
        assert spread == pytest.approx(means.mean(1).std(ddof=1), rel=1e-9)
    assert "spread" not in by_place["checkpoint", "s"]
    (line,) = [t for t in table_rows(found, ["psnr"]) if t[:3] == ["average", "25", "a"]]
    assert (
        line[-1]
        == f"{VALUES[0].mean():.2f} \N{PLUS-MINUS SIGN} {VALUES[0].mean((1, 2)).std(ddof=1):.2f}"
    )


def test_one_seed_has_no_spread(rows):
    one = [row for row in rows if row.get("seed") == 5]
    summary = summarize(seeds.average(one), ["psnr"])
    assert seeds.add_spread(summary, one, ["psnr"]) == summary


def test_mark_leaves_the_noisy_input_alone():
    marked = seeds.mark([{"run": "noisy"}, {"run": "a"}], "a", 4)
    assert marked == [{"run": "noisy"}, {"run": "a", "seed": 4}]
    assert seeds.mark([{"run": "a"}], "a", None) == [{"run": "a"}]


def test_merged_identities_see_every_seed():
    one = {"steps": 3, "weights": "x"}
    assert seeds.merge_identities([one]) == one
    merged = seeds.merge_identities([one, one | {"weights": "y"}])
    assert merged["steps"] == 3
    assert len(merged["weights"]) == 64
    assert merged != seeds.merge_identities([one, one | {"weights": "z"}])
    assert merged != seeds.merge_identities([one | {"weights": "y"}, one])


def test_mean_curves_by_hand():
    first = [{"step": 1, "MAE": 1.0}, {"step": 2, "MAE": 3.0}, {"step": 3, "MAE": 3.0}]
    second = [{"step": 1, "MAE": 2.0, "x": 1.0}, {"step": 3, "MAE": 1.0}]
    assert seeds.mean_curves([first, second]) == [
        {"step": 1, "MAE": 1.5},
        {"step": 3, "MAE": 2.0},
    ]
    assert seeds.mean_curves([first]) == first
    assert seeds.mean_curves([[], first]) == []
