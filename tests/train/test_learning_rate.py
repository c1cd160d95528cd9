import numpy as np
import pytest
import torch

from restoration.options.training import SCHEDULE_KEYS
from restoration.train.learning_rate import build_schedule, multi_step, with_warmup

RELEASED = {"periods": [92000, 208000], "restart_weights": [1, 1], "eta_mins": [3e-4, 1e-6]}


def cyclic_reference(base, periods, weights, lows, steps):
    """Slow truth: walk through the cycles one by one."""
    rates = []
    for step in range(steps):
        begin = 0
        for number, period in enumerate(periods):
            last = number == len(periods) - 1
            if step <= begin + period or last:
                phase = min(step - begin, period) / period
                cosine = np.cos(np.pi * phase)
                rates.append(
                    lows[number] + weights[number] / 2 * (base - lows[number]) * (1 + cosine)
                )
                break
            begin += period
    return np.array(rates)


@pytest.mark.parametrize(
    ("periods", "weights", "lows"),
    [
        ([10], [1.0], [0.0]),
        ([4, 8, 3], [1.0, 0.5, 0.25], [1e-3, 1e-4, 0.0]),
        ([7, 13], [1.0, 1.0], [0.1, 1e-6]),
    ],
)
def test_cyclic_cosine(periods, weights, lows):
    rate = build_schedule(
        "CosineAnnealingRestartCyclicLR",
        0.1,
        periods=periods,
        restart_weights=weights,
        eta_mins=lows,
    )
    steps = sum(periods) + 5
    np.testing.assert_allclose(
        [rate(step) for step in range(steps)],
        cyclic_reference(0.1, periods, weights, lows, steps),
        rtol=1e-12,
        atol=1e-18,
    )


def test_released_recipe():
    rate = build_schedule("CosineAnnealingRestartCyclicLR", 3e-4, **RELEASED)
    assert {rate(step) for step in (0, 1, 46_000, 91_999, 92_000)} == {3e-4}
    assert rate(92_001) < 3e-4
    middle = (3e-4 + 1e-6) / 2
    assert rate(92_000 + 104_000) == pytest.approx(middle, rel=1e-12)
    quarter = 1e-6 + (3e-4 - 1e-6) * (2 + np.sqrt(2)) / 4  # cos(pi/4) = sqrt(2)/2
    assert rate(92_000 + 52_000) == pytest.approx(quarter, rel=1e-12)
    assert rate(300_000) == pytest.approx(1e-6, rel=1e-12)
    assert rate(400_000) == rate(300_000)
    falling = [rate(step) for step in range(92_000, 300_001, 1000)]
    assert falling == sorted(falling, reverse=True)


def test_one_cycle_is_torchs_cosine():
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=1e-3)
    rate = build_schedule("CosineAnnealingRestartLR", 0.3, periods=[40], eta_min=1e-3)
    for step in range(41):
        assert rate(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_restart_weights_default_to_one():
    given = build_schedule("CosineAnnealingRestartLR", 1.0, periods=[3, 3], restart_weights=[1, 1])
    default = build_schedule("CosineAnnealingRestartLR", 1.0, periods=[3, 3])
    assert [given(s) for s in range(8)] == [default(s) for s in range(8)]


def test_multi_step_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=0.2)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7], gamma=0.5)
    rate = build_schedule("MultiStepLR", 0.2, milestones=[7, 3], gamma=0.5)
    for step in range(10):
        assert rate(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_constant():
    rate = build_schedule("ConstantLR", 2e-4)
    assert {rate(step) for step in (0, 10, 10**6)} == {2e-4}


def test_warmup_rises_to_base_and_then_follows():
    rate = with_warmup(multi_step(1.0, [6], 0.1), 1.0, 4)
    assert [rate(step) for step in range(8)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.1, 0.1]
    assert with_warmup(multi_step(1.0, [], 0.1), 1.0, -1)(0) == 1.0


def test_rate_is_a_function_of_the_step_alone():
    rate = build_schedule("CosineAnnealingRestartCyclicLR", 3e-4, **RELEASED)
    forwards = [rate(step) for step in range(0, 300_000, 10_000)]
    backwards = [rate(step) for step in reversed(range(0, 300_000, 10_000))]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("kind", ["Linear", "CosineAnnealingRestartLR"])
def test_unknown_or_incomplete(kind):
    with pytest.raises(ValueError, match=kind):
        build_schedule(kind, 1.0)


def test_every_type_of_the_options_is_built():
    for kind in SCHEDULE_KEYS:
        assert build_schedule(kind, 1.0, periods=[4], T_max=4)(0) == 1.0
