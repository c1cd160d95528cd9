import pytest

from restoration.data import PatchSchedule

RESTORMER = PatchSchedule(
    [92000, 64000, 48000, 36000, 36000, 24000], [8, 5, 4, 2, 1, 1], [128, 160, 192, 256, 320, 384]
)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, (128, 8)), (91999, (128, 8)), (92000, (160, 5)), (203999, (192, 4)), (204000, (256, 2))]
    + [(299999, (384, 1)), (400000, (384, 1))],
)
def test_stages_of_restormer(step, expected):
    assert RESTORMER.at(step) == expected


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 1), (2, 1), (3, 4)])
def test_first_sample_equals_counting(world_size, accumulate):
    schedule = PatchSchedule([3, 2, 4], [5, 3, 1], [8, 12, 16])
    used = 0
    for step in range(15):
        assert schedule.first_sample(step, world_size, accumulate) == used
        used += schedule.at(step)[1] * world_size * accumulate


def test_samples_of_the_whole_recipe():
    assert RESTORMER.first_sample(300000, 8) == 8 * (736 + 320 + 192 + 72 + 36 + 24) * 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "of one length, got 0, 0 and 0"),
        (([1], [1, 2], [3]), "of one length, got 1, 2 and 1"),
        (([1, 0], [1, 2], [3, 4]), "at least 1"),
        (([1], [0], [3]), "at least 1"),
    ],
)
def test_lists_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchSchedule(*arguments)


def test_steps_and_ranks_in_range():
    with pytest.raises(ValueError, match="step >= 0, got -1"):
        RESTORMER.at(-1)
    for wrong in [(-1, 1, 1), (0, 0, 1), (0, 1, 0)]:
        with pytest.raises(ValueError, match="expected step >= 0, world_size"):
            RESTORMER.first_sample(*wrong)
