"""What each tap adds to the value of a trained metric: masks of further taps close until it fits.

Where all masks leave the same share of their taps' errors, deep taps are most of the value, for
they have more channels. People agree more with the first ones.
"""

import math

import torch
from torch import Tensor, nn

from restoration.masks.batches import MaskSettings, draw_batch
from restoration.masks.trainable import EnhancedMetric
from restoration.opinion.table import OpinionTable

NUM_BATCHES = 10  # that are looked at
NUM_STEPS = 8
STEP = 0.5  # of the way in logits: for a small mask an error goes with its first or second power


@torch.no_grad()
def settle_taps(
    metric: EnhancedMetric, table: OpinionTable, settings: MaskSettings, decay: float
) -> None:
    """Open or close all masks but the first until each tap adds what is asked for.

    All logits of a mask change alike. What it says of one place beside another stays as it is, as
    far as the mask is small.

    Args:
        metric: with masks that are trained; they are changed.
        table: whose pairs tell what a tap adds, on average.
        settings: of the training, whose batches are drawn.
        decay: what each tap is to add to the value, as a share of the tap before it.
    """
    device = metric.spread.device
    pairs = [draw_batch(table, settings, step, device)[:2] for step in range(NUM_BATCHES)]
    features = [metric.features_of(*pair) for pair in pairs]
    biases = [_last_bias(metric, number) for number in range(1, len(metric.channels) + 1)]
    for _ in range(NUM_STEPS):
        added = torch.stack([_added(metric, *of_pair) for of_pair in features]).mean(0).log()
        for number, bias in enumerate(biases[1:], start=1):
            bias -= STEP * (added[number] - added[0] - number * math.log(decay))


def _added(
    metric: EnhancedMetric, of_reference: list[Tensor], of_distorted: list[Tensor]
) -> Tensor:
    """What every tap adds to the value of features, (taps,)."""
    maps = metric.maps_of(of_reference, of_distorted, masked=True)
    parts = zip(metric.plain.shares, maps, strict=True)
    return torch.stack([share * error.mean() for share, error in parts])


def _last_bias(metric: EnhancedMetric, number: int) -> Tensor:
    """Bias of a mask's last convolution, before the sigmoid."""
    mask = metric.masks.get_submodule(f"mask_finder_{number}")
    last = [layer for layer in mask.modules() if isinstance(layer, nn.Conv2d)][-1]
    assert last.bias is not None
    return last.bias
