"""The evaluation protocol of Restormer (arXiv:2111.09881) for Gaussian denoising.

Noise: NumPy seed 0 before each image, in float, neither clipped nor quantised. The network's
output is clamped to [0, 1] and rounded to 8 bits before it is measured; the noisy input is
measured as it is. Whole RGB images, no border. Every value is of one image; averages come later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restoration import distributed
from restoration.archs import restore
from restoration.data import Source, evaluation_noise
from restoration.metrics import Metric, to_uint8_range

NOISY = "noisy"
PROTOCOL = (
    "noise: numpy seed 0 before each image, normal(0, sigma/255), float, not clipped; "
    "output: clamped to [0, 1], rounded to 8 bits; whole RGB images, no border; "
    "data range 1; noisy input measured unclipped"
)


@dataclass(frozen=True)
class EvaluationSet:
    """Clean images and the noise levels to test them at (0..255 units)."""

    source: Source
    sigmas: tuple[float, ...]
    max_images: int | None = None

    def __len__(self) -> int:
        return min(len(self.source), self.max_images or len(self.source))


Row = dict[str, Any]
OnImage = Callable[[str, str, float, Tensor, Tensor, Tensor], None]


def to_batch(image: np.ndarray, device: torch.device | str) -> Tensor:
    """(H, W, 3) float32 -> (1, 3, H, W) on the device."""
    return torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).to(device)


def measure(metrics: Mapping[str, Metric], prediction: Tensor, target: Tensor) -> dict[str, float]:
    """Evaluate every metric on one image, (1, 3, H, W) each."""
    return {name: float(metric(prediction, target)) for name, metric in metrics.items()}


def noisy_and_restored(
    network: nn.Module,
    clean: np.ndarray,
    sigma: float,
    device: torch.device | str,
    tile: int | None = None,
    overlap: int = 32,
) -> tuple[Tensor, Tensor]:
    """Corrupt one (H, W, 3) image by the protocol and restore it: two (1, 3, H, W)."""
    noisy = to_batch(evaluation_noise(clean, sigma), device)
    restored = restore(network, noisy, tile=tile, overlap=overlap)
    return noisy, to_uint8_range(restored.float())


def evaluate(
    network: nn.Module,
    sets: Mapping[str, EvaluationSet],
    metrics: Mapping[str, Metric],
    device: torch.device | str,
    run: str = "restored",
    with_noisy: bool = True,
    tile: int | None = None,
    overlap: int = 32,
    on_image: OnImage | None = None,
    on_progress: Callable[[], None] | None = None,
) -> list[Row]:
    """Measure a network on every image and noise level; the images are shared out over ranks.

    Args:
        network: the denoiser, on the device.
        sets: test sets by name.
        metrics: metrics by name.
        device: where to compute.
        run: name of the rows of this network.
        with_noisy: add rows of the run "noisy" for the input.
        tile: side of overlapping tiles, or None for whole images.
        overlap: pixels that tiles share.
        on_image: called with (set, image name, sigma, noisy, restored, clean) after each.
        on_progress: called after each image and noise level.

    Returns:
        One row per run, set, image and sigma, in one order on all ranks:
        {"run", "set", "image", "sigma", <metric>: value, ...}.
    """
    work = [(name, index) for name, one in sets.items() for index in range(len(one))]
    mine = list(enumerate(work))[distributed.rank() :: distributed.world_size()]
    rows: list[tuple[int, Row]] = []
    for position, (name, index) in mine:
        one = sets[name]
        clean_image = one.source.read_float(index)
        clean = to_batch(clean_image, device)
        for sigma in one.sigmas:
            noisy, restored = noisy_and_restored(network, clean_image, sigma, device, tile, overlap)
            head = {"set": name, "image": one.source.names[index], "sigma": sigma}
            if with_noisy:
                values = measure(metrics, noisy, clean)
                rows.append((position, {"run": NOISY, **head, **values}))
            values = measure(metrics, restored, clean)
            rows.append((position, {"run": run, **head, **values}))
            if on_image is not None:
                on_image(name, head["image"], sigma, noisy, restored, clean)
            if on_progress is not None:
                on_progress()
    gathered = distributed.gather(rows)
    return [row for _, row in sorted(gathered, key=lambda pair: pair[0])]
