"""Threads that wait for each other without keeping the processor from those that they wait for.

torch computes with OpenMP's threads, and GNU's runtime lets a thread that has done its part spin
for 300,000 rounds before it sleeps. Where other programs want the same cores, it spins while the
thread that it waits for is not even running: with `nice`, beside two busy processes on two cores,
restormer_xs trains 0.16 steps per second instead of 1.1. 10,000 rounds, about a quarter of a
millisecond, are enough for threads that do run: on idle cores the speed is the same, which it would
not be if threads slept at once (OMP_WAIT_POLICY=passive: 15.7 steps per second instead of 25.4).
"""

import os
import sys

SPIN_ROUNDS = "10000"
CHOSEN_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def spin_briefly() -> bool:
    """Limit how long OpenMP's threads spin, for this process and those that it starts.

    Returns:
        Whether it is done; not so once torch is imported, which reads the limit, nor where the user
        has set one of the variables that say how threads wait.
    """
    if "torch" in sys.modules or any(name in os.environ for name in CHOSEN_BY_USER):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPIN_ROUNDS
    return True
