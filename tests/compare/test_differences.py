"""Differences and verdicts from made-up values per image."""

from dataclasses import replace

import numpy as np
import pytest

from restoration.compare import Statistics, find_differences
from restoration.compare.differences import plain_differences
from restoration.compare.inference import estimate
from restoration.compare.photographs import check_group, photograph_of
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import to_row

N = 20
SIGMA_25 = Condition("gaussian", 25.0)
UP = {"psnr": True}


def rows_of(metric="psnr", seed=None, images=None, **values):
    """Rows of runs at one noise level from N values by run."""
    return [
        {"run": run, "set": "s", "image": images[k] if images else f"{k}", "sigma": 25.0}
        | {metric: float(value)}
        | ({} if seed is None else {"seed": seed})
        for run, column in values.items()
        for k, value in enumerate(column)
    ]


def seeded(shifts, base, noise=0.01, **keys):
    """Rows of a reference and of a recipe that is ahead by one shift per seed."""
    draws = np.random.default_rng(1)
    rows = []
    for seed, shift in enumerate(shifts):
        others = base + draws.normal(0, noise, len(base))
        rows += rows_of(seed=seed, ref=others, other=others + shift, **keys)
        rows[-len(base) :] = [
            row | {"psnr": row["psnr"] + draws.normal(0, noise)} for row in rows[-len(base) :]
        ]
    return rows


def one_difference(rows, higher=True, metric="psnr", **options):
    (one,) = find_differences(rows, {metric: higher}, "ref", ["other"], Statistics(**options))
    return one


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(0).uniform(20, 30, N)


# ------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("shifts", "verdict"),
    [
        ((0.5, 0.4, 0.6), "better"),
        ((-0.9, -0.8, -1.0), "worse"),
        ((0.01, -0.01, 0.0), "equivalent"),
        ((0.9, 0.9, -0.5), "inconclusive"),
        ((0.2, -0.2), "too few"),
        ((0.5,), "single training"),
    ],
)
def test_verdicts(base, shifts, verdict):
    one = one_difference(seeded(shifts, base))
    assert one.verdict == verdict
    assert one.estimate.num_trainings == len(shifts)
    assert one.estimate.num_photographs == one.num_images == N


def test_the_estimate_is_that_of_the_crossed_differences(base):
    rows = seeded((0.9, 0.2, 0.4), base)
    values = {(r["run"], r["seed"], r["image"]): r["psnr"] for r in rows}
    d = np.array(
        [
            [values["other", s, f"{k}"] - values["ref", s, f"{k}"] for k in range(N)]
            for s in range(3)
        ]
    )
    one = one_difference(rows)
    assert one.estimate == estimate(d, margin=0.05)
    assert one.by_seed == pytest.approx(dict(enumerate(d.mean(1))))


def test_seeds_that_disagree_are_inconclusive(base):
    """The values averaged over the seeds differ on every image, with one sign."""
    rows = seeded((0.9, 0.9, -0.5), base)
    one = one_difference(rows)
    assert one.win_rate == 1
    assert one.estimate.p > 0.05
    assert one.verdict == "inconclusive"


def test_one_seed_is_judged_as_none(base):
    """Two checkpoints: a paired t test over photographs, no corrected test, no winner."""
    (first, second) = seeded((0.5,), base), seeded((0.5,), base)
    for row in second:
        del row["seed"]
    one, other = one_difference(first), one_difference(second)
    assert (one.estimate, one.p_holm, one.verdict) == (other.estimate, None, "single training")
    assert other.by_seed == {}
    assert one.estimate.p < 1e-6
    assert 0.4 < one.estimate.low < one.estimate.high < 0.6
    assert "mean_by_seed" not in plain_differences([other])[0]


def test_a_network_that_is_much_worse_on_each_of_six_images_is_not_called_equal(base):
    """Three tests of six images each; a signed rank test gives p = 0.03, after Holm 0.09."""
    for num_seeds in (1, 2, 3):
        rows = [
            row | {name: row["psnr"] for name in ("psnr", "a", "b")}
            for row in seeded([-3.9] * num_seeds, base[:6], noise=0.05)
        ]
        found = find_differences(rows, {"psnr": True, "a": True, "b": True}, "ref", ["other"])
        expected = "single training" if num_seeds == 1 else "worse"
        assert [one.verdict for one in found] == [expected] * 3


def test_lower_is_better_turns_the_verdict_and_the_wins(base):
    rows = seeded((-1.0, -1.1, -0.9), base)
    up, down = one_difference(rows), one_difference(rows, higher=False)
    assert (up.verdict, down.verdict) == ("worse", "better")
    assert (up.wins, down.wins) == (0, N)
    assert up.estimate == down.estimate


def test_identical_runs(base):
    rows = [row for seed in (0, 1) for row in rows_of(seed=seed, ref=base, other=base)]
    one = one_difference(rows)
    assert (one.verdict, one.estimate.identical, one.ties, one.win_rate) == (
        *("equivalent", True),
        *(N, 0.5),
    )
    alone = one_difference(rows_of(ref=base, other=base))
    assert (alone.verdict, alone.estimate.identical) == ("single training", True)


def test_seeds_whose_differences_cancel_are_not_identical():
    rows = []
    for seed, values in enumerate(([1.0] * N, [2.0] * N)):
        rows += rows_of(seed=seed, ref=values, other=[3 - v for v in values])
    one = one_difference(rows)
    assert (one.ties, one.estimate.identical, one.verdict) == (N, False, "too few")


def test_a_checkpoint_against_seeds_is_a_single_training(base):
    """Its differences to every training are listed; what it would give again is not known."""
    rows = [r for r in seeded((0.0, 0.3), base) if r["run"] == "ref"]
    rows += rows_of(other=base + 1)
    one = one_difference(rows)
    assert (one.verdict, one.estimate.num_trainings) == ("single training", 1)
    means = {
        seed: np.mean([b + 1 - r["psnr"] for b, r in zip(base, rows[seed * N :], strict=False)])
        for seed in (0, 1)
    }
    assert one.by_seed == pytest.approx(means)
    assert one.estimate.mean == pytest.approx(np.mean(list(means.values())))


# ------------------------------------------------------------------ margins, families, groups


def test_margins_are_by_metric(base):
    rows = seeded((0.01, -0.01, 0.0), base)
    assert one_difference(rows).margin == 0.05
    assert one_difference(rows, margins={"psnr": 0.001}).verdict == "inconclusive"
    assert one_difference(rows, margins={"psnr": None}).margin is None
    assert one_difference(rows, margins={"e_mae": 0.001}).verdict == "equivalent"
    other = [{"dists" if k == "psnr" else k: v for k, v in row.items()} for row in rows]
    assert one_difference(other, metric="dists").verdict == "inconclusive"
    with pytest.raises(ValueError, match="greater than 0"):
        Statistics(margins={"psnr": 0.0})


def several_metrics(base):
    rows = seeded((0.06, 0.08, 0.1), base)
    return [row | {name: row["psnr"] for name in ("a", "b", "c")} for row in rows]


def test_holm_is_over_everything_by_default(base):
    names = {"psnr": True, "a": True, "b": True, "c": True}
    found = find_differences(several_metrics(base), names, "ref", ["other"])
    (alone,) = find_differences(several_metrics(base), UP, "ref", ["other"])
    assert alone.p_holm == alone.estimate.p
    assert [one.p_holm for one in found] == pytest.approx([4 * alone.estimate.p] * 4)
    assert alone.fewest == 3


def test_primary_metrics_are_a_family_of_their_own(base):
    names = {"psnr": True, "a": True, "b": True, "c": True}
    how = Statistics(primary=["psnr"])
    found = find_differences(several_metrics(base), names, "ref", ["other"], how)
    p = found[0].estimate.p
    assert [one.p_holm for one in found] == pytest.approx([p, 3 * p, 3 * p, 3 * p])
    with pytest.raises(ValueError, match="measured .psnr., got 'pnsr'; did you mean 'psnr'"):
        find_differences(several_metrics(base), UP, "ref", ["other"], Statistics(primary=["pnsr"]))


def test_equivalence_is_corrected_too(base):
    rows = [row | {"a": row["psnr"]} for row in seeded((0.01, -0.01, 0.0), base)]
    names = {"psnr": True, "a": True}
    found = find_differences(rows, names, "ref", ["other"], Statistics(margins={"a": 0.05}))
    p = found[0].estimate.p_equivalent
    assert [one.p_equivalent_holm for one in found] == pytest.approx([2 * p, 2 * p])


def test_single_trainings_do_not_count_in_the_family(base):
    rows = seeded((0.5, 0.4, 0.6), base) + rows_of(third=base)
    found = find_differences(rows, UP, "ref", ["other", "third"])
    assert found[0].p_holm == found[0].estimate.p
    assert (found[1].p_holm, found[1].verdict) == (None, "single training")


def test_crops_of_a_photograph_count_once(base):
    images = [f"{'abc'[k % 3]}_y0_x{128 * (k // 3)}" for k in range(9)]
    rows = seeded((0.5, 0.4, 0.6), base[:9], images=images)
    one, each = one_difference(rows), one_difference(rows, group="image")
    assert (one.num_images, one.estimate.num_photographs) == (9, 3)
    assert (each.num_images, each.estimate.num_photographs) == (9, 9)
    assert one.estimate.mean == pytest.approx(each.estimate.mean)
    assert one_difference(rows, group="^[ab]").estimate.num_photographs == 2 + 3


def test_photographs_of_two_sets_are_not_one(base):
    rows = seeded((0.5, 0.4, 0.6), base)
    rows += [row | {"set": "t"} for row in rows]
    assert one_difference(rows).estimate.num_photographs == 2 * N


def test_photographs_weigh_the_same_however_many_crops_they_have():
    images = ["a_y0_x0", "a_y0_x9", "a_y9_x0", "b"]
    rows = rows_of(images=images, ref=[0] * 4, other=[1, 1, 1, 2])
    assert one_difference(rows).estimate.mean == 1.5


@pytest.mark.parametrize(
    ("image", "group", "photograph"),
    [
        ("chelsea_y0_x128", "source", "chelsea"),
        ("dir/img_12_s003.png", "source", "dir/img_12"),
        ("kodim01.png", "source", "kodim01.png"),
        ("kodim01.png", "image", "kodim01.png"),
        ("clip3/f001.png", r"^(clip\d+)/", "clip3"),
        ("clip3/f001.png", r"^clip\d+", "clip3"),
        ("other.png", r"^(clip\d+)/", "other.png"),
    ],
)
def test_photograph_of(image, group, photograph):
    assert photograph_of(image, group) == photograph


def test_check_group():
    assert check_group("source") == "source"
    with pytest.raises(ValueError, match="regular expression, got '\\('"):
        Statistics(group="(")


def test_keys_of_the_bootstrap_warn_and_do_nothing():
    with pytest.warns(DeprecationWarning, match="statistics.resamples. has no effect"):
        assert Statistics(resamples=500) == Statistics()


# ------------------------------------------------------------------ rows


def test_images_are_paired_by_name_not_by_place(base):
    rows = rows_of(ref=base, other=base + 1)
    one = one_difference(rows[:N] + rows[N:][::-1])
    assert (one.estimate.low, one.estimate.high) == pytest.approx((1, 1))


def test_infinite_values_are_dropped_and_counted(base):
    rows = seeded((0.5, 0.4, 0.6), base)
    rows[0] = rows[0] | {"psnr": np.inf}  # one image of one training
    one = one_difference(rows)
    assert (one.num_images, one.dropped) == (N - 1, 1)
    equal = [row | {"psnr": np.inf} if row["image"] == "0" else row for row in rows]
    assert one_difference(equal).dropped == 0


def test_the_public_door_takes_rows_and_mappings(base):
    flat = seeded((0.5, 0.4, 0.6), base)
    (one,) = find_differences(flat, UP, "ref", ["other"])
    (other,) = find_differences(
        rows=[to_row(row) for row in flat],
        higher_is_better=UP,
        reference="ref",
        runs=["other"],
        statistics=Statistics(),
    )
    assert one == other
    assert (one.condition, one.verdict) == (SIGMA_25, "better")


def test_plain_differences_are_flat(base):
    (plain,) = plain_differences([one_difference(seeded((0.5, 0.4, 0.6), base))])
    assert (plain["sigma"], plain["n"], plain["num_trainings"]) == (25.0, N, 3)
    assert (plain["verdict"], list(plain["mean_by_seed"])) == ("better", [0, 1, 2])
    assert plain["low"] < plain["low_fixed"] < plain["mean"] < plain["high"]


def test_every_condition_has_its_difference(base):
    rows = [to_row(row) for row in rows_of(ref=base, other=base + 1)]
    rows += [
        replace(row, degradation="jpeg quality", level=level) for row in rows for level in (9, 5)
    ]
    found = find_differences(rows, UP, "ref", ["other"])
    assert [(one.condition.degradation, one.condition.level) for one in found] == [
        ("gaussian", 25.0),
        ("jpeg quality", 5),
        ("jpeg quality", 9),
    ]
    plain = plain_differences(found)
    assert [(one["degradation"], one["level"]) for one in plain][:2] == [
        ("gaussian", 25.0),
        ("jpeg quality", 5),
    ]
    assert "sigma" not in plain[0]


def test_infinite_differences_are_left_out(base):
    rows = [row | {"mae": row["psnr"]} for row in rows_of(ref=base, other=base)]
    rows = [row | {"psnr": np.inf} if row["run"] == "other" else row for row in rows]
    found = find_differences(rows, {"psnr": True, "mae": False}, "ref", ["other"])
    assert [one.metric for one in found] == ["mae"]


def test_missing_cells_are_refused(base):
    rows = rows_of(ref=base, other=base + 1)
    message = "same images of other and ref at sigma 25, got none of other for 19 of s"
    with pytest.raises(ValueError, match=message):
        one_difference(rows[:-1])
    rows = seeded((0.5, 0.4, 0.6), base)
    with pytest.raises(ValueError, match="got none of ref, seed 1, for 3 of s"):
        one_difference(rows[: 2 * N + 3] + rows[2 * N + 4 :])
    with pytest.raises(ValueError, match="same seeds of other and ref, got 0, 1, 2 and 0, 1"):
        one_difference([r for r in rows if (r["run"], r["seed"]) != ("ref", 2)])
    with pytest.raises(ValueError, match="every row of other to have a seed, or none"):
        one_difference(rows + rows_of(other=base))


def test_unknown_runs_and_metrics_are_refused(base):
    rows = rows_of(ref=base, other=base + 1)
    with pytest.raises(ValueError, match="a run of ref, other, got 'othr'"):
        find_differences(rows, UP, "ref", ["othr"])
    with pytest.raises(ValueError, match="expected ssim of other"):
        find_differences(rows, {"ssim": True}, "ref", ["other"])
    elsewhere = [row | {"run": "third", "sigma": 50.0} for row in rows[:N]]
    with pytest.raises(ValueError, match="rows of third, got none at sigma 25"):
        find_differences(rows + elsewhere, UP, "ref", ["third"])
