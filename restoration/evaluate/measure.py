"""The evaluation protocol of Restormer (arXiv:2111.09881) for Gaussian denoising.

Noise: NumPy seed 0 before each image, in float, neither clipped nor quantised. The network's
output is clamped to [0, 1] and rounded to 8 bits before it is measured; the noisy input is
measured as it is. Whole RGB images, no border. Every value is of one image; averages come later.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from restoration.archs import restore
from restoration.common import distributed
from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import Row
from restoration.evaluate.sets import EvaluationSet
from restoration.metrics import Against, Metric, to_uint8_range

NOISY = "noisy"
PROTOCOL = (
    "noise: numpy seed 0 before each image, normal(0, sigma/255), float, not clipped; "
    "output: clamped to [0, 1], rounded to 8 bits; whole RGB images, no border; "
    "data range 1; noisy input measured unclipped"
)
Denoise = Callable[[Tensor, Condition], Tensor]  # spoiled image and how -> restored
# run, set, image, condition, noisy, restored, clean
OnResult = Callable[[str, str, str, Condition, Tensor, Tensor, Tensor], None]
# this rank's megapixels done, megapixels in all, name of the image, count of images for people
OnProgress = Callable[[float, float, str, str], None]
Unit = tuple[str, int]  # name of a set, number of an image


class Journal(Protocol):
    """Rows of one run and image that were measured before, and a place for new ones."""

    def find(self, run: str, name: str, index: int) -> list[Row] | None:
        """Rows of image `index` of a set, one per condition, or None."""

    def add(self, run: str, name: str, index: int, rows: list[Row]) -> None:
        """Keep rows."""


def to_batch(image: np.ndarray, device: torch.device | str) -> Tensor:
    """(H, W, 3) float32 -> (1, 3, H, W) on the device."""
    return torch.from_numpy(image).to(device).permute(2, 0, 1).unsqueeze(0).contiguous()


def as_given(noisy: Tensor, condition: Condition) -> Tensor:
    """Restore nothing: the noisy input, neither clipped nor rounded."""
    return noisy


def denoiser_of(
    network: nn.Module, tile: int | None = None, overlap: int = 32, noise_map: bool = False
) -> Denoise:
    """Return the function that restores with a network, rounded to 8 bits.

    Args:
        network: on the device.
        tile: side of overlapping tiles, or None for whole images.
        overlap: pixels that tiles share.
        noise_map: give the network sigma / 255 as one more channel.
    """

    def denoise(noisy: Tensor, condition: Condition) -> Tensor:
        if noise_map:
            assert condition.sigma is not None  # checked where the sets are opened
            level = torch.full_like(noisy[:, :1], condition.sigma / 255)
            noisy = torch.cat([noisy, level], 1)
        return to_uint8_range(restore(network, noisy, tile=tile, overlap=overlap).float())

    return denoise


def evaluate(
    network: nn.Module,
    sets: Mapping[str, EvaluationSet],
    metrics: Mapping[str, Metric],
    device: torch.device | str,
    run: str = "restored",
    with_noisy: bool = True,
    tile: int | None = None,
    overlap: int = 32,
    noise_map: bool = False,
    on_image: Callable[[str, str, Condition, Tensor, Tensor, Tensor], None] | None = None,
    on_progress: Callable[[], None] | None = None,
) -> list[Row]:
    """Measure a network on every image and condition; the images are shared out over ranks.

    Args:
        network: the denoiser, on the device.
        sets: test sets by name.
        metrics: metrics by name.
        device: where to compute.
        run: name of the rows of this network.
        with_noisy: add rows of the run "noisy" for the input.
        tile: side of overlapping tiles, or None for whole images.
        overlap: pixels that tiles share.
        noise_map: give the network the noise level as one more channel.
        on_image: called with (set, image name, condition, noisy, restored, clean) after each.
        on_progress: called after each image and condition.

    Returns:
        One row per run, set, image and condition, in one order on all ranks.
    """
    runs: dict[str, Denoise] = {NOISY: as_given} if with_noisy else {}
    runs[run] = denoiser_of(network, tile, overlap, noise_map)

    def after(measured_run: str, *picture: Any) -> None:
        if measured_run == run:
            if on_image is not None:
                on_image(*picture)
            if on_progress is not None:
                on_progress()

    return evaluate_runs(runs, sets, metrics, device, on_result=after)


def evaluate_runs(
    runs: Mapping[str, Denoise],
    sets: Mapping[str, EvaluationSet],
    metrics: Mapping[str, Metric],
    device: torch.device | str,
    journal: Journal | None = None,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
) -> list[Row]:
    """Measure any number of denoisers on every image and condition.

    Every image is read once, its features for metrics are computed once, and every noise is made
    once for all runs. The images that are not in the journal are shared out over ranks. Images
    are taken one by one: on a CPU a batch is slower than its parts (four of 256x256 pixels: 2.9 s
    against 1.9 s with restormer_xs on one core).

    Args:
        runs: denoisers by name.
        sets: test sets by name.
        metrics: metrics by name.
        device: where to compute.
        journal: what is known from before, the same on all ranks; receives what is new.
        on_result: called with (run, set, image name, condition, noisy, restored, clean) after each.
        on_progress: called after each with this rank's (megapixels done, megapixels in all, name
            of the image, count of images for people).

    Returns:
        Rows by image, then by condition, then in the order of the runs.
    """
    work: list[Unit] = [(name, i) for name, test_set in sets.items() for i in range(len(test_set))]
    known = {unit: _known_rows(journal, runs, *unit) for unit in work}
    todo = [unit for unit in work if len(known[unit]) < len(runs)]
    mine = todo[distributed.rank() :: distributed.world_size()]
    missing = {unit: {r: runs[r] for r in runs if r not in known[unit]} for unit in mine}
    advance = _progress(sets, missing, on_progress)

    def after(run: str, name: str, image: str, *rest: Any) -> None:
        if on_result is not None:
            on_result(run, name, image, *rest)
        advance(name, image)

    measured: list[tuple[Unit, str, list[Row]]] = []
    for (name, index), asked in missing.items():
        by_run = _measure_image(asked, sets[name], name, index, metrics, device, after)
        for run, rows in by_run.items():
            measured.append(((name, index), run, rows))
            if journal is not None:
                journal.add(run, name, index, rows)
    for unit, run, rows in distributed.gather(measured):
        known[unit][run] = rows
    return [row for unit in work for row in _by_condition(known[unit], list(runs))]


def _progress(
    sets: Mapping[str, EvaluationSet],
    missing: Mapping[Unit, Mapping[str, Denoise]],
    on_progress: OnProgress | None,
) -> Callable[[str, str], None]:
    """Return what is called with (set, image name) after each result: pixels measure the work."""
    if on_progress is None:
        return lambda name, image: None
    report = on_progress
    steps: list[tuple[float, int]] = []  # megapixels and number of images after each result
    done = 0.0
    for number, ((name, index), runs) in enumerate(missing.items(), start=1):
        height, width = sets[name].source.size(index)
        count = len(runs) * len(sets[name].conditions)
        for step in range(1, count + 1):
            done += height * width / 1e6
            steps.append((done, number if step == count else number - 1))
    following = iter(steps)

    def advance(name: str, image: str) -> None:
        megapixels, pictures = next(following)
        report(megapixels, done, f"{name}/{image}", f"{pictures}/{len(missing)} images")

    return advance


def _known_rows(
    journal: Journal | None, runs: Mapping[str, Denoise], name: str, index: int
) -> dict[str, list[Row]]:
    if journal is None:
        return {}
    by_run = {run: journal.find(run, name, index) for run in runs}
    return {run: rows for run, rows in by_run.items() if rows is not None}


def _by_condition(rows: Mapping[str, list[Row]], runs: list[str]) -> list[Row]:
    """Rows of one image, (run -> one per condition), as one list: by condition, then by run."""
    return [row for level in zip(*(rows[run] for run in runs), strict=True) for row in level]


def _measure_image(
    runs: Mapping[str, Denoise],
    test_set: EvaluationSet,
    name: str,
    index: int,
    metrics: Mapping[str, Metric],
    device: torch.device | str,
    on_result: Callable[..., None],
) -> dict[str, list[Row]]:
    """Rows of one image by run, one per condition."""
    clean_image, image = test_set.source.read_float(index), test_set.source.names[index]
    clean = to_batch(clean_image, device)
    against = Against(metrics, clean)
    unread: list[tuple[str, Condition, dict[str, Tensor]]] = []
    for condition in test_set.conditions:
        noisy = to_batch(test_set.degrade(clean_image, index, condition), device)
        for run, denoise in runs.items():
            restored = denoise(noisy, condition)
            unread.append((run, condition, against.measure(restored)))
            on_result(run, name, image, condition, noisy, restored, clean)
    rows: dict[str, list[Row]] = {run: [] for run in runs}
    for run, condition, tensors in unread:
        values = {metric: float(value) for metric, value in tensors.items()}
        place = (condition.degradation, condition.level)
        rows[run].append(Row(run, name, image, *place, values))
    return rows
