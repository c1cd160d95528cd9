"""Weights that option files give as shares of the gradient, measured once at the start of a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from losses import Criterion, gradient_norms
from losses.shares import weights_for
from restoration.common import distributed
from restoration.data import BatchPlan, CropDataset, PatchSchedule, make_loader
from restoration.options.load import load_options
from restoration.options.schema import Options
from restoration.options.training import Share, Train
from restoration.train.criterion import build_criterion
from restoration.train.loop import Trainer

NUM_BATCHES = 32
DIGITS = 6  # of weights: what is written is what is trained with


@dataclass(frozen=True)
class Measured:
    """What a loss term does at the start of a training: means over batches.

    Attributes:
        value: of the term, unweighted.
        norm: L2 norm of d term / d prediction over all values of a batch.
    """

    value: float
    norm: float


def provisional_criterion(recipe: Train) -> Criterion:
    """Build the loss of a recipe, with weight 1 for every share that has no value yet."""
    unmeasured = recipe.unmeasured_shares()
    return build_criterion(
        [
            term | ({"weight": 1.0} if term.get("name", term["type"]) in unmeasured else {})
            for term in recipe.terms()
        ]
    )


def measure(
    trainer: Trainer,
    dataset: CropDataset,
    patches: PatchSchedule,
    accumulate: int = 1,
    num_batches: int = NUM_BATCHES,
) -> dict[str, Measured]:
    """Measure every term of a trainer's loss on the first batches of its training.

    The network is in evaluation mode, so that nothing in it changes, and takes no step.

    Args:
        trainer: network and loss, before the first step.
        dataset: the sample stream.
        patches: crop and batch of every step.
        accumulate: micro-batches per step.
        num_batches: how many micro-batches, on each rank.

    Returns:
        Means over the batches of all ranks, by name of the term.
    """
    sums: dict[str, list[Tensor]] = {name: [] for name in trainer.criterion.names}
    for prediction, target in _predictions(trainer, dataset, patches, accumulate, num_batches):
        norms = gradient_norms(trainer.criterion, prediction, target)
        with torch.no_grad():
            values = dict(trainer.criterion.each(prediction, target))
        for name, norm in norms.items():
            sums[name].append(torch.stack([values[name].float(), norm]))
    means = {name: torch.stack(some).mean(0).tolist() for name, some in sums.items()}
    ranks = distributed.gather([means])
    return {
        name: Measured(*(fmean(rank[name][k] for rank in ranks) for k in (0, 1))) for name in means
    }


def _predictions(
    trainer: Trainer,
    dataset: CropDataset,
    patches: PatchSchedule,
    accumulate: int,
    num_batches: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield prediction and target of the first batches of a training."""
    rank, processes = distributed.rank(), distributed.world_size()
    steps = -(-num_batches // accumulate)
    plan = BatchPlan(patches, 0, steps, rank, processes, accumulate)
    trainer.network.eval()
    for batch in islice(make_loader(dataset, plan), num_batches):
        degraded, target = trainer.degrade(batch, trainer.device)
        with torch.no_grad():
            yield trainer.predict(degraded), target


def set_weights(recipe: Train, measured: dict[str, Measured]) -> Train:
    """Turn every share into the weight that gives it.

    Args:
        recipe: the training's options.
        measured: every term of its loss, see `measure`.

    Returns:
        The options with a value for every share, rounded to DIGITS.

    Raises:
        ValueError: a term has no gradient.
    """
    norms = {name: term.norm for name, term in measured.items()}
    weights = weights_for(norms, recipe.weights(), recipe.unmeasured_shares())
    recipe = recipe.model_copy(deep=True)
    for term in recipe.losses:
        if isinstance(term.weight, Share) and term.weight.value is None:
            value = float(f"{weights[term.name or term.type]:.{DIGITS}g}")
            term.weight = Share(share=term.weight.share, value=value)
    return recipe


def resolve_shares(
    options: Options, trainer: Trainer, dataset: CropDataset, patches: PatchSchedule
) -> Options:
    """Measure the weights that are given as shares, and set them, before the first step.

    Args:
        options: of the run.
        trainer: its network at the start, and its loss, which gets the weights.
        dataset: the sample stream.
        patches: crop and batch of every step.

    Returns:
        The options, with a value for every share.

    Raises:
        ValueError: a term has no gradient.
    """
    recipe = options.train
    if recipe is None or not recipe.unmeasured_shares():
        return options
    recipe = set_weights(recipe, measure(trainer, dataset, patches, recipe.accumulate))
    trainer.criterion.weights = recipe.weights()
    return options.model_copy(update={"train": recipe})


def adopt_weights(options: Options, folder: Path) -> Options:
    """Take the weights that an earlier start of a run measured, where its loss is the same.

    Args:
        options: of the run.
        folder: of the run; without options.yml in it, the options stay as they are.
    """
    file, recipe = folder / "options.yml", options.train
    if recipe is None or not recipe.unmeasured_shares() or not file.is_file():
        return options
    earlier = load_options(file, model=Options).train
    if earlier is None or earlier.as_given() != recipe.as_given():
        return options
    return options.model_copy(
        update={"train": recipe.model_copy(update={"losses": earlier.losses})}
    )
