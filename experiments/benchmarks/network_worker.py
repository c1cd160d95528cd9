"""One network of `network.py` in a process of its own, with an allocator and a cache of its own.

    python experiments/benchmarks/network_worker.py ARM --side 128 --batch 1 --dim 48 --threads 2

Every line of its input, `forward`, `step` or `peak`, is done once and answered by a line of JSON:
[milliseconds by the clock, of CPU time], and for `peak` megabytes that a forward needs.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import harness
import network_arms
import torch

WARM_SIDE = 64  # of the image that goes first, for what is made once only


class Worker:
    """The other end: a process that times one network.

    Args:
        name: of the contender.
        settings: option -> value of the process, such as {"side": 128}; None leaves one out.
        default_allocator: whether freed memory goes back as the C library pleases.
        environment: variables of the process; None for this one's own.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, object],
        default_allocator: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        given = [f"--{key}={value}" for key, value in settings.items() if value is not None]
        flags = ["--default-allocator"] if default_allocator else []
        self.process = subprocess.Popen(
            [sys.executable, __file__, name, *given, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, what: str) -> float | list[float]:
        """Let it do one thing and return its answer."""
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process of {self.process.args[2]!r} ended while asked {what!r}")
        return json.loads(answer)

    def timed(self, what: str) -> harness.Timing:
        """Time of a `forward` or a `step`."""
        return harness.Timing(*self.ask(what))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def serve(given: argparse.Namespace) -> None:
    """Answer the lines of the input until it ends."""
    made = network_arms.build_arm(given.arm, given.upstream, {"dim": given.dim})
    network, lowered = made[0].to(given.device), made[1]
    x = network_arms.image(given.batch, given.side, given.device)
    calls = {name: getattr(network_arms, name) for name in ("forward", "step")}
    for line in sys.stdin:
        what = line.strip()
        if what == "peak":
            network_arms.forward(network, x[..., :WARM_SIDE, :WARM_SIDE], lowered)
            work = partial(network_arms.forward, network, x, lowered)
            answer = harness.peak_memory(work, given.device)
        else:
            answer = harness.timed(partial(calls[what], network, x, lowered), given.device)
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arm", choices=[network_arms.UPSTREAM, *network_arms.ARMS])
    parser.add_argument("--default-allocator", action="store_true")
    parser.add_argument("--upstream", type=Path)
    parser.add_argument("--device", default="cpu")
    for name in ("side", "batch", "dim", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if not given.default_allocator:
        harness.keep_freed()  # as the command line does
    serve(given)


if __name__ == "__main__":
    main()
