"""What each tap adds to the value of a trained metric: masks of further taps close until it fits.

Where all masks leave the same share of their taps' errors, deep taps are most of the value, for
they have more channels. People agree more with the first ones.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from restoration.masks.batches import MaskSettings, draw_batch
from restoration.masks.trainable import EnhancedMetric
from restoration.opinion.table import OpinionTable

logger = logging.getLogger("restoration")
NUM_BATCHES = 10  # that are looked at
NUM_STEPS = 16  # of the bisection: to 0.001 in logits
FARTHEST = 40.0  # that a bias moves, in logits
NUM_UPDATES = NUM_BATCHES + NUM_STEPS  # of progress
CLOSE = 1.1  # a share that is off by a larger factor is told
TINY = 1e-20  # keeps logarithms finite where images are equal


@torch.no_grad()
def settle_taps(
    metric: EnhancedMetric,
    table: OpinionTable,
    settings: MaskSettings,
    decay: float,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Open or close all masks but the first until each tap adds what is asked for.

    All logits of a mask change alike. What it says of one place beside another stays as it is, as
    far as the mask is small. A mask cannot open beyond 1: where a tap stays short of its share, or
    adds nothing at all, a warning says so.

    Args:
        metric: with masks that are trained; they are changed.
        table: whose pairs tell what a tap adds, on average.
        settings: of the training, whose batches are drawn.
        decay: what each tap is to add to the value, as a share of the tap before it, in the
            geometric mean over pairs.
        on_progress: called `NUM_UPDATES` times.
    """
    device = metric.spread.device
    features = []
    for step in range(NUM_BATCHES):
        reference, distorted, _ = draw_batch(table, settings, step, device)
        features.append(metric.features_of(reference, distorted))
        on_progress()
    biases = [_last_bias(metric, number) for number in range(2, len(metric.channels) + 1)]
    before = [bias.clone() for bias in biases]
    wanted = torch.tensor([decay**n for n in range(1, len(metric.channels))])  # of the first tap
    low, high = torch.full_like(wanted, -FARTHEST), torch.full_like(wanted, FARTHEST)
    for _ in range(NUM_STEPS):
        middle = (low + high) / 2
        _move(biases, before, middle)
        added = _added_typically(metric, features).cpu()
        too_much = added[1:] > added[0] * wanted
        high, low = torch.where(too_much, middle, high), torch.where(too_much, low, middle)
        on_progress()
    _move(biases, before, (low + high) / 2)
    _tell_missed(_added_typically(metric, features), decay)


def _move(biases: list[Tensor], before: list[Tensor], by: Tensor) -> None:
    """Set each bias to what it was and a number more."""
    for bias, was, more in zip(biases, before, by.tolist(), strict=True):
        bias.copy_(was + more)


def _tell_missed(added: Tensor, decay: float) -> None:
    """Warn of taps that do not add their share of what the tap before them adds."""
    shares = (added[1:] / added[:-1]).tolist()
    for number, share in enumerate(shares, start=2):
        if not decay / CLOSE < share < decay * CLOSE:
            logger.warning(
                "tap %d adds %.3g of what tap %d adds, not %g (train.tap_decay)",
                number,
                share,
                number - 1,
                decay,
            )


def _added_typically(
    metric: EnhancedMetric, features: list[tuple[list[Tensor], list[Tensor]]]
) -> Tensor:
    """What every tap adds to the value of a typical pair, (taps,): the geometric mean.

    The mean would follow the few pairs on which a tap is a thousand times as large as on most:
    then its mask closes for all others.
    """
    maps = (metric.maps_of(*of_batch, masked=True) for of_batch in features)
    added = torch.cat([metric.added(of_batch) for of_batch in maps], 1)
    return added.clamp_min(TINY).log().mean(1).exp() * (added.amax(1) > 0)


def _last_bias(metric: EnhancedMetric, number: int) -> Tensor:
    """Bias of a mask's last convolution, before the sigmoid."""
    mask = metric.masks.get_submodule(f"mask_finder_{number}")
    last = [layer for layer in mask.modules() if isinstance(layer, nn.Conv2d)][-1]
    assert last.bias is not None
    return last.bias
