"""Time of E-VGG against plain perceptual losses: forward and backward to the prediction.

    python experiments/benchmarks/loss_speed.py --threads 2 --rounds 15 --out speed.json

VGG-16 with random weights (the time does not depend on them), five taps. All arms run in turn in
one process, so that a busy machine slows them alike. A ratio is the median over rounds of the
ratio within a round, by the clock and by the CPU time of the process; beside it stands the ratio
of the shortest times, which a busy machine disturbs least.
"""

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losses
from losses.criterion import Criterion
from losses.masks import freeze

RATIOS = {  # name: (arm, arm it is divided by, what is wanted)
    "E-VGG / plain": ("e-vgg", "plain", "<= 1.25"),
    "E-VGG with mask gradient / plain": ("e-vgg, mask gradient", "plain", "<= 1.40"),
    "straightforward E-VGG / E-VGG": ("straightforward", "e-vgg", ">= 1.80"),
    "VGG + E-VGG / E-VGG": ("vgg + e-vgg", "e-vgg", "<= 1.10"),
}


class PlainPerceptual(nn.Module):
    """L1 on the taps, each image through the frozen network, as BasicSR's PerceptualLoss does."""

    def __init__(self, backbone: losses.Backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum of the taps' L1 distances."""
        taps = zip(self.backbone(prediction), self.backbone(target.detach()), strict=True)
        return sum(F.l1_loss(x, y) for x, y in taps)


class Straightforward(nn.Module):
    """E-VGG by its formula, nothing frozen: every weight collects a gradient."""

    def __init__(self, backbone: losses.Backbone, masks: losses.MaskBank):
        super().__init__()
        self.backbone = copy.deepcopy(backbone).requires_grad_(True)
        self.masks = copy.deepcopy(masks).requires_grad_(True)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum over taps of mean_hw(mask * |difference|), over the count of channels."""
        of_x, of_y = self.backbone(prediction), self.backbone(target)
        total = 0.0
        for k, (x, y) in enumerate(zip(of_x, of_y, strict=True), start=1):
            mask = self.masks.get_submodule(f"mask_finder_{k}")(torch.cat([y, x], dim=1))
            total = total + (mask * (x - y).abs()).mean((2, 3)).sum(1)
        return (total / sum(self.backbone.channels)).mean()


def build_arms() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Build every arm on one backbone and one mask bank."""
    torch.manual_seed(0)
    backbone = losses.build_backbone("vgg16", weights="random")
    masks = freeze(losses.MaskBank(backbone.channels))
    plain, enhanced = losses.FeatureLoss(backbone), losses.FeatureLoss(backbone, masks)
    both = Criterion({"VGG": plain, "E-VGG": enhanced}, {"VGG": 1.0, "E-VGG": 1.0})
    return {
        "plain": PlainPerceptual(backbone),
        "vgg": plain,
        "e-vgg": enhanced,
        "e-vgg, mask gradient": losses.FeatureLoss(backbone, masks, mask_gradient=True),
        "vgg + e-vgg": lambda x, y: both(x, y)[0],
        "straightforward": Straightforward(backbone, masks),
    }


def check_values(arms: dict[str, Callable], x: Tensor, y: Tensor) -> float:
    """Largest relative difference of the arms that should agree with the formula."""
    with torch.no_grad():
        wanted = float(arms["straightforward"](x, y))
        found = {name: float(arms[name](x, y)) for name in ("e-vgg", "e-vgg, mask gradient")}
        found["sum"] = float(arms["vgg + e-vgg"](x, y) - arms["vgg"](x, y))
    return max(abs(value - wanted) / wanted for value in found.values())


def measure(arm: Callable, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Milliseconds of one forward and backward, by the clock and of CPU."""
    x = x.clone().requires_grad_()
    if isinstance(arm, nn.Module):
        arm.zero_grad(set_to_none=True)
    clock, cpu = time.perf_counter(), time.process_time()
    arm(x, y).backward()
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cpu)


def summary(times: dict[str, list[tuple[float, float]]]) -> dict:
    """Median and minimum of each arm, and the ratios."""
    columns = {"clock": 0, "cpu": 1}
    arms = {
        name: {
            f"{kind}_{what}_ms": round(function(t[column] for t in values), 2)
            for kind, column in columns.items()
            for what, function in (("median", statistics.median), ("min", min))
        }
        for name, values in times.items()
    }
    ratios = {
        name: {
            **{
                kind: round(
                    statistics.median(
                        a[column] / b[column] for a, b in zip(times[arm], times[base], strict=True)
                    ),
                    3,
                )
                for kind, column in columns.items()
            },
            "of_minima": round(min(t[0] for t in times[arm]) / min(t[0] for t in times[base]), 3),
            "wanted": wanted,
        }
        for name, (arm, base, wanted) in RATIOS.items()
    }
    return {"arms": arms, "ratios": ratios}


def machine() -> dict[str, str | int]:
    """Describe what the numbers were taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Run the benchmark and print a table; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    arms = build_arms()
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(given.batch, 3, given.side, given.side, generator=generator)
    x = (y + 0.1 * torch.randn(y.shape, generator=generator)).clamp(0, 1)
    difference = check_values(arms, x, y)
    for arm in arms.values():  # warm up
        measure(arm, x, y)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for _ in range(given.rounds):
        for name, arm in arms.items():
            times[name].append(measure(arm, x, y))
    result = {
        "input": list(y.shape),
        "rounds": given.rounds,
        "largest_relative_difference": difference,
        "machine": machine(),
        **summary(times),
    }
    for name, row in result["arms"].items():
        print(f"{name:24s}", "  ".join(f"{key} {value:9.2f}" for key, value in row.items()))
    for name, row in result["ratios"].items():
        print(f"{name:34s}", "  ".join(f"{key} {value}" for key, value in row.items()))
    print(f"largest relative difference of values {difference:.1e};", result["machine"])
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
