"""What TensorBoard is told of a run beside its curves: options, hyperparameters, charts."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from restoration.degradations.conditions import Condition
from restoration.evaluate.rows import Mean, condition_slug
from restoration.options.load import dump_yaml
from restoration.options.schema import Options

VALIDATION = "val"  # first part of the tags of validations


def value_tag(metric: str, name: str, condition: Condition, several: bool) -> str:
    """Tag of a value of a validation, such as "psnr/sigma25", or "psnr/Kodak24/sigma25".

    Args:
        metric: its name.
        name: of the set.
        condition: that the set was degraded by.
        several: whether there are several sets, whose names tell their values apart.
    """
    return "/".join([metric, *([name] if several else []), condition_slug(condition)])


def value_tags(means: Iterable[Mean], several: bool) -> dict[str, float]:
    """Values of a validation by tag, metric by metric; see `value_tag`."""
    means = list(means)
    return {
        value_tag(metric, mean.set, mean.condition, several): mean.values[metric]
        for metric in (means[0].values if means else {})
        for mean in means
    }


def hyperparameters(options: Options) -> dict[str, Any]:
    """What runs are distinguished by, as flat values."""
    train, images = options.train, options.datasets.train
    assert train is not None and images is not None  # of a training
    return {
        "network": str((options.network_g or {})["type"]),
        **{f"weight/{name}": float(weight) for name, weight in train.weights().items()},
        "optimizer": train.optim_g.type,
        "lr": train.optim_g.lr,
        "scheduler": train.scheduler.type,
        "total_iter": train.total_iter,
        "batch_size_per_gpu": images.batch_size_per_gpu,
        "accumulate": train.accumulate,
        "gt_size": max(images.stages[2]),
        "ema_decay": train.ema_decay,
        "amp": train.amp,
        "manual_seed": options.manual_seed,
    }


def introduce(
    tb: SummaryWriter, options: Options, step: int, metrics: Sequence[str], tags: Sequence[str]
) -> None:
    """Tell TensorBoard of a run: options as text, hyperparameters, and which charts to draw.

    Args:
        tb: of the run.
        options: of the run, with weights of loss terms as numbers.
        step: that the run starts from.
        metrics: of the validations; each gets one chart with all sets and levels.
        tags: of the validations, see `value_tags`.
    """
    text = dump_yaml(options)
    tb.add_text("options", "".join(f"    {line}\n" for line in text.splitlines()), step)
    named = {f"{VALIDATION}/{tag}": 0.0 for tag in tags}
    for summary in hparams(hyperparameters(options), named):
        tb.file_writer.add_summary(summary)  # type: ignore[attr-defined]
    if metrics:
        charts = {name: ["Multiline", [rf"{VALIDATION}/{re.escape(name)}/.*"]] for name in metrics}
        tb.add_custom_scalars({"validation": charts})
