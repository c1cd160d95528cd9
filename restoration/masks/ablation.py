"""Ablation of mask training: variants trained and measured alike, one table, one figure.

As in arXiv:2305.19858: which distortions, levels and references the masks learn from, and what that
does to their agreement with quality ratings.
"""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

import losses
from restoration.common import distributed, durable
from restoration.common.folders import OPTIONS_FILE
from restoration.common.progress import Progress, no_progress
from restoration.common.reading import read_object
from restoration.data import open_source
from restoration.degradations.distortions import distort
from restoration.masks import run
from restoration.masks.ablation_report import Row, draw_maps, error_map, write_table
from restoration.masks.data import describe, open_table
from restoration.masks.options import AblationPlan, MaskOptions, load_ablation
from restoration.masks.outcome import agreement, distances
from restoration.masks.trainable import EnhancedMetric
from restoration.opinion.pairs import to_tensor
from restoration.opinion.table import OpinionTable
from restoration.options.load import dump_yaml
from restoration.options.run_folder import own_folder

logger = logging.getLogger("restoration")
VARIANTS = "variants"


@dataclass(frozen=True)
class Ablation:
    """What an ablation measured.

    Args:
        folder: holds the files.
        rows: plain metrics first, then the variants.
        about: what was measured on what, in words.
    """

    folder: Path
    rows: list[Row]
    about: str


def ablate(
    plan: str | Path | AblationPlan,
    *,
    folder: str | Path | None = None,
    device: str | torch.device = "cpu",
    resume: bool = False,
    progress: Progress = no_progress,
) -> Ablation:
    """Train every variant that is not trained yet, and measure all on the same ratings.

    Args:
        plan: from `load_ablation`, or the path of its file.
        folder: of the ablation; default: `experiments/<name>`.
        device: where masks are trained and measured.
        resume: continue with an interrupted ablation in the folder.
        progress: shows how far the work is.

    Raises:
        FileNotFoundError: images, weights or the option file are missing.
        ValueError: what is wrong in the options, or what does not fit.
        FloatingPointError: the loss of a variant is not finite.
    """
    if not isinstance(plan, AblationPlan):
        plan = load_ablation(plan)
    folder = Path(folder or Path("experiments") / plan.name)
    place = distributed.choose_device(str(device))
    _check(plan, folder, resume)
    test = open_table(plan.settings.test, plan.seed, progress)
    with own_folder(folder, keep=resume):
        return _run(plan, folder, place, test, progress)


def _run(
    plan: AblationPlan,
    folder: Path,
    place: torch.device,
    test: OpinionTable,
    progress: Progress,
) -> Ablation:
    """Train, measure and write, in a folder that is made."""
    durable.write_text(folder / OPTIONS_FILE, dump_yaml(plan.settings))
    for number, (name, options) in enumerate(plan.variants.items(), start=1):
        logger.info("variant %d of %d: %s", number, len(plan.variants), name)
        variant_folder = folder / VARIANTS / name
        if (variant_folder / run.SCORES).is_file():  # it is written last
            logger.info("trained already")
            continue
        run.train(
            options,
            folder=variant_folder,
            tb_folder=folder / "tb_logger" / name,
            device=place,
            resume=True,
            test=test,
            progress=progress,
        )
    rows = _measure(plan, folder, test, place, progress)
    about = (
        f"Spearman correlation with the ratings of the test ({plan.settings.test.type}): "
        f"{describe(test)}; higher is better."
    )
    write_table(folder, rows, about)
    _draw(plan, folder, place)
    return Ablation(folder, rows, about)


def _check(plan: AblationPlan, folder: Path, resume: bool) -> None:
    """Find every mistake of every variant before the first one is trained."""
    for name, options in plan.variants.items():
        variant_folder = folder / VARIANTS / name
        if resume and (variant_folder / OPTIONS_FILE).is_file():
            run.check_unchanged(options, variant_folder)
        try:
            run.build_metric(options)
        except (ValueError, OSError) as error:
            raise type(error)(f"variant {name}: {error}") from error
    _figure_pair(plan)


def _figure_pair(plan: AblationPlan) -> tuple[np.ndarray, np.ndarray]:
    """Reference and distorted image of the figure, (H, W, 3) uint8."""
    pair = plan.settings.figure
    reference = open_source(pair.image).read(0)
    return reference, distort(reference, pair.distortion, pair.level, plan.seed)


def _trained_metric(options: MaskOptions, file: Path, device: torch.device) -> EnhancedMetric:
    metric = options.metric.model_copy(update={"masks": str(file)})
    return run.build_metric(options.model_copy(update={"metric": metric})).to(device)


def _plain_name(metric: EnhancedMetric) -> str:
    return f"plain {metric.kind.removeprefix('e-')}"


def _measure(
    plan: AblationPlan, folder: Path, test: OpinionTable, device: torch.device, progress: Progress
) -> list[Row]:
    """A row per plain metric, and one per variant."""
    plain: dict[str, Row] = {}
    enhanced: list[Row] = []
    kinds = {options.metric.model_dump_json() for options in plan.variants.values()}
    count = (len(kinds) + len(plan.variants)) * len(test.references)
    with progress("measuring", count) as advance:

        def row(metric: EnhancedMetric, masked: bool, name: str, training: str) -> Row:
            values = distances(partial(metric, masked=masked), test, advance, device)
            return Row(name, training, *agreement(values, test, by_family=True))

        for name, options in plan.variants.items():
            variant_folder = folder / VARIANTS / name
            metric = _trained_metric(options, variant_folder / run.MASKS, device)
            key = options.metric.model_dump_json()
            if key not in plain:
                plain[key] = row(metric, False, _plain_name(metric), "-")
            scores = read_object(variant_folder / run.SCORES)
            enhanced.append(row(metric, True, name, str(scores.get("training"))))
    return [*plain.values(), *enhanced]


def _draw(plan: AblationPlan, folder: Path, device: torch.device) -> None:
    """Draw the error maps of one pair: plain, that of the first variant's metric."""
    images = _figure_pair(plan)
    reference, distorted = (to_tensor([image]).to(device) for image in images)
    plain: tuple[str, np.ndarray] | None = None
    maps = {}
    for name, options in plan.variants.items():
        file = folder / VARIANTS / name / run.MASKS
        metric = _trained_metric(options, file, device)
        if plain is None:
            plain = _plain_name(metric), error_map(metric, reference, distorted, masked=False)
        maps[name] = error_map(metric, reference, distorted, scaler=losses.load_scaler(file))
    assert plain is not None  # a plan has a variant
    pair = plan.settings.figure
    titles = ("reference", f"{pair.distortion}, level {pair.level:g}")
    draw_maps(folder / "error_maps.png", dict(zip(titles, images, strict=True)), plain, maps)
