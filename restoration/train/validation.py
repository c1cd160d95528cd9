"""Validations of a training: values by set and condition, images, and which one is the best."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from restoration.common import distributed
from restoration.common.folders import write_json
from restoration.evaluate.measure import Denoise, OnProgress, denoiser_of, evaluate_runs
from restoration.evaluate.rows import (
    AVERAGE,
    Mean,
    Row,
    condition_text,
    only_gaussian,
    summarize,
)
from restoration.evaluate.sets import EvaluationSet
from restoration.train import checkpoint
from restoration.train.pictures import Pictures

if TYPE_CHECKING:
    from restoration.train.run import Run

logger = logging.getLogger("restoration")
BEST_FILE = "best.json"


@dataclass(frozen=True)
class Validation:
    """What one validation found: values per image, and labelled images by name."""

    rows: list[Row]
    pictures: dict[str, Tensor] = field(default_factory=dict)

    @property
    def means(self) -> list[Mean]:
        """Means by set and condition; sets are never mixed."""
        return [mean for mean in summarize(self.rows) if mean.set != AVERAGE]


def validate(run: "Run", on_progress: OnProgress | None = None) -> Validation:
    """Evaluate the network that a test would use, on all ranks together.

    Args:
        run: with the network.
        on_progress: told how far it is, see `evaluate_runs`.
    """
    pictures = _pictures(run)
    rows = evaluate_runs(
        {"restored": _denoiser(run)},
        run.sets,
        run.metrics.by_name,
        run.trainer.device,
        on_result=lambda _, *result: None if pictures is None else pictures.keep(*result),
        on_progress=on_progress,
    )
    if pictures is None:
        return Validation(rows)
    return Validation(rows, dict(distributed.gather(list(pictures.drawn.items()))))


def first_pictures(run: "Run") -> dict[str, Tensor]:
    """Restore the first image of every set with the network as it is, for the trackers."""
    pictures = _pictures(run)
    if pictures is None:
        return {}
    pictures.restore(_denoiser(run))
    return pictures.drawn


def _denoiser(run: "Run") -> Denoise:
    """What restores an image with the network that a test would use."""
    val, noise_map = run.options.val, run.options.datasets.noise_map
    return denoiser_of(run.trainer.tested, val.tile, val.tile_overlap, noise_map)


def _pictures(run: "Run") -> Pictures | None:
    """What collects images; None where nobody looks at them."""
    asked = run.options.logger
    watched = asked.use_tb_logger or asked.wandb.project is not None
    return Pictures(run.sets, run.trainer.device) if watched else None


def is_due(run: "Run", done: int) -> bool:
    """Whether there is a validation after so many steps."""
    every, total = run.options.val.val_freq, run.recipe.total_iter
    return bool(run.sets) and (done % every == 0 or (done == total and every <= total))


def judged_sets(run: "Run") -> dict[str, EvaluationSet]:
    """Sets that "best" is measured on: all if they have the same conditions, else the first."""
    conditions = [set(test_set.conditions) for test_set in run.sets.values()]
    alike = all(some == conditions[0] for some in conditions)
    return run.sets if alike else dict(list(run.sets.items())[:1])


def condition_names(test_set: EvaluationSet) -> str:
    """The conditions of a set in one line; levels alone where all are of Gaussian noise."""
    if only_gaussian(test_set.conditions):
        return str(tuple(condition.level for condition in test_set.conditions))
    return ", ".join(map(condition_text, test_set.conditions))


def best_of(run: "Run") -> str:
    """Say what "best" is measured by: a best of something else is no rival."""
    judged = judged_sets(run)
    sets = (f"{name} ({len(s)}) at {condition_names(s)}" for name, s in judged.items())
    return f"{next(iter(run.metrics.by_name))} on {'; '.join(sets)}"


def score_of(run: "Run", rows: Sequence[Row]) -> float | None:
    """Mean over noise levels, and sets, of the first metric: what "best" means."""
    first, judged = next(iter(run.metrics.by_name)), judged_sets(run)
    means = summarize([row for row in rows if row.set in judged])
    values = [mean.values[first] for mean in means if mean.set == AVERAGE]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def is_better(run: "Run", value: float, best: float | None) -> bool:
    """Whether a score is better than the best one so far."""
    first = next(iter(run.metrics.by_name.values()))
    return best is None or (value > best if first.higher_is_better else value < best)


def keep_best(
    run: "Run", folder: Path, progress: checkpoint.Progress, found: Validation
) -> checkpoint.Progress:
    """Keep the weights if they are the best so far, and say which are.

    Args:
        run: with the network that was validated.
        folder: of the run.
        progress: how far the run is.
        found: by the validation.

    Returns:
        The progress, with this validation in it.
    """
    progress = replace(progress, validated=progress.step)
    score = score_of(run, found.rows)
    if score is not None and is_better(run, score, progress.best):
        progress = replace(progress, best=score, best_step=progress.step, best_of=best_of(run))
        if distributed.rank() == 0:
            checkpoint.save_weights(run.trainer, folder, checkpoint.BEST)
            content = {"step": progress.step, "value": score, "of": progress.best_of}
            write_json(folder / BEST_FILE, content)
    if progress.best is not None:
        at = "at an earlier step" if progress.best_step is None else f"at step {progress.best_step}"
        logger.info("best so far: %.4f %s (%s)", progress.best, at, best_of(run))
    return progress
