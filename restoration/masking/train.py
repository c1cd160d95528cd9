"""Train a visual mask without labels: the masked metric learns to predict pseudo-opinion.

As in arXiv:2305.19858, a small mapping network turns the masked metric into an opinion score and
the mask is learnt end to end; the scores are those of `opinion.py` instead of people's. One score
per image says little about where an error shows, so a second term asks the masked error of each
8x8 block to follow the dissimilarity of gradients there (Xue et al. 2014, GMSD, arXiv:1308.3052).

`python -m restoration.masking.train --kind e-mae --images DIR --out FILE`
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
from restoration.masking.opinion import OpinionTable, draw_table
from restoration.masking.pairs import read_folder, symmetry, to_tensor
from restoration.masking.progress import load_progress, save_progress, track_steps

KINDS = ("e-mae", "e-vgg")
SMALLEST = 1e-5  # keeps the logarithm of a metric finite
PLACE_FLOOR = 1e-2  # dissimilarity of a block below which nobody sees a difference
GMSD_C = 0.0026  # of GMSD, for a range of 1
BLOCK = 8
START_LOGIT, LAST_GAIN = -1.5, 0.3  # of the initial masks


@dataclass(frozen=True)
class MaskSettings:
    """What a training of masks depends on, apart from the images."""

    kind: str = "e-mae"
    num_steps: int = 400
    num_references: int = 200
    num_versions: int = 12
    size: int = 128
    crop: int = 64
    batch_references: int = 6
    batch_versions: int = 4
    learning_rate: float = 1e-3
    rank_weight: float = 1.0
    place_weight: float = 0.5
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


def gradient_dissimilarity(reference: Tensor, distorted: Tensor) -> Tensor:
    """1 - similarity of Prewitt gradient magnitudes of the luma, as in GMSD.

    Args:
        reference: (B, 3, H, W) in [0, 1].
        distorted: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1], 0 where the gradients are equal.

    Source: Xue et al. 2014, arXiv:1308.3052.
    """
    luma = reference.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    across = reference.new_tensor([[1, 0, -1]] * 3).view(1, 1, 3, 3) / 3
    kernels = torch.cat([across, across.transpose(2, 3)])  # (2, 1, 3, 3)

    def magnitude(image: Tensor) -> Tensor:
        grey = F.pad((image * luma).sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        return F.conv2d(grey, kernels).square().sum(1, keepdim=True).sqrt()

    x, y = magnitude(reference), magnitude(distorted)
    return 1 - (2 * x * y + GMSD_C) / (x.square() + y.square() + GMSD_C)


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
    """Masks to be trained, the metric that they enhance, and the mapping network.

    Args:
        kind: "e-mae" (a mask on RGB images) or "e-vgg" (a mask per tap of the backbone).
        backbone: frozen features for "e-vgg".
    """

    def __init__(self, kind: str, backbone: nn.Module | None = None):
        super().__init__()
        if kind not in KINDS or (kind == "e-vgg") != (backbone is not None):
            raise ValueError(f"expected kind 'e-mae', or 'e-vgg' with a backbone, got {kind!r}")
        self._backbone = (backbone,)  # in a tuple: neither trained nor saved
        self.masks = losses.MaskBank((3,) if backbone is None else backbone.channels)
        self.mapping = MappingNetwork()
        self.log_scale = nn.Parameter(torch.zeros(()))  # from masked error to dissimilarity
        # the masks are trained on features of size 1, whatever the backbone's are
        self.register_buffer("spread", torch.ones(len(self.masks.channels)))

    @torch.no_grad()
    def start(self, reference: Tensor, distorted: Tensor) -> None:
        """Initialise masks and scale for features of the size that this batch has."""
        features = self._features(reference)
        for number, feature in enumerate(features):
            self.spread[number] = feature.std()
            start_from_contrast(self.masks.get_submodule(f"mask_finder_{number + 1}"))
        blocks = self.blocks(reference, distorted)
        wanted = gradient_dissimilarity(reference, distorted)
        self.log_scale.copy_(torch.log(wanted.mean() / blocks.mean().clamp_min(SMALLEST)))

    def _features(self, images: Tensor) -> list[Tensor]:
        if self._backbone[0] is None:
            return [images]
        with torch.no_grad():
            return self._backbone[0](images)

    def _masks(self, reference: list[Tensor], distorted: list[Tensor]) -> list[Tensor]:
        pair = (
            [f / s for f, s in zip(features, self.spread, strict=True)]
            for features in (reference, distorted)
        )
        return self.masks(*pair)

    def folded(self) -> dict[str, Tensor]:
        """State dict of the masks for features as the backbone gives them."""
        state = {name: value.clone() for name, value in self.masks.state_dict().items()}
        for number, spread in enumerate(self.spread, start=1):
            state[f"mask_finder_{number}.conv1.0.weight"] /= spread
        return state

    def blocks(self, reference: Tensor, distorted: Tensor, masked: bool = True) -> Tensor:
        """Metric of every 8x8 block, (B, 3, H, W) x 2 -> (B, 1, H / 8, W / 8)."""
        of_reference, of_distorted = self._features(reference), self._features(distorted)
        masks = self._masks(of_reference, of_distorted) if masked else [1.0] * len(of_reference)
        size = (reference.shape[-2] // BLOCK, reference.shape[-1] // BLOCK)
        parts = [
            F.adaptive_avg_pool2d((mask * (r - d).abs()).sum(1, keepdim=True), size)
            for r, d, mask in zip(of_reference, of_distorted, masks, strict=True)
        ]
        return sum(parts) / sum(self.masks.channels)

    def distance(self, reference: Tensor, distorted: Tensor, masked: bool = True) -> Tensor:
        """(B, 3, H, W) x 2 -> (B,), sides in multiples of 8; the plain metric with `masked` off."""
        return self.blocks(reference, distorted, masked).mean((1, 2, 3))

    def forward(self, reference: Tensor, distorted: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted opinion (B,) in [0, 1], and how far the blocks are from their target."""
        blocks = self.blocks(reference, distorted)
        size = blocks.shape[-2:]
        wanted = F.adaptive_avg_pool2d(gradient_dissimilarity(reference, distorted), size)
        found = self.log_scale + torch.log(blocks + SMALLEST)
        place = F.smooth_l1_loss(found, torch.log(wanted + PLACE_FLOOR))
        return self.mapping(blocks.mean((1, 2, 3))), place


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
        top, left = rng.integers(0, (settings.size - side) // BLOCK + 1, 2) * BLOCK
        place = (slice(top, top + side), slice(left, left + side))
        for column in rng.permutation(table.scores.shape[1])[: settings.batch_versions]:
            references.append(symmetry(table.references[row][place], turn))
            versions.append(symmetry(table.versions[row, column][place], turn))
            scores.append(table.scores[row, column])
    return to_tensor(references), to_tensor(versions), torch.tensor(scores, dtype=torch.float32)


def train_masks(
    trainer: MaskTrainer,
    table: OpinionTable,
    settings: MaskSettings,
    progress_file: Path | None = None,
    stop_at: int | None = None,
) -> losses.MaskBank:
    """Train the masks; with a progress file the training continues where it was left.

    Args:
        trainer: masks and mapping network.
        table: pairs with scores.
        settings: see `MaskSettings`.
        progress_file: where the state is kept, or None.
        stop_at: leave after this step, as an interruption would.

    Returns:
        The trained masks.
    """
    optimizer = torch.optim.Adam(
        [
            {"params": trainer.masks.parameters(), "scale": 1.0},
            {"params": [*trainer.mapping.parameters(), trainer.log_scale], "scale": 10.0},
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
        reference, distorted, wanted = draw_batch(table, settings, step)
        predicted, place = trainer(reference, distorted)
        regression = F.smooth_l1_loss(predicted, wanted, beta=0.1)
        ranking = rank_loss(predicted, wanted)
        optimizer.zero_grad()
        total = regression + settings.rank_weight * ranking + settings.place_weight * place
        total.backward()
        nn.utils.clip_grad_norm_(trainer.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0:
            values = (step, regression.item(), ranking.item(), place.item())
            logging.info("step %d regression %.4f ranking %.4f place %.4f", *values)
        if (step + 1) % 50 == 0 or step + 1 == stop:
            save_progress(progress_file, trainer, optimizer, step + 1)
    return trainer.masks


def agreement(
    distance: Callable[[Tensor, Tensor], Tensor], table: OpinionTable
) -> tuple[float, dict[int, float]]:
    """Spearman correlation of -distance with the scores, over all and per kind of distortion."""
    found = np.empty(table.scores.shape)
    with torch.no_grad():
        for row, reference in enumerate(table.references):
            distorted = to_tensor(table.versions[row])
            same = to_tensor([reference] * len(distorted))
            found[row] = -distance(same, distorted).numpy()
    kinds = {
        int(k): float(spearmanr(found[table.kinds == k], table.scores[table.kinds == k])[0])
        for k in np.unique(table.kinds)
    }
    return float(spearmanr(found.ravel(), table.scores.ravel())[0]), kinds


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train, and write the masks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder of clean photographs")
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
        images = read_folder(given.images, settings.size)
        counts = (settings.num_references, settings.num_versions)
        table = draw_table(images, *counts, settings.size, settings.seed)
        if given.table is not None:
            table.save(given.table)
    backbone = None
    if given.kind == "e-vgg":
        backbone = losses.build_backbone(given.backbone, weights=given.backbone_weights)
    trainer = MaskTrainer(given.kind, backbone)
    train_masks(trainer, table, settings, given.progress)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(trainer.folded(), given.out)
    logging.info("wrote %s", given.out)


if __name__ == "__main__":
    main()
