"""Metrics as the command line names them, plain and enhanced, with their masks.

`NAME`, `NAME=MASKS` for an enhanced metric with another mask file, `NAME:key=value` for arguments:
"mae", "e-mae", "e-mae=E_MAE.pth", "lpips:net=vgg", "e-vgg:backbone=vgg16".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import losses
from losses.pixel import renamed_masks
from restoration.metrics import build_metrics
from restoration.metrics.fingerprint import Function
from restoration.metrics.names import canonical, terms_by_name
from restoration.metrics.registry import Metric, loss_as_metric, share

ON_PIXELS = ("e-mae", "e-mse", "e-psnr", "e-ssim", "e-flip")
MASKED = (*ON_PIXELS, "e-vgg", "e-lpips", "e-dists")
WITH_BACKBONE = ("vgg", "e-vgg")
TRAINED_MASKS = "masks"


@dataclass(frozen=True)
class NamedMetric:
    """A metric to be compared with ratings.

    Args:
        label: its name in tables; other masks or arguments stand in it.
        plain: name of the metric that it enhances, or None for a plain one.
        higher_is_better: which way is better.
        function: (distorted, reference), (1, 3, H, W) in [0, 1] each -> (1,); a `Metric` where it
            may share the features of its backbone.
    """

    label: str
    plain: str | None
    higher_is_better: bool
    function: Function

    @property
    def name(self) -> str:
        """Its label without masks and arguments."""
        return self.label.split(" ")[0]

    @property
    def backbone(self) -> nn.Module | None:
        """What computes its features: the same module for metrics built together on equal ones."""
        loss = self.function.loss if isinstance(self.function, Metric) else None
        return loss.backbone if loss is not None else None

    def enhances(self, other: "NamedMetric") -> bool:
        """Whether this is the other metric with a mask, on the same features."""
        same = self.plain == other.name and self.backbone is other.backbone
        return other.plain is None and same

    def quality(self, values: Any) -> Any:
        """Turn values so that higher is better."""
        return values if self.higher_is_better else -values


def build_named(
    specs: Sequence[str], backbone: str = "embedded", masks: Sequence[str] = ()
) -> list[NamedMetric]:
    """Build the metrics of a command line.

    Args:
        specs: see the header of this file.
        backbone: of vgg and e-vgg where they name none.
        masks: mask files of enhanced metrics that name none: "e-mae=FILE" for one, "FILE" for all.

    Returns:
        The metrics in the given order; those on equal backbones share one.

    Raises:
        ValueError: an unknown name or argument, masks for a metric without, two of one label.
        FileNotFoundError: weights are missing.
    """
    files = _mask_files(masks)
    metrics: list[NamedMetric] = []
    for spec in specs:
        metric = _build(spec, backbone, files)
        if metric.label in [other.label for other in metrics]:
            hint = ": tables could not tell them apart, rename one file" if metric.plain else ""
            raise ValueError(f"expected every metric once, got {metric.label!r} twice{hint}")
        metrics.append(metric)
    if not metrics:
        raise ValueError("expected at least one metric")
    if unused := [name for name in files if name and not any(m.name == name for m in metrics)]:
        raise ValueError(f"masks are given for {unused[0]}, which is not among the metrics")
    share(metric.function for metric in metrics if isinstance(metric.function, Metric))
    return metrics


def _mask_files(masks: Sequence[str]) -> dict[str, str]:
    """Mask file by metric; "" stands for all the others."""
    files: dict[str, str] = {}
    for given in masks:
        name, equals, file = given.partition("=")
        name, file = (canonical(name), file) if equals else ("", given)
        if name and name not in MASKED:
            raise ValueError(f"expected masks of {', '.join(MASKED)}, got {given!r}")
        if name in files:
            raise ValueError(f"expected one mask file for each metric, got {files[name]}, {file}")
        files[name] = file
    return files


def _build(spec: str, backbone: str, files: Mapping[str, str]) -> NamedMetric:
    head, *options = spec.split(":")
    name, equals, named_file = head.partition("=")
    name, arguments = canonical(name), dict(map(_argument, options))
    if equals and name not in MASKED:
        raise ValueError(f"expected masks for {', '.join(MASKED)}, got {spec!r}")
    notes = {option.partition("=")[0]: _short(option) for option in options}
    if name in MASKED:
        if name in ON_PIXELS and "weights" in arguments:
            former = arguments.pop("weights")
            arguments["masks"] = renamed_masks(arguments.get("masks"), former, name)
        masks = named_file or arguments.get("masks") or files.get(name) or files.get("")
        if masks:
            arguments["masks"] = masks
            others = {key: notes[key] for key in notes if key in arguments and key != "masks"}
            notes = {"masks": _mask_name(masks), **others}
    if name in WITH_BACKBONE:
        arguments.setdefault("backbone", backbone)
    label = f"{name} ({', '.join(notes.values())})" if notes else name
    plain = name.removeprefix("e-") if name in MASKED else None
    higher, function = _function(name, arguments)
    return NamedMetric(label, plain, higher, function)


def _mask_name(file: str) -> str:
    """A mask file in a label; `masks train` calls every one `masks`, and its folder by its name."""
    path = Path(file)
    return path.parent.name if path.stem == TRAINED_MASKS and path.parent.name else path.stem


def _short(option: str) -> str:
    """An option as a label shows it: a file without its folder."""
    key, equals, value = option.partition("=")
    return f"{key}{equals}{Path(value).name or value}"


def _argument(option: str) -> tuple[str, Any]:
    """`key=value`; the value is a number or true or false where it reads as one."""
    key, equals, value = option.partition("=")
    if not equals or not key:
        raise ValueError(f"expected NAME:key=value, got {option!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _function(name: str, arguments: dict[str, Any]) -> tuple[bool, Function]:
    """Direction and function; loss terms first, as PSNR there is finite for identical images."""
    terms = terms_by_name()
    if name not in terms or name in ("ssim", "lpips"):  # as tables of a test print them
        metric = next(iter(build_metrics([{"type": name, **arguments}]).values()))
        return metric.higher_is_better, metric
    term = losses.build_term(terms[name], reduction="none", **arguments)
    term.to(memory_format=torch.channels_last)  # as images are read; 1.5 times as fast on a CPU
    return term.higher_is_better, loss_as_metric(name, terms[name], term, arguments)
