"""A benchmark: runs x sets x noise levels x metrics, checked before it starts, and continued."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from restoration.archs.protocol import image_channels
from restoration.common import distributed
from restoration.common.digests import plain_digest
from restoration.data import GreySource, PairedSource, Source
from restoration.data.known_sets import digests_of, set_digest
from restoration.evaluate.candidates import TestedRun, describe_metrics, load_runs, protocol_of
from restoration.evaluate.checks import check_metrics, check_set
from restoration.evaluate.journal import FORMAT, FileJournal
from restoration.evaluate.measure import OnProgress, OnResult, evaluate_runs
from restoration.evaluate.report import Report
from restoration.evaluate.rows import summarize
from restoration.evaluate.sets import EvaluationSet, open_sets
from restoration.metrics import Metrics, open_metrics
from restoration.options.schema import Options

logger = logging.getLogger("restoration")


@dataclass
class Benchmark:
    """Everything that a benchmark needs, checked before its first image.

    Args:
        options: the option file.
        sets: test sets by name.
        digests: checksum of the pixels of every image that is used, by set.
        metrics: what is measured.
        runs: what is tested.
        device: where to compute.
        notes: what a reader of the tables must know.
    """

    options: Options
    sets: dict[str, EvaluationSet]
    digests: dict[str, list[str]]
    metrics: Metrics
    runs: dict[str, TestedRun]
    device: torch.device
    notes: list[str] = field(default_factory=list)

    @property
    def protocol(self) -> str:
        """The protocol in words."""
        return "; ".join([protocol_of(self.options, self.runs), *self._of_grey_sets()])

    def _of_grey_sets(self) -> list[str]:
        """How grey sets are measured, in words."""
        luma = [name for name, test_set in self.sets.items() if test_set.channels == 1]
        repeated = [name for name, test_set in self.sets.items() if test_set.repeats_grey]
        words = []
        if luma:
            text = f"{', '.join(luma)}: grey, the luma of the RGB images, one channel"
            networks = [run.network for run in self.runs.values() if run.network is not None]
            if any(image_channels(network, default=1) > 1 for network in networks):
                text += ", repeated for a colour network, whose answers are averaged"
            words.append(text)
        if repeated:
            words.append(
                f"{', '.join(repeated)}: grey files, measured as three equal channels; noise "
                "differs from channel to channel (`in_ch: 1` measures one channel)"
            )
        return words

    def keys(self) -> Callable[[str, str, int], str]:
        """Return (run, set, number of an image) -> checksum of what its values depend on."""
        metrics = describe_metrics(self.metrics.by_name)
        common = {
            name: plain_digest(
                {
                    "run": {k: v for k, v in run.identity.items() if k != "file"},
                    "protocol": protocol_of(self.options, [name]),
                    "metrics": metrics,
                    "device": self.device.type,
                    "torch": torch.__version__,
                    "format": FORMAT,
                }
            )
            for name, run in self.runs.items()
        }

        def key(run: str, name: str, index: int) -> str:
            test_set = self.sets[name]
            return plain_digest(
                [
                    common[run],
                    test_set.source.names[index],
                    self.digests[name][index],
                    test_set.channels,
                    test_set.definition,
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
    sets = open_sets(options.datasets.test)
    if not sets:
        raise ValueError("a test needs a test set: add one under `datasets`")
    metrics = open_metrics(options.val.metric_specs)
    runs = load_runs(options, device, run_name)
    digests, notes = check_sets(sets)
    notes += [f"{name}: {run.note}" for name, run in runs.items() if run.note]
    check_metrics(metrics, sets, device)
    return Benchmark(options, sets, digests, metrics, runs, device, notes)


def check_sets(sets: Mapping[str, EvaluationSet]) -> tuple[dict[str, list[str]], list[str]]:
    """Read every image that is used, once for all ranks.

    Returns:
        Checksum of the pixels of every image, by set, and notes for a reader of the tables.

    Raises:
        ValueError: see `check_set`.
    """
    by_name = distributed.from_main(
        {
            name: digests_of(_stored(test_set.source), count=len(test_set))
            for name, test_set in sets.items()
        }
        if distributed.rank() == 0
        else {}
    )
    notes: list[str] = []
    for name, test_set in sets.items():
        notes += check_set(name, test_set, by_name[name])
    digests = {name: list(map(str, of_set.values())) for name, of_set in by_name.items()}
    for name, test_set in sets.items():
        if test_set.degraded is not None:
            partners = _partner_digests(name, test_set)
            digests[name] = [f"{a} {b}" for a, b in zip(digests[name], partners, strict=True)]
    return digests, notes


def _partner_digests(name: str, test_set: EvaluationSet) -> list[str]:
    """Checksums of the degraded images of pairs."""
    assert test_set.degraded is not None
    stored = _stored(test_set.degraded)
    found = distributed.from_main(
        digests_of(stored, count=len(test_set)) if distributed.rank() == 0 else {}
    )
    broken = [image for image, digest in found.items() if digest is None]
    if broken:
        raise ValueError(f"{name}: {len(broken)} degraded images cannot be read: {broken[0]}, ...")
    return [str(digest) for digest in found.values()]


def _stored(source: Source) -> Source:
    """The images as they are stored, in colour."""
    source = source.clean if isinstance(source, PairedSource) else source
    return source.source if isinstance(source, GreySource) else source


def run_benchmark(
    benchmark: Benchmark,
    folder: Path,
    resume: bool = False,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Measure everything, and keep every finished image in the journal of the folder.

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
                for name, test_set in benchmark.sets.items()
                for index in range(len(test_set))
            ]
            known = sum(journal.find(*unit) is not None for unit in units)
            logger.info("known from before: %d of %d images x runs", known, len(units))
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
    metrics = Metrics(benchmark.metrics.by_name, notes)
    return Report(rows, summarize(rows), metrics)


def origins(benchmark: Benchmark) -> dict[str, Any]:
    """What the results were made from, for results.json: weights, images, metrics."""
    options = benchmark.options.datasets.test
    return {
        "runs": {name: run.identity for name, run in benchmark.runs.items()},
        "sets": {
            name: {
                "dataroot": options[name].dataroot_gt,
                "channels": options[name].in_ch,
                "images": len(test_set),
                "digest": set_digest(benchmark.digests[name]),
            }
            for name, test_set in benchmark.sets.items()
        },
        "metric_weights": {
            name: about["weights"]
            for name, about in describe_metrics(benchmark.metrics.by_name).items()
        },
    }
