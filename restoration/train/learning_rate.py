"""Learning rates as pure functions of the step.

`CosineAnnealingRestartCyclicLR` is the schedule of Restormer (arXiv:2111.09881): cosine cycles,
each with its own lowest rate. `CosineAnnealingRestartLR` follows SGDR (arXiv:1608.03983);
`TrueCosineAnnealingLR` is one cycle of it, as NAFNet trains.
"""

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from losses.naming import is_import_path, nearest
from restoration.common.names import Registry
from restoration.options.training import SCHEDULE_KEYS

Schedule = Callable[[int], float]


def cosine_cycles(
    base: float, periods: Sequence[int], weights: Sequence[float], lows: Sequence[float]
) -> Schedule:
    """Cosine from base to low in every cycle, the amplitude scaled by the cycle's weight.

    Args:
        base: rate at the start of a cycle of weight 1.
        periods: steps of each cycle.
        weights: factor on each cycle's amplitude.
        lows: lowest rate of each cycle.

    Returns:
        A function of the step (from 0); past the last cycle it stays at that cycle's low.
    """
    ends = list(itertools.accumulate(periods))

    def rate(step: int) -> float:
        cycle = min(bisect.bisect_left(ends, step), len(ends) - 1)
        start = ends[cycle] - periods[cycle]
        phase = min((step - start) / periods[cycle], 1.0)
        swing = 0.5 * weights[cycle] * (base - lows[cycle])
        return lows[cycle] + swing * (1 + math.cos(math.pi * phase))

    return rate


def multi_step(base: float, milestones: Sequence[int], gamma: float) -> Schedule:
    """Rate that is multiplied by gamma at every milestone."""
    ordered = sorted(milestones)
    return lambda step: base * gamma ** bisect.bisect_right(ordered, step)


def with_warmup(rate: Schedule, base: float, steps: int) -> Schedule:
    """Rise linearly from 0 to base in the first `steps` steps; none where steps <= 0."""
    return lambda step: base * (step + 1) / steps if step < steps else rate(step)


SCHEDULES: Registry[Callable[..., Schedule]] = Registry("a schedule", {})


def register_scheduler(name: str) -> Callable[[Callable[..., Schedule]], Callable[..., Schedule]]:
    """Give a schedule a short name for `train.scheduler.type`; a decorator.

    What is registered is called with the base rate and the further keys of the option file, and
    returns the rate as a function of the step, from 0.
    """
    return SCHEDULES.register(name)


def build_own_schedule(type: str, base: float, warmup: int = -1, **arguments: Any) -> Schedule:
    """Build a schedule that a user registered, or that an import path names.

    Raises:
        ValueError: there is none, or it does not take the arguments.
    """
    if not is_import_path(type) and type not in SCHEDULES:
        known = [*SCHEDULE_KEYS, *SCHEDULES]
        hint = nearest(type, known)
        raise ValueError(
            f"train.scheduler: expected a schedule of {', '.join(known)}, got {type!r}{hint}"
        )
    try:
        return with_warmup(SCHEDULES.find(type)(base, **arguments), base, warmup)
    except TypeError as error:
        raise ValueError(f"train.scheduler: {type}: {error}") from error


def build_schedule(
    type: str,
    base: float,
    *,
    periods: Sequence[int] | None = None,
    restart_weights: Sequence[float] | None = None,
    eta_mins: Sequence[float] | None = None,
    eta_min: float = 0.0,
    T_max: int | None = None,  # noqa: N803  # the dialect's name
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
    warmup: int = -1,
) -> Schedule:
    """Build the schedule that an option file names; see options.Scheduler for the arguments."""
    if type == "ConstantLR":
        rate = multi_step(base, (), gamma)
    elif type == "MultiStepLR":
        rate = multi_step(base, milestones, gamma)
    elif type == "TrueCosineAnnealingLR" and T_max:
        rate = cosine_cycles(base, [T_max], [1.0], [eta_min])
    elif type in ("CosineAnnealingRestartCyclicLR", "CosineAnnealingRestartLR") and periods:
        weights = restart_weights or [1.0] * len(periods)
        lowest: Sequence[float] = [eta_min] * len(periods)
        if type.endswith("CyclicLR") and eta_mins is not None:
            lowest = eta_mins
        rate = cosine_cycles(base, periods, weights, lowest)
    else:
        raise ValueError(f"unknown schedule {type!r}, or one without periods")
    return with_warmup(rate, base, warmup)


def check_end(rate: Schedule, total: int) -> None:
    """Refuse a schedule that has ended before the training has.

    Args:
        rate: of every step.
        total: steps of the training.

    Raises:
        ValueError: the last steps, more than one, would train at rate 0.
    """
    if total < 2 or rate(total - 1) != 0 or rate(total - 2) != 0:
        return
    first = total - 2
    while first > 0 and rate(first - 1) == 0:
        first -= 1
    raise ValueError(
        f"train.total_iter: expected at most {first} steps of this schedule, whose rate is 0 from "
        f"then on, got {total}: give `eta_min`, or longer periods"
    )
