"""Time and memory of E-VGG against plain perceptual losses: forward, backward to the prediction.

    python experiments/benchmarks/loss_speed.py --threads 2 --rounds 15 --out speed.json

VGG-16 with random weights (the time does not depend on them), five taps. The memory is what
autograd keeps between forward and backward, storages counted once and weights not at all.
"""

import argparse
import copy
from collections.abc import Callable
from functools import partial

import harness
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losses
from losses.criterion import Criterion
from losses.frozen import freeze

RATIOS = {  # name: (contender, contender it is divided by, what is the target)
    "E-VGG / plain": ("e-vgg", "plain", "<= 1.25"),
    "E-VGG with mask gradient / plain": ("e-vgg, mask gradient", "plain", "<= 1.40"),
    "straightforward E-VGG / E-VGG": ("straightforward", "e-vgg", ">= 1.80"),
    "VGG + E-VGG / E-VGG": ("vgg + e-vgg", "e-vgg", "<= 1.10"),
    "E-VGG bf16 / plain": ("e-vgg, bf16", "plain", ""),
    "E-VGG bf16, compiled / plain": ("e-vgg, bf16, compiled", "plain", "<= 0.80"),
}
LOWERED = {"e-vgg, bf16": False, "e-vgg, bf16, compiled": True}  # name: whether compiled


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
        self.backbone, self.masks = copy.deepcopy(backbone), copy.deepcopy(masks)
        for weight in self.buffers():  # frozen weights are buffers
            weight.requires_grad_(True)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum over taps of mean_hw(mask * |difference|), over the count of channels."""
        of_x, of_y = self.backbone(prediction), self.backbone(target)
        total = 0.0
        for k, (x, y) in enumerate(zip(of_x, of_y, strict=True), start=1):
            mask = self.masks.get_submodule(f"mask_finder_{k}")(torch.cat([y, x], dim=1))
            total = total + (mask * (x - y).abs()).mean((2, 3)).sum(1)
        return (total / sum(self.backbone.channels)).mean()


def in_bf16(backbone: losses.Backbone, compile: bool) -> losses.Backbone:
    """Copy a backbone, with its weights, into bf16."""
    body, settings = copy.deepcopy(backbone.body), (backbone.min_side, backbone.taps)
    return losses.Backbone(
        body, backbone.channels, backbone.normalize, *settings, precision="bf16", compile=compile
    )


def build_arms(device: str) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Build every contender on one backbone and one mask bank."""
    torch.manual_seed(0)
    backbone = losses.build_backbone("vgg16", weights="random").to(device)
    masks = freeze(losses.MaskBank(backbone.channels)).to(device)
    plain, enhanced = losses.FeatureLoss(backbone), losses.FeatureLoss(backbone, masks)
    both = Criterion({"VGG": plain, "E-VGG": enhanced}, {"VGG": 1.0, "E-VGG": 1.0})
    lowered = {name: in_bf16(backbone, compile) for name, compile in LOWERED.items()}
    return {
        "plain": PlainPerceptual(backbone),
        "vgg": plain,
        "e-vgg": enhanced,
        "e-vgg, mask gradient": losses.FeatureLoss(backbone, masks, mask_gradient=True),
        "vgg + e-vgg": lambda x, y: both(x, y)[0],
        "straightforward": Straightforward(backbone, masks),
        **{name: losses.FeatureLoss(own, masks) for name, own in lowered.items()},
    }


def check_values(arms: dict[str, Callable], x: Tensor, y: Tensor) -> float:
    """Largest relative difference of the contenders that should agree with the formula."""
    with torch.no_grad():
        wanted = float(arms["straightforward"](x, y))
        found = {name: float(arms[name](x, y)) for name in ("e-vgg", "e-vgg, mask gradient")}
        found["sum"] = float(arms["vgg + e-vgg"](x, y) - arms["vgg"](x, y))
    return max(abs(value - wanted) / wanted for value in found.values())


def measure(arm: Callable, x: Tensor, y: Tensor) -> harness.Timing:
    """Time one forward and backward."""
    x = x.clone().requires_grad_()
    if isinstance(arm, nn.Module):
        for weight in arm.buffers():
            weight.grad = None
    return harness.timed(lambda: arm(x, y).backward(), x.device)


def memory(arms: dict[str, Callable], x: Tensor, y: Tensor) -> dict[str, harness.Row]:
    """Memory that each module's autograd graph keeps, and its share of the straightforward one."""
    sizes = {
        name: harness.saved_memory(lambda arm=arm: arm(x.requires_grad_(), y), arm.buffers())
        for name, arm in arms.items()
        if isinstance(arm, nn.Module)
    }
    return {
        name: {
            "kept_mb": round(size / harness.MEGABYTE, 2),
            "share": round(size / sizes["straightforward"], 3),
        }
        for name, size in sizes.items()
    }


def summary(times: dict[str, list[harness.Timing]]) -> dict:
    """Median and minimum of each contender, and the ratios."""
    return {
        "contenders": {name: harness.describe(values) for name, values in times.items()},
        "ratios": {
            name: {**harness.ratio(times[arm], times[base]), "target": wanted}
            for name, (arm, base, wanted) in RATIOS.items()
        },
    }


def main() -> None:
    """Run the benchmark, print tables, and write files where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = harness.arguments(parser, rounds=15)
    arms = build_arms(given.device)
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(given.batch, 3, given.side, given.side, generator=generator)
    x = (y + 0.1 * torch.randn(y.shape, generator=generator)).clamp(0, 1)
    x, y = x.to(given.device), y.to(given.device)
    difference = check_values(arms, x, y)
    with torch.no_grad():
        exact, rounded = (float(arms[name](x, y)) for name in ("e-vgg", "e-vgg, bf16"))
    turns = {name: partial(measure, arm, x, y) for name, arm in arms.items()}
    result = {
        "input": list(y.shape),
        "rounds": given.rounds,
        "largest_relative_difference": difference,
        "relative_difference_of_bf16": abs(rounded - exact) / exact,
        **summary(harness.interleave(turns, given.rounds)),
        "memory": memory(arms, x.clone(), y),
    }
    tables = {
        key: [{head: name, **row} for name, row in result[key].items()]
        for key, head in (("contenders", "contender"), ("ratios", "ratio"), ("memory", "contender"))
    }
    shape = "x".join(map(str, y.shape))
    harness.finish(
        f"E-VGG against plain perceptual losses, forward and backward, input {shape}",
        tables,
        result,
        given.out,
        given.device,
        [
            f"largest relative difference of values that should agree: {difference:.1e}",
            f"of E-VGG in bf16 to float32: {result['relative_difference_of_bf16']:.1e}",
            "memory: share of what the straightforward E-VGG keeps, target <= 0.60",
        ],
    )


if __name__ == "__main__":
    main()
