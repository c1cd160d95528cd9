"""Train visual masks: the masked metric learns to predict quality ratings (MOS or pseudo-MOS).

As in arXiv:2305.19858, a small mapping network turns the masked metric into a quality score and
the masks are learnt end to end; no mask is ever labelled. One score per image says little about
where an error shows, so further terms ask the masked error of each 8x8 block to follow a target,
and to fall as the reference's contrast rises (see `place`). With several taps each must also
predict the score by itself, and may hide no more than the others: else some masks die.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losses
from restoration.common.bf16 import fast_in_bf16
from restoration.common.signals import interrupts_deferred
from restoration.masks.batches import BLOCK, MaskSettings, check_table, draw_batch, draw_visible
from restoration.masks.place import (
    PLACES,
    block_distance,
    dissimilarity,
    place_target,
    slope_distance,
    unmasked,
)
from restoration.masks.state import latest_state, load_progress, replace_state
from restoration.masks.trainable import EnhancedMetric
from restoration.opinion.table import OpinionTable
from restoration.train.finite import check_finite

OnStep = Callable[[int, dict[str, Tensor], Tensor], None]  # steps done, terms, gradient norm

SMALLEST = 1e-5  # keeps the logarithm of a metric finite
TINY = 1e-12  # and that of a masked error
LEAST = 0.05  # that the first mask shall leave of its tap's error: nothing else asks for its size
START_LOGIT, LAST_GAIN = -1.5, 0.3  # of the initial masks
IMAGE_CHANNELS = 3
COMPACT_GAIN, BLOCK_GAIN = 3.0, 0.5  # of the first and the residual convolutions of compact ones


class MappingNetwork(nn.Module):
    """A monotone map from the logarithm of a distance to a quality score in [0, 1].

    Args:
        width: number of steps that the map is a sum of.
    """

    def __init__(self, width: int = 8):
        super().__init__()
        self.height = nn.Parameter(torch.zeros(width))
        self.slope = nn.Parameter(torch.zeros(width))
        self.place = nn.Parameter(torch.linspace(-9.0, 6.0, width))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, distance: Tensor) -> Tensor:
        """(B,) distances, not negative -> (B,) scores, falling with the distance."""
        x = torch.log(distance + SMALLEST)[:, None] - self.place
        steps = F.softplus(self.height) * torch.tanh(F.softplus(self.slope) * x)
        return torch.sigmoid(self.offset - steps.sum(1))


def start_from_contrast(mask: losses.MaskNet | losses.CompactMaskNet) -> None:
    """Initialise a mask network so that it sees differences and local contrast from the start.

    One half of the first filters gets opposite signs on the two inputs, the other half no answer
    to a constant; all are strong, since contrast is small beside brightness. The first mask is
    even, near sigmoid(START_LOGIT).
    """
    layers = [layer for layer in mask.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        assert layer.bias is not None
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        first = layers[0].weight  # (64, 2C, 3, 3)
        half, channels = len(first) // 2, first.shape[1] // 2
        first[:half, channels:] = -first[:half, :channels]
        first[half:] -= first[half:].mean((2, 3), keepdim=True)
        if isinstance(mask, losses.CompactMaskNet):
            first *= COMPACT_GAIN
            for layer in layers[2:-1:2]:  # the 1x1 convolutions of the blocks
                layer.weight *= BLOCK_GAIN
        last = layers[-1]
        assert last.bias is not None
        last.weight *= LAST_GAIN
        last.bias.fill_(START_LOGIT)


class Found(NamedTuple):
    """What a metric in training says of a batch: of the whole first, then of every tap.

    Args:
        scores: (B,) predicted ratings in [0, 1].
        places: how far blocks are from their target.
        slopes: how far errors are from falling with contrast; empty if not asked for.
        imbalance: how far the masks of taps are from their balance, or None.
    """

    scores: list[Tensor]
    places: list[Tensor]
    slopes: list[Tensor]
    imbalance: Tensor | None


class MaskTrainer(nn.Module):
    """An enhanced metric and what turns it into quality scores while its masks are trained.

    Args:
        metric: the masks to train.
        place: what tells where an error shows, a key of `place.PLACES`.
    """

    def __init__(self, metric: EnhancedMetric, place: str = "dissimilarity"):
        super().__init__()
        self.metric, self.place = metric, place
        taps = len(metric.channels)
        count = taps + 1 if taps > 1 else 1  # the whole first, then every tap
        self.mappings = nn.ModuleList(MappingNetwork() for _ in range(count))
        self.log_scales = nn.Parameter(torch.zeros(count))  # from error to dissimilarity

    @torch.no_grad()
    def start(self, reference: Tensor, distorted: Tensor) -> None:
        """Initialise scales, and masks that are new, for features of the size of this batch's."""
        self.metric.set_spread([feature.std() for feature in self.metric.features(reference)])
        if not self.metric.trained:
            for number in range(len(self.metric.channels)):
                mask = self.metric.masks.get_submodule(f"mask_finder_{number + 1}")
                assert isinstance(mask, losses.MaskNet | losses.CompactMaskNet)
                start_from_contrast(mask)
        target = dissimilarity(reference, distorted).mean()
        blocks = self.blocks(self._maps(reference, distorted, plain=False)[0], reference)
        errors = torch.stack([error.mean() for error in blocks])
        self.log_scales.copy_(torch.log(target / errors.clamp_min(SMALLEST)))

    def _maps(self, *pair: Tensor, plain: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Error of every place per tap, masked, and plain where that is asked for."""
        device = pair[0].device
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_in_bf16(device)):
            features = self.metric.features_of(*pair)
            masked = self.metric.maps_of(*features, masked=True)
            return masked, self.metric.maps_of(*features, masked=False) if plain else []

    def blocks(self, maps: list[Tensor], images: Tensor) -> list[Tensor]:
        """Error of every 8x8 block, (B, 1, H / 8, W / 8): of the whole, then of every tap."""
        size = (images.shape[-2] // BLOCK, images.shape[-1] // BLOCK)
        per_tap = [F.adaptive_avg_pool2d(error, size) for error in maps]
        return [self.metric.weigh(per_tap), *(per_tap if len(per_tap) > 1 else [])]

    def forward(
        self,
        reference: Tensor,
        distorted: Tensor,
        visible: Tensor | None = None,
        contrast: bool = True,
        balance: bool = True,
        decay: float | None = None,
    ) -> Found:
        """Ratings of a batch and what the terms of the loss need, see `Found`.

        Args:
            reference: (B, 3, H, W) in [0, 1].
            distorted: (B, 3, H, W) in [0, 1].
            visible: (B, 1, H / 8, W / 8), what the table knows of where errors are seen.
            contrast: whether slopes are asked for.
            balance: whether the imbalance is asked for.
            decay: in balance is what adds this share of what the tap before it adds; if None,
                masks that leave the same share of their taps' errors.
        """
        masked, plain = self._maps(reference, distorted, plain=balance)
        errors = self.blocks(masked, reference)
        size = (errors[0].shape[-2], errors[0].shape[-1])
        target = place_target(self.place, reference, distorted, size, visible)
        line = unmasked(reference, distorted, size) if contrast else None
        kind, scores, places, slopes = self.metric.kind, [], [], []
        for blocks, mapping, scale in zip(errors, self.mappings, self.log_scales, strict=True):
            scores.append(mapping(blocks.mean((1, 2, 3))))
            scaled = scale.exp() * blocks
            places.append(block_distance(self.place, kind, scaled, target))
            if line is not None:
                slopes.append(slope_distance(kind, scaled, *line))
        if not balance:
            return Found(scores, places, slopes, None)
        if decay is None:
            return Found(scores, places, slopes, _uneven(masked, plain))
        off = _off_decay(self.metric.added(masked), decay) + _closed(masked[0], plain[0])
        return Found(scores, places, slopes, off)


def _uneven(masked: list[Tensor], plain: list[Tensor]) -> Tensor:
    """Variance of the logarithms of what masks leave of their taps' errors."""
    pairs = zip(masked, plain, strict=True)
    left = torch.stack([(m.mean() + TINY).log() - (p.mean() + TINY).log() for m, p in pairs])
    return (left - left.mean()).square().mean()


def _off_decay(added: Tensor, decay: float) -> Tensor:
    """How far what further taps add to each pair's value is from its share of the first one's.

    On a scale of logarithms. The first tap is what the others follow and gets no gradient.

    Args:
        added: what every tap adds to the value of each pair, (taps, B).
        decay: share of what the tap before adds.
    """
    if len(added) == 1:
        return added.new_zeros(())
    logarithms = (added + TINY).log()
    below = math.log(decay) * torch.arange(1, len(added), device=added.device)[:, None]
    return F.smooth_l1_loss(logarithms[1:], logarithms[:1].detach() + below, beta=1.0)


def _closed(masked: Tensor, plain: Tensor) -> Tensor:
    """How far a mask leaves less than `LEAST` in the geometric mean, on a scale of logarithms."""
    after, before = ((m.mean((1, 2, 3)) + TINY).log().mean() for m in (masked, plain))
    return F.relu(math.log(LEAST) - (after - before))


def rank_loss(predicted: Tensor, target: Tensor, sharpness: float = 10.0) -> Tensor:
    """Logistic loss on all pairs, weighted by how far apart the target scores are."""
    gap = target[:, None] - target[None, :]
    margin = (predicted[:, None] - predicted[None, :]) * gap.sign()
    weight = gap.abs()
    return (weight * F.softplus(-sharpness * margin)).sum() / weight.sum().clamp_min(SMALLEST)


def loss_terms(
    trainer: MaskTrainer,
    settings: MaskSettings,
    batch: tuple[Tensor, Tensor, Tensor],
    fade: float = 1.0,
    visible: Tensor | None = None,
) -> dict[str, Tensor]:
    """Weighted terms of one batch by name; `fade` is a further factor of the place term."""
    reference, distorted, target = batch
    asked = names_of_terms(settings)
    found = trainer(
        reference,
        distorted,
        visible,
        contrast="contrast" in asked,
        balance="balance" in asked,
        decay=settings.tap_decay,
    )
    regressions = [F.smooth_l1_loss(score, target, beta=0.1) for score in found.scores]
    rankings = [rank_loss(score, target) for score in found.scores]

    def weigh(values: list[Tensor]) -> Tensor:
        return values[0] + settings.tap_weight * sum(values[1:]) / max(1, len(values) - 1)

    terms = {
        "regression": weigh(regressions),
        "ranking": settings.rank_weight * weigh(rankings),
        "place": fade * settings.place_weight * weigh(found.places),
    }
    if found.slopes:
        terms["contrast"] = settings.contrast_weight * weigh(found.slopes)
    if found.imbalance is not None:
        terms["balance"] = settings.balance_weight * found.imbalance
    return terms


def names_of_terms(settings: MaskSettings) -> tuple[str, ...]:
    """Terms of the loss of a training, those without a weight left out."""
    given = {"contrast": settings.contrast_weight, "balance": settings.balance_weight}
    return ("regression", "ranking", "place", *(name for name in given if given[name]))


def total_loss(terms: dict[str, Tensor]) -> Tensor:
    """Sum of the weighted terms."""
    first, *others = terms.values()
    return sum(others, start=first)


def build_optimizer(trainer: MaskTrainer, scaled_rates: bool = False) -> torch.optim.Optimizer:
    """Adam for the masks, and ten times faster for what turns their error into scores.

    Args:
        trainer: the masks and what stands around them.
        scaled_rates: whether a mask's first convolution learns slower the more channels it reads.
            A step of Adam changes all weights alike, and what they sum up as often as there are.
    """
    first = {}
    if scaled_rates:
        for number, channels in enumerate(trainer.metric.channels, start=1):
            first[f"mask_finder_{number}.conv1.0.weight"] = IMAGE_CHANNELS / channels
    named = dict(trainer.metric.masks.named_parameters())
    rest = [parameter for name, parameter in named.items() if name not in first]
    return torch.optim.Adam(
        [
            {"params": rest, "scale": 1.0},
            {"params": [*trainer.mappings.parameters(), trainer.log_scales], "scale": 10.0},
            *({"params": [named[name]], "scale": scale} for name, scale in first.items()),
        ]
    )


def fade(settings: MaskSettings, step: int) -> float:
    """A cosine that falls from 1 to 0 over the training."""
    return 0.5 * (1 + math.cos(math.pi * step / settings.num_steps))


def place_fade(settings: MaskSettings, step: int) -> float:
    """Factor of the place term: the hand-made dissimilarity gives way to the scores."""
    return fade(settings, step) if PLACES[settings.place].fades else 1.0


def learning_rate(settings: MaskSettings, step: int) -> float:
    """Learning rate of the masks: it warms up, and falls as a cosine that ends at a hundredth."""
    warm = min(1.0, (step + 1) / settings.warmup_iter) if settings.warmup_iter else 1.0
    return settings.learning_rate * max(fade(settings, step), 0.01) * warm


def train_step(
    trainer: MaskTrainer,
    optimizer: torch.optim.Optimizer,
    table: OpinionTable,
    settings: MaskSettings,
    step: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """One step of the optimiser; returns the terms of the loss and the norm of the gradient."""
    for group in optimizer.param_groups:
        group["lr"] = group["scale"] * learning_rate(settings, step)
    device = trainer.log_scales.device
    batch = draw_batch(table, settings, step, device)
    visible = draw_visible(table, settings, step, device)
    terms = loss_terms(trainer, settings, batch, place_fade(settings, step), visible)
    optimizer.zero_grad()
    total_loss(terms).backward()
    norm = nn.utils.clip_grad_norm_(trainer.parameters(), 1.0)
    optimizer.step()
    return {name: value.detach() for name, value in terms.items()}, norm


def train_masks(
    trainer: MaskTrainer,
    table: OpinionTable,
    settings: MaskSettings,
    states: Path | None = None,
    stop_at: int | None = None,
    save_freq: int = 50,
    on_step: OnStep | None = None,
) -> EnhancedMetric:
    """Train the masks; with a folder of states it continues where it was left.

    Ctrl-C takes effect between two steps, and leaves a state to continue from.

    Args:
        trainer: the metric and its mapping networks.
        table: pairs with scores.
        settings: see `MaskSettings`.
        states: folder that keeps the newest state, or None.
        stop_at: leave after this step, as an interruption would.
        save_freq: steps between two states.
        on_step: called after every step with the number of steps done, the terms of the loss and
            the norm of the gradient.

    Returns:
        The metric with its trained masks.

    Raises:
        FloatingPointError: the loss is not finite.
        ValueError: the table has too few references, or smaller ones than the crop.
    """
    check_table(table, settings)
    optimizer = build_optimizer(trainer, settings.scaled_rates)
    done = saved = load_progress(latest_state(states), trainer, optimizer)
    if done == 0:
        reference, distorted, _ = draw_batch(table, settings, 0, trainer.log_scales.device)
        trainer.start(reference, distorted)
    stop = min(settings.num_steps, stop_at or settings.num_steps)
    try:
        while done < stop:
            with interrupts_deferred():
                terms, norm = train_step(trainer, optimizer, table, settings, done)
                done += 1
                if done % save_freq == 0 or done == stop:
                    _check_finite(trainer, {**terms, "gradient": norm}, done)
                    replace_state(states, trainer, optimizer, done)
                    saved = done
                if on_step is not None:
                    on_step(done, terms, norm)
    except KeyboardInterrupt:
        if done > saved:
            _check_finite(trainer, {**terms, "gradient": norm}, done)
            replace_state(states, trainer, optimizer, done)
        raise
    return trainer.metric


def _check_finite(trainer: MaskTrainer, terms: dict[str, Tensor], done: int) -> None:
    broken = [name for name, value in terms.items() if not value.isfinite()]
    if broken:
        raise FloatingPointError(
            f"the {broken[0]} term is not finite at step {done}: lower train.learning_rate"
        )
    check_finite({"masks": trainer.state_dict()}, done)
