"""Distil the first taps of VGG-19 into the small embedded backbone.

The student must rank distortions as its teacher does. So above all the logarithm of the feature
distance of pairs is matched, tap by tap, over the whole image and place by place; the features
themselves are matched through 1x1 heads that are thrown away. The idea of matching relations
between samples follows Park et al. 2019 (relational knowledge distillation, arXiv:1904.05068).

`python -m restoration.masks.distill --teacher FILE --images DIR... --out FILE`
"""

import argparse
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from losses.features.backbones import Backbone, build_backbone
from losses.features.embedded import CHANNELS, EmbeddedBackbone
from restoration.degradations.distortions import DISTORTIONS
from restoration.masks.state import load_progress, save_progress
from restoration.opinion.pairs import draw_versions, read_folder, to_tensor

TEACHER_TAPS = ("relu1_2", "relu2_2", "relu3_4")
EPSILON = 1e-4


@dataclass(frozen=True)
class DistillSettings:
    """What a distillation depends on, apart from the teacher and the images."""

    channels: tuple[int, ...] = CHANNELS
    num_steps: int = 5000
    num_references: int = 4
    num_versions: int = 3
    crop_size: int = 64
    learning_rate: float = 2e-3
    distance_weight: float = 3.0
    feature_weight: float = 0.2
    place_weight: float = 0.5
    seed: int = 0


def _place_maps(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    """Channel-mean absolute difference of each tap on a common grid of 8 x 8 pixels."""
    maps = [(a - b).abs().mean(1, keepdim=True) for a, b in zip(first, second, strict=True)]
    return [F.avg_pool2d(m, 8 // 2**k) for k, m in enumerate(maps)]


def _log(x: Tensor) -> Tensor:
    return (x + EPSILON).log()


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts[1:], start=parts[0])


class Distiller(nn.Module):
    """Student and throw-away heads; the loss of one batch of images against a frozen teacher.

    Args:
        teacher: frozen backbone with as many taps as the student has levels.
        settings: see `DistillSettings`.
    """

    def __init__(self, teacher: Backbone, settings: DistillSettings):
        super().__init__()
        self.settings = settings
        self.student = EmbeddedBackbone(settings.channels)
        self.heads = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(settings.channels, teacher.channels, strict=True)
        )
        self._teacher = (teacher,)  # in a tuple: not part of the state dict
        self._teacher_channels = tuple(teacher.channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(R, V, 3, H, W) in [0, 1], V versions of R references -> losses by name."""
        num_references, num_versions = images.shape[:2]
        flat = images.flatten(0, 1)  # (RV, 3, H, W)
        with torch.no_grad():
            target = self._teacher[0](flat)
        output = self.student(flat)
        first, second = zip(*combinations(range(num_versions), 2), strict=True)
        base = torch.arange(num_references)[:, None] * num_versions
        i, j = ((base + torch.tensor(side)).flatten() for side in (first, second))
        feature = [
            F.mse_loss(head(s), t) / t.var()
            for head, s, t in zip(self.heads, output, target, strict=True)
        ]
        place, total = [], []
        of_student = _place_maps([f[i] for f in output], [f[j] for f in output])
        of_teacher = _place_maps([f[i] for f in target], [f[j] for f in target])
        for s, t in zip(of_student, of_teacher, strict=True):
            place.append(F.smooth_l1_loss(_log(s), _log(t)))
            total.append(F.smooth_l1_loss(_log(s.mean((1, 2, 3))), _log(t.mean((1, 2, 3)))))
        channels = (self.settings.channels, self._teacher_channels)
        whole = [
            _sum([c * m.mean((1, 2, 3)) for c, m in zip(count, maps, strict=True)]) / sum(count)
            for count, maps in zip(channels, (of_student, of_teacher), strict=True)
        ]
        return {
            "distance": self.settings.distance_weight
            * F.smooth_l1_loss(_log(whole[0]), _log(whole[1]), beta=0.1),
            "tap": _sum(total),
            "place": self.settings.place_weight * _sum(place),
            "feature": self.settings.feature_weight * _sum(feature),
        }


def train_distiller(
    distiller: Distiller,
    images: Sequence[np.ndarray],
    names: Sequence[str],
    progress_file: Path | None = None,
    stop_at: int | None = None,
) -> EmbeddedBackbone:
    """Train the student; with a progress file the training continues where it was left.

    Args:
        distiller: holds the student and the settings.
        images: training photographs, RGB (H, W, 3) uint8.
        names: distortions to train on.
        progress_file: where the state is kept, or None.
        stop_at: leave after this step, as an interruption would.

    Returns:
        The trained student.
    """
    settings = distiller.settings
    optimizer = torch.optim.Adam(distiller.parameters(), lr=settings.learning_rate)
    start = load_progress(progress_file, distiller, optimizer)
    for step in range(start, min(settings.num_steps, stop_at or settings.num_steps)):
        rate = 0.5 * (1 + math.cos(math.pi * step / settings.num_steps))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * max(rate, 0.01) * min(1, (step + 1) / 50)
        batch = draw_versions(
            images,
            names,
            settings.crop_size,
            settings.num_references,
            settings.num_versions,
            (settings.seed, step),
        )
        shape = batch.shape[:2]
        terms = distiller(to_tensor(list(batch.reshape(-1, *batch.shape[2:]))).unflatten(0, shape))
        loss = _sum(list(terms.values()))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(distiller.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            logging.info("step %d %s", step, {k: round(v.item(), 4) for k, v in terms.items()})
        if (step + 1) % 100 == 0:
            save_progress(progress_file, distiller, optimizer, step + 1)
    save_progress(progress_file, distiller, optimizer, step + 1)
    return distiller.student


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the student."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True, help="VGG-19, torchvision's keys")
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, help="folders of photographs"
    )
    parser.add_argument("--out", type=Path, required=True, help=".safetensors file to write")
    parser.add_argument("--steps", type=int, default=DistillSettings.num_steps)
    parser.add_argument("--seed", type=int, default=DistillSettings.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--progress", type=Path, help="file that lets a training be continued")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    settings = DistillSettings(num_steps=given.steps, seed=given.seed)
    teacher = build_backbone("vgg19", TEACHER_TAPS, given.teacher, pooling="max", normalize=True)
    images = [i for folder in given.images for i in read_folder(folder, settings.crop_size)]
    distiller = Distiller(teacher, settings)
    student = train_distiller(distiller, images, list(DISTORTIONS), given.progress)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in student.state_dict().items()}
    given.out.write_bytes(save(weights))
    logging.info("wrote %s", given.out)


if __name__ == "__main__":
    main()
