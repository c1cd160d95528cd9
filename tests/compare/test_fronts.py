"""Fronts: a known shift is found, a curve against itself is not, and equal losses seldom win."""

import json
from collections import Counter
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from restoration.compare import Statistics, find_differences, find_fronts
from restoration.compare.front_difference import NO_OVERLAP
from restoration.compare.fronts import curves_of, plain_fronts
from restoration.compare.grid import Setting
from restoration.compare.plan import ResolvedRecipe
from restoration.evaluate import Row

SHARES = (0.1, 0.3, 0.6)
TRIALS, SEEDS = 300, (0, 1, 2)
PHOTO_LPIPS, PHOTO_PSNR = 0.05, 2.0  # how far photographs differ, for all runs alike


def truth(share):
    """LPIPS and PSNR of a loss whose perceptual term has a share of the gradient."""
    return 0.30 - 0.15 * share, 30 - 2.4 * share**1.5


def trained(draws, gap=0.0, training_sd=0.05, num_seeds=3, num_images=12, shares=(SHARES, SHARES)):
    """Rows of two losses, "a" and "b", each trained at its shares; b gains a gap in PSNR."""
    photos, rows = draws.normal(size=num_images), []
    for name, own, gain in zip("ab", shares, (0.0, gap), strict=True):
        for share in own:
            x, y = truth(share)
            for seed in range(num_seeds):
                off_x, off_y = draws.normal(0, training_sd / 30), draws.normal(0, training_sd)
                lpips = x + off_x + PHOTO_LPIPS * photos + draws.normal(0, 0.003, num_images)
                psnr = y + off_y + gain + PHOTO_PSNR * photos + draws.normal(0, 0.1, num_images)
                rows += [
                    Row(f"{name} {share}", "s", f"{i}", "gaussian", 25.0, values, seed)
                    for i in range(num_images)
                    for values in [{"lpips": lpips[i], "psnr": psnr[i]}]
                ]
    return rows


def curves(shares=(SHARES, SHARES)):
    return {
        name: {f"{name} {share}": f"share={share}" for share in own}
        for name, own in zip("ab", shares, strict=True)
    }


def panels(rows, shares=(SHARES, SHARES), **statistics):
    how = Statistics(**statistics)
    first = f"a {shares[0][0]}"
    return find_fronts(rows, curves(shares), {"psnr": True}, {"lpips": False}, first, how)


def difference(rows, shares=(SHARES, SHARES), **statistics):
    (panel,) = panels(rows, shares, **statistics)
    (one,) = panel.differences
    assert (one.curve, one.reference) == ("b", "a")
    return one


def _shifted(rows, gaps):
    """Rows whose PSNR is shifted, by run."""
    return [
        replace(r, values=r.values | {"psnr": r.values["psnr"] + gaps.get(r.run, 0)}) for r in rows
    ]


# ------------------------------------------------------------------ what is found


def test_a_known_shift_is_found_exactly_without_chance():
    rows = [
        Row(f"{name} {share}", "s", f"{i}", "gaussian", 25.0, {"lpips": x + i, "psnr": y + i}, seed)
        for name in "ab"
        for share in SHARES
        for x, y in [truth(share)]
        for seed in range(3)
        for i in range(5)
    ]
    for gap, verdict in ((0.4, "better"), (-0.4, "worse"), (0.01, "equivalent")):
        one = difference(_shifted(rows, {f"b {share}": gap for share in SHARES}))
        assert one.by_seed == pytest.approx({0: gap, 1: gap, 2: gap})
        assert one.estimate.mean == pytest.approx(gap)
        assert one.ends == pytest.approx((gap, gap))
        assert one.mean_linear == pytest.approx(gap)
        assert one.overlap == pytest.approx((truth(0.6)[0] + 2, truth(0.1)[0] + 2))
        assert one.verdict == verdict


def test_the_same_front_twice_is_equivalent():
    rows = [row for row in trained(np.random.default_rng(1)) if row.run[0] == "a"]
    one = difference(rows + [replace(row, run=row.run.replace("a", "b")) for row in rows])
    assert one.estimate.identical
    assert (one.estimate.mean, one.ends, one.verdict) == (0, (0, 0), "equivalent")


@pytest.mark.parametrize(
    ("training_sd", "num_seeds", "shares"),
    [
        (0.02, 3, (SHARES, SHARES)),
        (0.2, 3, (SHARES, SHARES)),
        (0.05, 5, (SHARES, SHARES)),
        (0.05, 3, (SHARES, (0.15, 0.4, 0.7))),  # the same front through other points
    ],
)
def test_equal_losses_seldom_win_and_intervals_cover_the_truth(training_sd, num_seeds, shares):
    draws = np.random.default_rng(7)
    every = [
        difference(trained(draws, 0.0, training_sd, num_seeds, 12, shares), shares)
        for _ in range(TRIALS)
    ]
    compared = [one for one in every if one.verdict != NO_OVERLAP]
    assert len(compared) > 0.9 * TRIALS
    false = sum(one.verdict in ("better", "worse") for one in compared) / len(compared)
    covered = sum(one.estimate.low <= 0 <= one.estimate.high for one in compared) / len(compared)
    assert false <= 0.05 + 2 * sqrt(0.05 * 0.95 / TRIALS)
    assert covered >= 0.93


def test_a_shift_beyond_chance_is_found():
    draws = np.random.default_rng(3)
    every = [difference(trained(draws, 0.5, 0.05)) for _ in range(100)]
    assert sum(one.verdict == "better" for one in every) >= 80
    assert sum(one.estimate.low <= 0.5 <= one.estimate.high for one in every) >= 93


# ------------------------------------------------------------------ what is not claimed


def test_fronts_apart_do_not_overlap():
    shares = ((0.1, 0.2), (0.6, 0.8))
    one = difference(trained(np.random.default_rng(0), 0.5, 0.01, shares=shares), shares)
    assert (one.verdict, one.estimate, one.overlap) == (NO_OVERLAP, None, None)


def test_one_training_wins_nothing():
    one = difference(trained(np.random.default_rng(0), 0.5, num_seeds=1))
    assert one.verdict == "single training"
    assert one.estimate.low_fixed is None


def test_fronts_that_cross_do_not_lie_above():
    """Better by far at one end and worse at the other: neither is above, whatever the mean."""
    rows = trained(np.random.default_rng(0), 0.0, 0.0)
    one = difference(_shifted(rows, {"b 0.1": 2.0, "b 0.3": 1.0, "b 0.6": -0.4}))
    assert one.crosses
    assert one.estimate.low > 0
    assert one.verdict == "inconclusive"


def test_a_point_that_another_excels_in_both_is_left_out():
    rows = trained(np.random.default_rng(0), 0.3, 0.01)
    for row in rows:
        if row.run == "b 0.6":  # far too much weight: both fall
            row.values.update(psnr=row.values["psnr"] - 5, lpips=row.values["lpips"] + 0.07)
    (panel,) = panels(rows)
    assert [point.excelled for point in panel.curves["b"]] == [False, False, True]
    assert [point.excelled for point in panel.curves["a"]] == [False] * 3
    (one,) = panel.differences
    assert one.estimate.mean == pytest.approx(0.3, abs=0.1)


def test_tests_are_corrected_together_and_primary_ones_apart():
    rows = trained(np.random.default_rng(0), 0.3, 0.05)
    rows += [replace(r, level=50.0, values=dict(r.values)) for r in rows]
    for row in rows:
        row.values["dists"] = row.values["lpips"]

    def found(**statistics):
        every = find_fronts(
            rows,
            curves(),
            {"psnr": True},
            {"lpips": False, "dists": False},
            "a 0.1",
            Statistics(**statistics),
        )
        return {(p.distance, p.condition.level): p.differences[0] for p in every}

    every = found()
    assert {one.p_holm for one in every.values()} == {min(1, 4 * every["lpips", 25].estimate.p)}
    first = found(primary=["psnr", "lpips"])
    assert first["lpips", 25].p_holm == pytest.approx(2 * first["lpips", 25].estimate.p)
    assert first["dists", 50].p_holm == pytest.approx(2 * first["dists", 50].estimate.p)


def test_photographs_without_a_finite_value_are_left_out():
    rows = trained(np.random.default_rng(0), 0.3, 0.05)
    rows[3].values["psnr"] = float("inf")
    one = difference(rows)
    assert one.estimate.num_photographs == 11
    assert np.isfinite(one.estimate.mean)


def test_crops_of_one_photograph_count_once():
    rows = trained(np.random.default_rng(0), 0.3, 0.05)
    named = [replace(r, image=f"p{int(r.image) // 3}_s{int(r.image):03d}.png") for r in rows]
    assert difference(named).estimate.num_photographs == 4
    assert difference(named, group="image").estimate.num_photographs == 12


def test_runs_with_other_seeds_are_refused():
    rows = [r for r in trained(np.random.default_rng(0)) if (r.run, r.seed) != ("b 0.3", 1)]
    with pytest.raises(ValueError, match="expected the same seeds and images of .*, got others of"):
        difference(rows)


# ------------------------------------------------------------------ points and curves


def test_points_have_intervals_over_seeds():
    """Of what is a run's own: what a seed does to all alike is taken off first."""
    rows = trained(np.random.default_rng(0))
    runs = [f"{name} {share}" for name in "ab" for share in SHARES]
    for row in rows:
        row.values["psnr"] += 10 * row.seed
    means = np.array(
        [
            [
                np.mean([r.values["psnr"] for r in rows if (r.run, r.seed) == (run, s)])
                for s in range(3)
            ]
            for run in runs
        ]
    )
    own = means - means.mean(0) + means.mean()
    (panel,) = panels(rows)
    point, k = panel.curves["b"][1], runs.index("b 0.3")
    half = 4.302653 * np.std(own[k], ddof=1) * sqrt(6 / 5) / sqrt(3)  # t of 2 degrees of freedom
    assert point.y == pytest.approx(means[k].mean())
    assert point.y_interval == pytest.approx((point.y - half, point.y + half), abs=1e-5)
    assert point.label == "share=0.3"


def test_a_mapping_is_a_row_as_for_differences():
    rows = trained(np.random.default_rng(0), 0.3)
    flat = [
        {"run": r.run, "set": r.set, "image": r.image, "sigma": r.level, "seed": r.seed} | r.values
        for r in rows
    ]
    assert difference(flat) == difference(rows)
    assert find_differences(flat, {"psnr": True}, "a 0.1", ["b 0.1"])


def test_curves_run_along_weights_and_other_keys_make_curves():
    def recipe(family, *settings):
        made = tuple(Setting(key, value, weight) for key, value, weight in settings)
        name = " ".join([family, *(setting.text for setting in made)])
        return ResolvedRecipe(name, None, True, family=family, settings=made)

    every = [
        recipe("vgg", ("train.optim_g.lr", rate, False), ("VGG", {"share": share}, True))
        for rate in (1e-3, 1e-4)
        for share in (0.1, 0.3)
    ]
    assert curves_of([recipe("mae"), *every]) == {
        "mae": {"mae": ""},
        "vgg lr=0.001": {
            "vgg lr=0.001 share=0.1": "share=0.1",
            "vgg lr=0.001 share=0.3": "share=0.3",
        },
        "vgg lr=0.0001": {
            "vgg lr=0.0001 share=0.1": "share=0.1",
            "vgg lr=0.0001 share=0.3": "share=0.3",
        },
    }


def test_result_files_hold_numbers():
    text = json.dumps(plain_fronts(panels(trained(np.random.default_rng(0), 0.3))))
    (front,) = json.loads(text)
    assert (front["quality"], front["distance"], front["sigma"]) == ("psnr", "lpips", 25)
    assert Counter(map(len, front["curves"].values())) == {3: 2}
