"""A benchmark: runs x sets x noise levels x metrics, checked before it starts, and continued."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from restoration.archs import restore
from restoration.common import distributed
from restoration.data import GreySource, Source
from restoration.data.known_sets import compare, digests_of, manifest, set_digest
from restoration.degradations import evaluation_noise
from restoration.evaluate import sets as recipe
from restoration.evaluate.candidates import (
    TestedRun,
    describe_metrics,
    load_runs,
    plain_digest,
    protocol_of,
)
from restoration.evaluate.journal import FileJournal
from restoration.evaluate.measure import EvaluationSet, evaluate_runs, to_batch
from restoration.evaluate.tables import summarize
from restoration.metrics import psnr, to_uint8_range
from restoration.options.schema import Options

logger = logging.getLogger("restoration")
SHOWN = 5  # file names in one message


@dataclass
class Benchmark:
    """Everything that a benchmark needs, checked before its first image.

    Args:
        options: the option file.
        sets: test sets by name.
        digests: checksum of the pixels of every picture that is used, by set.
        metrics: what is measured.
        runs: what is tested.
        device: where to compute.
        notes: what a reader of the tables must know.
    """

    options: Options
    sets: dict[str, EvaluationSet]
    digests: dict[str, list[str]]
    metrics: recipe.Metrics
    runs: dict[str, TestedRun]
    device: torch.device
    notes: list[str] = field(default_factory=list)

    @property
    def protocol(self) -> str:
        """The protocol in words."""
        grey = [name for name, one in self.sets.items() if isinstance(one.source, GreySource)]
        parts = [protocol_of(self.options, self.runs)]
        if grey:
            parts.append(f"{', '.join(grey)}: grey, the luma of the RGB images, one channel")
        return "; ".join(parts)

    def keys(self) -> Callable[[str, str, int], str]:
        """Return (run, set, number of a picture) -> checksum of what its values depend on."""
        metrics = describe_metrics(self.metrics.by_name)
        common = {
            run: plain_digest(
                {
                    "run": {k: v for k, v in one.identity.items() if k != "file"},
                    "protocol": protocol_of(self.options, [run]),
                    "metrics": metrics,
                    "device": self.device.type,
                    "torch": torch.__version__,
                }
            )
            for run, one in self.runs.items()
        }

        def key(run: str, name: str, index: int) -> str:
            one = self.sets[name]
            return plain_digest(
                [
                    common[run],
                    one.source.names[index],
                    self.digests[name][index],
                    isinstance(one.source, GreySource),
                    list(one.sigmas),
                ]
            )

        return key


def prepare(options: Options, device: torch.device, run_name: str) -> Benchmark:
    """Open sets, metrics and checkpoints, and find every mistake before the work starts.

    Args:
        options: a whole option file.
        device: where to compute.
        run_name: name of the rows of `path.pretrain_network_g`, where there are no `runs`.

    Raises:
        FileNotFoundError: a folder, a checkpoint or weights are missing.
        ValueError: an image is missing or unreadable, or something does not fit.
    """
    sets = recipe.open_sets(options.datasets.test)
    if not sets:
        raise ValueError("a test needs a test set: add one under `datasets`")
    metrics = recipe.open_metrics(options.val.metric_specs)
    runs = load_runs(options, device, run_name)
    found = distributed.from_main(
        {name: digests_of(_stored(one.source), count=len(one)) for name, one in sets.items()}
        if distributed.rank() == 0
        else {}
    )
    notes = [note for name, one in sets.items() for note in check_set(name, one, found[name])]
    check_metrics(metrics, sets, device)
    digests = {name: list(pictures.values()) for name, pictures in found.items()}
    return Benchmark(options, sets, digests, metrics, runs, device, notes)


def _stored(source: Source) -> Source:
    """The pictures as they are stored, in colour."""
    return source.source if isinstance(source, GreySource) else source


def check_set(name: str, one: EvaluationSet, digests: Mapping[str, str | None]) -> list[str]:
    """Check that the pictures can be read, and are those that the manifest knows under this name.

    Args:
        name: of the set, in the tables.
        one: the set.
        digests: checksum of the pixels by file name; None for what cannot be decoded.

    Returns:
        Notes on pictures that are not those of the manifest.

    Raises:
        ValueError: pictures cannot be read, or are missing from a set that the manifest knows.
    """
    broken = [picture for picture, digest in digests.items() if digest is None]
    if broken:
        raise ValueError(f"{name}: {len(broken)} images cannot be read: {_some(broken)}")
    entry = manifest().get(name)
    if entry is None or not entry.files:
        return []
    findings = compare(entry, digests)
    partial = one.max_images is not None
    if len(one.source) < entry.count or (findings.missing and not partial):
        gone = f", without {_some(findings.missing)}" if not partial else ""
        raise ValueError(
            f"{name}: expected its {entry.count} images, got {len(one.source)}{gone}; a set of "
            "your own needs another name under `datasets`"
        )
    other = findings.altered + findings.extra
    return [f"{name}: not the recorded pictures: {_some(other)}"] if other else []


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def check_metrics(
    metrics: recipe.Metrics, sets: Mapping[str, EvaluationSet], device: torch.device
) -> None:
    """Try every metric on a flat image as small as the smallest one.

    Raises:
        ValueError: an image is too small for a metric.
    """
    for name, one in sets.items():
        sizes = [(*one.source.size(index), index) for index in range(len(one))]
        height, width, smallest = min(sizes, key=lambda size: min(size[:2]))
        channels = 1 if isinstance(one.source, GreySource) else 3
        clean = torch.full((1, channels, height, width), 0.5, device=device)
        for metric in metrics.by_name.values():
            try:
                metric(clean * 0.9, clean)
            except ValueError as error:
                raise ValueError(f"{name}/{one.source.names[smallest]}: {error}") from error


def run_benchmark(
    benchmark: Benchmark,
    folder: Path,
    resume: bool = False,
    on_result: Callable[..., None] | None = None,
    on_progress: Callable[[float, float, str, str], None] | None = None,
) -> recipe.Report:
    """Measure everything, and keep every finished picture in the journal of the folder.

    Args:
        benchmark: from `prepare`.
        folder: the result folder; it exists.
        resume: use what an earlier run left in the journal.
        on_result: see `evaluate_runs`.
        on_progress: see `evaluate_runs`.
    """
    images = benchmark.options.val.save_img
    with FileJournal(folder, benchmark.keys(), resume, images) as journal:
        if resume:
            units = [
                (run, name, index)
                for run in benchmark.runs
                for name, one in benchmark.sets.items()
                for index in range(len(one))
            ]
            known = sum(journal.find(*unit) is not None for unit in units)
            logger.info("known from before: %d of %d pictures x runs", known, len(units))
        rows = evaluate_runs(
            {name: run.denoise for name, run in benchmark.runs.items()},
            benchmark.sets,
            benchmark.metrics.by_name,
            benchmark.device,
            journal=journal,
            on_result=on_result,
            on_progress=on_progress,
        )
    notes = [*benchmark.metrics.notes, *benchmark.notes]
    metrics = recipe.Metrics(benchmark.metrics.by_name, notes)
    return recipe.Report(rows, summarize(rows, list(metrics.labels)), metrics)


def origins(benchmark: Benchmark) -> dict[str, Any]:
    """What the results were made from, for results.json: weights, images, metrics."""
    options = benchmark.options.datasets.test
    return {
        "runs": {name: run.identity for name, run in benchmark.runs.items()},
        "sets": {
            name: {
                "dataroot": options[name].dataroot_gt,
                "channels": options[name].in_ch,
                "images": len(one),
                "digest": set_digest(benchmark.digests[name]),
            }
            for name, one in benchmark.sets.items()
        },
        "metric_weights": {
            name: about["weights"]
            for name, about in describe_metrics(benchmark.metrics.by_name).items()
        },
    }


def tile_differences(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Compare tiles with the whole image, on the first one that is larger than a tile.

    Returns:
        {"run", "set", "image", "sigma", "max_abs", "psnr_change"} per network and noise level:
        the largest difference in 0..255 units before rounding, and PSNR with tiles minus without,
        in dB. Empty where no image is larger.
    """
    tile, overlap = benchmark.options.val.tile, benchmark.options.val.tile_overlap
    assert tile is not None
    place = _larger_than(tile, benchmark.sets)
    if place is None:
        return []
    name, index = place
    one = benchmark.sets[name]
    clean_image = one.source.read_float(index)
    clean = to_batch(clean_image, benchmark.device)
    found = []
    for sigma in one.sigmas:
        noisy = to_batch(evaluation_noise(clean_image, sigma), benchmark.device)
        for run, tested in benchmark.runs.items():
            if tested.network is None:
                continue
            whole = restore(tested.network, noisy).float()
            tiled = restore(tested.network, noisy, tile=tile, overlap=overlap).float()
            score = [float(psnr(to_uint8_range(x), clean)) for x in (tiled, whole)]
            found.append(
                {
                    "run": run,
                    "set": name,
                    "image": one.source.names[index],
                    "sigma": sigma,
                    "max_abs": float((tiled - whole).abs().max()) * 255,
                    "psnr_change": score[0] - score[1],
                }
            )
    return found


def _larger_than(tile: int, sets: Mapping[str, EvaluationSet]) -> tuple[str, int] | None:
    for name, one in sets.items():
        for index in range(len(one)):
            if max(one.source.size(index)) > tile:
                return name, index
    return None
