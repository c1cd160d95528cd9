"""Several trainings of one recipe taken together, against plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from restoration.compare import seeds
from restoration.degradations.conditions import Condition
from restoration.evaluate import Row, summarize
from restoration.evaluate.tables import long_table
from restoration.metrics import Column

DRAWS = np.random.default_rng(3)
VALUES = DRAWS.uniform(20, 30, (2, 3, 2, 4))  # (run, seed, set, image)
RUNS, SEEDS, SETS = ("a", "b"), (5, 0, 9), ("s", "t")
SIGMA_25 = Condition("gaussian", 25.0)


@pytest.fixture(scope="module")
def rows():
    """Rows of two runs with three seeds, and of a checkpoint that has none."""
    found = [
        Row(run, name, f"{k}", "gaussian", 25.0, {"psnr": VALUES[r, s, t, k]}, seed)
        for r, run in enumerate(RUNS)
        for s, seed in enumerate(SEEDS)
        for t, name in enumerate(SETS)
        for k in range(4)
    ]
    return found + [replace(row, run="checkpoint", seed=None) for row in found[:8]]


def test_average_against_numpy(rows):
    found = {(row.run, row.set, row.image): row for row in seeds.average(rows)}
    assert len(found) == 3 * 8
    for r, run in enumerate(RUNS):
        for t, name in enumerate(SETS):
            mine = [found[run, name, f"{k}"].values["psnr"] for k in range(4)]
            np.testing.assert_allclose(mine, VALUES[r, :, t].mean(0), rtol=1e-12)
    assert {row.seed for row in found.values()} == {None}
    plain = [row for row in rows if row.seed is None]
    assert seeds.average(plain) == plain


def test_average_keeps_infinite_values():
    place = ("a", "s", "0", "gaussian", 25.0)
    pair = [Row(*place, {"psnr": np.inf}, 0), Row(*place, {"psnr": 30.0}, 1)]
    assert seeds.average(pair) == [Row(*place, {"psnr": np.inf})]


def test_spread_against_numpy(rows):
    found = seeds.add_spread(summarize(seeds.average(rows)), rows)
    by_place = {(mean.run, mean.set): mean for mean in found}
    for r, run in enumerate(RUNS):
        means = VALUES[r].mean(2)  # (seed, set)
        for t, name in enumerate(SETS):
            mean = by_place[run, name]
            assert mean.values["psnr"] == pytest.approx(means[:, t].mean(), rel=1e-12)
            assert mean.sd == pytest.approx({"psnr": means[:, t].std(ddof=1)}, rel=1e-9)
        spread = by_place[run, "average"].sd["psnr"]
        assert spread == pytest.approx(means.mean(1).std(ddof=1), rel=1e-9)
    assert by_place["checkpoint", "s"].sd == {}
    lines = long_table(found, {"psnr": Column("PSNR", True, 2)}).lines
    (line,) = [line for line in lines if line.head[:3] == ("average", "25", "a")]
    assert (
        str(line.cells[0])
        == f"{VALUES[0].mean():.2f} \N{PLUS-MINUS SIGN} {VALUES[0].mean((1, 2)).std(ddof=1):.2f}"
    )


def test_one_seed_has_no_spread(rows):
    one = [row for row in rows if row.seed == 5]
    means = summarize(seeds.average(one))
    assert seeds.add_spread(means, one) == means


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
