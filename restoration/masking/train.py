"""Train visual masks without labels: the masked metric learns to predict pseudo-opinion.

As in arXiv:2305.19858, a small mapping network turns the masked metric into an opinion score and
the masks are learnt end to end; the scores are those of `opinion.py` instead of people's. One score
per image says little about where an error shows, so a further term asks the masked error of each
8x8 block to follow a local dissimilarity; it fades out, so that the scores have the last word.
With several taps each must also predict the score by itself: else the sum lets some masks die.

`python -m restoration.masking.train --kind e-mae --images DIR... --out FILE`
"""

import argparse
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.stats import spearmanr
from torch import Tensor, nn

import losses
from restoration.masking.metrics import FEATURE_METRICS, KINDS, EnhancedMetric
from restoration.masking.opinion import OpinionTable, draw_table
from restoration.masking.pairs import read_folder, symmetry, to_tensor
from restoration.masking.progress import load_progress, save_progress, track_steps
from restoration.masking.scaler import fit_scaler

SMALLEST = 1e-5  # keeps the logarithm of a metric finite
PLACE_FLOOR = 1e-2  # dissimilarity of a block below which nobody sees a difference
GRADIENT_FLOOR, CHROMA_FLOOR, LUMINANCE_FLOOR = 0.0026, 0.00846, 0.0001  # for a range of 1
OPPONENT = ((0.299, 0.587, 0.114), (0.3, 0.04, -0.35), (0.34, -0.6, 0.17))  # luma, MDSI's chromas
BLOCK = 8
START_LOGIT, LAST_GAIN = -1.5, 0.3  # of the initial masks
HELD_OUT_EVERY = 8  # every 8th photograph is kept from the training, to measure on


@dataclass(frozen=True)
class MaskSettings:
    """What a training of masks depends on, apart from the images."""

    kind: str = "e-mae"
    num_steps: int = 1000
    num_references: int = 400
    num_versions: int = 12
    size: int = 192
    crop: int = 96
    batch_references: int = 6
    batch_versions: int = 4
    learning_rate: float = 1e-3
    rank_weight: float = 1.0
    place_weight: float = 0.5
    tap_weight: float = 0.5
    seed: int = 0


class MappingNetwork(nn.Module):
    """A monotone map from the logarithm of a distance to an opinion score in [0, 1].

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


def dissimilarity(reference: Tensor, distorted: Tensor) -> Tensor:
    """1 - similarity of gradients, chroma and luminance at half the size, place by place.

    Args:
        reference: (B, 3, H, W) in [0, 1].
        distorted: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H / 2, W / 2) in [0, 1], 0 where the images are equal.

    Source: the gradient magnitudes of GMSD (Xue et al. 2014, arXiv:1308.3052), the chromaticity of
    MDSI (Nafchi et al. 2016, arXiv:1608.07433), the luminance term of SSIM.
    """
    mix = reference.new_tensor(OPPONENT)[:, :, None, None]  # (3, 3, 1, 1): luma and two chromas
    across = reference.new_tensor([[1, 0, -1]] * 3).view(1, 1, 3, 3) / 3
    kernels = torch.cat([across, across.transpose(2, 3)])  # (2, 1, 3, 3)

    def parts(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        opponent = F.conv2d(F.avg_pool2d(image, 2), mix)
        padded = F.pad(opponent[:, :1], (1, 1, 1, 1), mode="replicate")
        gradient = F.conv2d(padded, kernels).square().sum(1, keepdim=True).sqrt()
        return gradient, opponent[:, 1:], F.avg_pool2d(padded, 3, stride=1)

    def similarity(x: Tensor, y: Tensor, floor: float) -> Tensor:
        both, each = (x * y).sum(1, keepdim=True), (x.square() + y.square()).sum(1, keepdim=True)
        return (2 * both + floor) / (each + floor)

    floors = (GRADIENT_FLOOR, CHROMA_FLOOR, LUMINANCE_FLOOR)
    pairs = zip(parts(reference), parts(distorted), floors, strict=True)
    gradient, chroma, luminance = (similarity(*pair) for pair in pairs)
    return 1 - gradient * chroma.clamp_min(0) * luminance


def start_from_contrast(mask: losses.MaskNet) -> None:
    """Initialise a mask network so that it sees differences and local contrast from the start.

    One half of the first filters gets opposite signs on the two inputs, the other half no answer
    to a constant; all are strong, since contrast is small beside brightness. The first mask is
    even, near sigmoid(START_LOGIT).
    """
    for layer in (mask.conv1[0], mask.conv2[0], mask.conv3[0]):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        first = mask.conv1[0].weight  # (64, 2C, 3, 3)
        half, channels = len(first) // 2, first.shape[1] // 2
        first[:half, channels:] = -first[:half, :channels]
        first[half:] -= first[half:].mean((2, 3), keepdim=True)
        mask.conv3[0].weight *= LAST_GAIN
        mask.conv3[0].bias.fill_(START_LOGIT)


class MaskTrainer(nn.Module):
    """An enhanced metric and what turns it into opinions while its masks are trained.

    Args:
        metric: the masks to train.
    """

    def __init__(self, metric: EnhancedMetric):
        super().__init__()
        self.metric = metric
        taps = len(metric.channels)
        count = taps + 1 if taps > 1 else 1  # the whole first, then every tap
        self.mappings = nn.ModuleList(MappingNetwork() for _ in range(count))
        self.log_scales = nn.Parameter(torch.zeros(count))  # from error to dissimilarity

    @torch.no_grad()
    def start(self, reference: Tensor, distorted: Tensor) -> None:
        """Initialise masks and scales for features of the size that this batch has."""
        for number, feature in enumerate(self.metric.features(reference)):
            self.metric.spread[number] = feature.std()
            start_from_contrast(self.metric.masks.get_submodule(f"mask_finder_{number + 1}"))
        wanted = dissimilarity(reference, distorted).mean()
        found = torch.stack([blocks.mean() for blocks in self.blocks(reference, distorted)])
        self.log_scales.copy_(torch.log(wanted / found.clamp_min(SMALLEST)))

    def blocks(self, reference: Tensor, distorted: Tensor) -> list[Tensor]:
        """Error of every 8x8 block, (B, 1, H / 8, W / 8): of the whole, then of every tap."""
        size = (reference.shape[-2] // BLOCK, reference.shape[-1] // BLOCK)
        with torch.autocast(reference.device.type, torch.bfloat16):
            maps = self.metric.error_maps(reference, distorted)
        per_tap = [F.adaptive_avg_pool2d(error, size) for error in maps]
        return [self.metric.weigh(per_tap), *(per_tap if len(per_tap) > 1 else [])]

    def forward(self, reference: Tensor, distorted: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Opinions (B,) in [0, 1] and how far the blocks are from their target: whole, taps."""
        found = self.blocks(reference, distorted)
        wanted = F.adaptive_avg_pool2d(dissimilarity(reference, distorted), found[0].shape[-2:])
        wanted = torch.log(wanted + PLACE_FLOOR)
        opinions, places = [], []
        for blocks, mapping, scale in zip(found, self.mappings, self.log_scales, strict=True):
            opinions.append(mapping(blocks.mean((1, 2, 3))))
            places.append(F.smooth_l1_loss(torch.log(scale.exp() * blocks + PLACE_FLOOR), wanted))
        return opinions, places


def rank_loss(predicted: Tensor, wanted: Tensor, sharpness: float = 10.0) -> Tensor:
    """Logistic loss on all pairs, weighted by how far apart the wanted scores are."""
    gap = wanted[:, None] - wanted[None, :]
    margin = (predicted[:, None] - predicted[None, :]) * gap.sign()
    weight = gap.abs()
    return (weight * F.softplus(-sharpness * margin)).sum() / weight.sum().clamp_min(SMALLEST)


def draw_batch(
    table: OpinionTable, settings: MaskSettings, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """References, distorted versions and scores of one step, a pure function of seed and step."""
    rng = np.random.default_rng((settings.seed, step))
    rows = rng.choice(len(table.references), settings.batch_references, replace=False)
    references, versions, scores = [], [], []
    for row in rows:
        turn, side = int(rng.integers(8)), settings.crop
        top, left = rng.integers(0, (table.references.shape[1] - side) // BLOCK + 1, 2) * BLOCK
        place = (slice(top, top + side), slice(left, left + side))
        for column in rng.permutation(table.scores.shape[1])[: settings.batch_versions]:
            references.append(symmetry(table.references[row][place], turn))
            versions.append(symmetry(table.versions[row, column][place], turn))
            scores.append(table.scores[row, column])
    return to_tensor(references), to_tensor(versions), torch.tensor(scores, dtype=torch.float32)


def loss_terms(
    trainer: MaskTrainer,
    settings: MaskSettings,
    batch: tuple[Tensor, Tensor, Tensor],
    fade: float = 1.0,
) -> dict[str, Tensor]:
    """Weighted terms of one batch by name; `fade` is a further factor of the place term."""
    reference, distorted, wanted = batch
    opinions, places = trainer(reference, distorted)
    regressions = [F.smooth_l1_loss(opinion, wanted, beta=0.1) for opinion in opinions]
    rankings = [rank_loss(opinion, wanted) for opinion in opinions]

    def weigh(values: list[Tensor]) -> Tensor:
        return values[0] + settings.tap_weight * sum(values[1:]) / max(1, len(values) - 1)

    return {
        "regression": weigh(regressions),
        "ranking": settings.rank_weight * weigh(rankings),
        "place": fade * settings.place_weight * weigh(places),
    }


def train_masks(
    trainer: MaskTrainer,
    table: OpinionTable,
    settings: MaskSettings,
    progress_file: Path | None = None,
    stop_at: int | None = None,
) -> EnhancedMetric:
    """Train the masks; with a progress file the training continues where it was left.

    Args:
        trainer: the metric and its mapping networks.
        table: pairs with scores.
        settings: see `MaskSettings`.
        progress_file: where the state is kept, or None.
        stop_at: leave after this step, as an interruption would.

    Returns:
        The metric with its trained masks.
    """
    optimizer = torch.optim.Adam(
        [
            {"params": trainer.metric.masks.parameters(), "scale": 1.0},
            {"params": [*trainer.mappings.parameters(), trainer.log_scales], "scale": 10.0},
        ]
    )
    start = load_progress(progress_file, trainer, optimizer)
    if start == 0:
        trainer.start(*draw_batch(table, settings, 0)[:2])
    stop = min(settings.num_steps, stop_at or settings.num_steps)
    for step in track_steps(settings.kind, start, stop):
        rate = 0.5 * (1 + math.cos(math.pi * step / settings.num_steps))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * group["scale"] * max(rate, 0.01)
        terms = loss_terms(trainer, settings, draw_batch(table, settings, step), rate)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        nn.utils.clip_grad_norm_(trainer.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0:
            logging.info("step %d %s", step, {k: round(v.item(), 4) for k, v in terms.items()})
        if (step + 1) % 50 == 0 or step + 1 == stop:
            save_progress(progress_file, trainer, optimizer, step + 1)
    return trainer.metric


@torch.no_grad()
def distances(distance: Callable[[Tensor, Tensor], Tensor], table: OpinionTable) -> np.ndarray:
    """Distance of every version to its reference, (N, V)."""
    found = np.empty(table.scores.shape)
    for row, reference in enumerate(table.references):
        distorted = to_tensor(table.versions[row])
        found[row] = distance(to_tensor([reference] * len(distorted)), distorted).numpy()
    return found


def agreement(found: np.ndarray, table: OpinionTable) -> tuple[float, dict[int, float]]:
    """Spearman correlation of -distance with the scores, over all and per kind of distortion."""
    kinds = {
        int(k): float(spearmanr(-found[table.kinds == k], table.scores[table.kinds == k])[0])
        for k in np.unique(table.kinds)
    }
    return float(spearmanr(-found.ravel(), table.scores.ravel())[0]), kinds


def finish(
    metric: EnhancedMetric, table: OpinionTable, held_out: OpinionTable
) -> dict[str, Tensor]:
    """Measure the trained masks, and return what their file holds: masks and scaler network."""
    for name, masked in (("plain", False), ("enhanced", True)):
        found = distances(lambda r, d, m=masked: metric(r, d, m), held_out)
        logging.info(
            "%s: Spearman %.4f on held-out photographs", name, agreement(found, held_out)[0]
        )
    few = table.rows(np.arange(0, len(table.references), 8))
    found = torch.from_numpy(distances(metric, few)).flatten().float()
    visible = torch.from_numpy(1 - few.scores).flatten().float()
    return metric.folded() | fit_scaler(found, visible)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train, and write the masks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, help="folders of clean photographs"
    )
    parser.add_argument("--out", type=Path, required=True, help=".safetensors file to write")
    parser.add_argument("--backbone", default="embedded", help="backbone of e-vgg")
    parser.add_argument("--backbone-weights", help="its weights file; default: the published one")
    parser.add_argument("--steps", type=int, default=MaskSettings.num_steps)
    parser.add_argument("--references", type=int, default=MaskSettings.num_references)
    parser.add_argument("--seed", type=int, default=MaskSettings.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", type=Path, help="file that keeps the scored pairs")
    parser.add_argument("--progress", type=Path, help="file that lets a training be continued")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    settings = MaskSettings(
        kind=given.kind, num_steps=given.steps, num_references=given.references, seed=given.seed
    )
    if given.table is not None and given.table.is_file():
        table = OpinionTable.load(given.table)
    else:
        images = [i for folder in given.images for i in read_folder(folder, settings.size)]
        counts = (settings.num_references, settings.num_versions)
        table = draw_table(images, *counts, settings.size, settings.seed)
        if given.table is not None:
            table.save(given.table)
    backbone = None
    if given.kind in FEATURE_METRICS:
        backbone = losses.build_backbone(given.backbone, weights=given.backbone_weights)
    trainer = MaskTrainer(EnhancedMetric(given.kind, backbone))
    training, held_out = table.split(HELD_OUT_EVERY)
    metric = train_masks(trainer, training, settings, given.progress)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(finish(metric, training, held_out), given.out)
    logging.info("wrote %s", given.out)


if __name__ == "__main__":
    main()
