"""What every loss term of an option file does at the start of a training, without training."""

from dataclasses import dataclass

import torch

from losses.shares import shares_of, weights_for
from restoration.data import PairedDataset
from restoration.options.schema import Options
from restoration.train.run import build_trainer, check_fit
from restoration.train.shares import NUM_BATCHES, measure, set_weights
from restoration.train.stream import build_degradation_of, open_stream


@dataclass(frozen=True)
class LossRow:
    """One loss term at the start of a training, means over batches.

    Attributes:
        name: in the log.
        value: unweighted.
        norm: L2 norm of d term / d prediction over all values of a batch.
        weight: of the option file, or what its share comes to.
        share: of the gradient, with that weight.
        weight_for_equal: with which every term would have the same share, the first one's kept.
    """

    name: str
    value: float
    norm: float
    weight: float
    share: float
    weight_for_equal: float


def loss_table(
    options: Options, device: torch.device, num_batches: int = NUM_BATCHES
) -> list[LossRow]:
    """Measure every loss term of an option file over the first batches of its training.

    Args:
        options: a whole option file.
        device: where to compute.
        num_batches: how many batches.

    Returns:
        A row per term.

    Raises:
        ValueError: the options miss a part or do not fit, or a term has no gradient.
        FileNotFoundError: images or weights are missing.
    """
    recipe, images, patches, dataset = open_stream(options)
    degrade = build_degradation_of(images, isinstance(dataset, PairedDataset))
    trainer = build_trainer(options, recipe, degrade, device)
    check_fit(trainer, images)
    measured = measure(trainer, dataset, patches, recipe.accumulate, num_batches)
    weights = set_weights(recipe, measured).weights()
    norms = {name: term.norm for name, term in measured.items()}
    shares = shares_of({n: torch.tensor(norm) for n, norm in norms.items()}, weights)
    first, *others = norms
    equal = weights_for(norms, {first: weights[first]}, {n: 1 / len(norms) for n in others})
    return [
        LossRow(name, term.value, term.norm, weights[name], float(shares[name]), equal[name])
        for name, term in measured.items()
    ]
