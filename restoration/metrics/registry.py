"""Metrics by name, each with what a table needs to know about it."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import losses
from losses.base import Features
from losses.criterion import share_backbones
from losses.naming import is_import_path, nearest
from losses.pixel import renamed_masks
from restoration.common.names import Registry
from restoration.metrics.learned import EMae, LossOfRgb, Lpips, weights_needed
from restoration.metrics.ms_ssim import ms_ssim
from restoration.metrics.piq_metrics import PIQ, PiqMetric
from restoration.metrics.psnr_ssim import luma, psnr, ssim
from restoration.metrics.table import Column

Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Metric:
    """A full-reference metric: one value per image.

    Args:
        name: key in results and tables, such as "e_mae".
        label: heading for people, such as "E-MAE x100".
        higher_is_better: which way is better.
        scale: unit or factor of the printed value, in words.
        function: (B, C, H, W) x 2 -> (B,).
        module: the network behind it, whose weights the value depends on, or None.
        digits: of printed values, after the point.
        unit: of the values, such as "dB", or empty.
    """

    name: str
    label: str
    higher_is_better: bool
    scale: str
    function: Callable[[Tensor, Tensor], Tensor]
    module: nn.Module | None = None
    digits: int = 4
    unit: str = ""

    @property
    def column(self) -> Column:
        """What a table says about it."""
        return Column(self.label, self.higher_is_better, self.digits, self.unit)

    @property
    def loss(self) -> losses.Loss | None:
        """The loss term that it is on RGB images, or None."""
        return self.function.loss if isinstance(self.function, LossOfRgb) else None

    def __call__(
        self, prediction: Tensor, target: Tensor, features: Features | None = None
    ) -> Tensor:
        """Compare (B, C, H, W) images in [0, 1] -> (B,), without gradients.

        Args:
            prediction: the image to be measured.
            target: what it is compared with.
            features: of the pair, from a `loss` on the same backbone; None to compute them here.

        Raises:
            ValueError: the images do not fit each other or the metric.
        """
        with torch.no_grad():
            if features is None:
                values = self.function(prediction, target)
            else:
                assert isinstance(self.function, LossOfRgb)
                values = self.function(prediction, target, features)
        assert values.shape == (len(prediction),)
        return values


def _psnr(
    name: str, data_range: float = 1.0, crop_border: int = 0, test_y_channel: bool = False
) -> Metric:
    """PSNR in dB, higher is better.

    Args:
        name: of the column.
        data_range: of the images, 1 for [0, 1].
        crop_border: pixels that are left out at every side.
        test_y_channel: measure the luma alone, as deraining and super-resolution do.
    """
    on_rgb = partial(psnr, data_range=data_range, crop_border=crop_border)
    function, channels, mark = _on_channels(on_rgb, data_range, test_y_channel)
    scale = _protocol(f"dB on {channels}", data_range, crop_border)
    return Metric(name, f"PSNR{mark}", True, scale, function, digits=2, unit="dB")


def _ssim(
    name: str, data_range: float = 1.0, crop_border: int = 0, test_y_channel: bool = False
) -> Metric:
    """SSIM as MATLAB and BasicSR compute it, higher is better.

    Args:
        name: of the column.
        data_range: of the images, 1 for [0, 1].
        crop_border: pixels that are left out at every side.
        test_y_channel: measure the luma alone, as deraining and super-resolution do.
    """
    on_rgb = partial(ssim, data_range=data_range, crop_border=crop_border)
    function, channels, mark = _on_channels(on_rgb, data_range, test_y_channel)
    scale = _protocol(f"11x11 Gaussian, valid region, {channels}", data_range, crop_border)
    return Metric(name, f"SSIM{mark}", True, scale, function)


def _on_channels(
    on_rgb: Distance, data_range: float, test_y_channel: bool
) -> tuple[Distance, str, str]:
    """Measure RGB images, or their luma as deraining and super-resolution do.

    Returns:
        The distance, the channels that it measures, and what marks them in a heading.
    """
    if not test_y_channel:
        return on_rgb, "RGB", ""

    def on_luma(prediction: Tensor, target: Tensor) -> Tensor:
        return on_rgb(luma(prediction, data_range), luma(target, data_range))

    return on_luma, "Y", " (Y)"


def _ms_ssim(name: str, data_range: float = 1.0, crop_border: int = 0) -> Metric:
    """MS-SSIM over five scales, higher is better.

    Args:
        name: of the column.
        data_range: of the images, 1 for [0, 1].
        crop_border: pixels that are left out at every side.
    """
    function = partial(ms_ssim, data_range=data_range, crop_border=crop_border)
    scale = _protocol("five scales, 11x11 Gaussian, valid region, RGB", data_range, crop_border)
    return Metric(name, "MS-SSIM", True, scale, function)


def _lpips(name: str, net: str = "alex", weights: str | Path | None = None) -> Metric:
    """LPIPS, version 0.1, lower is better.

    Args:
        name: of the column.
        net: "alex" (the one that papers report) or "vgg".
        weights: torchvision's file of the backbone; None for the published weights, of which
            AlexNet's ship.
    """
    scale = f"version 0.1, {net}, input in [-1, 1]"
    function = Lpips(net, weights)
    return Metric(name, "LPIPS", False, scale, function, function.loss)


def _e_mae(name: str, masks: str | Path | None = None, weights: str | Path | None = None) -> Metric:
    """E-MAE, printed times 100 as the publication does; lower is better.

    Args:
        name: of the column.
        masks: mask file, or a name of the weights manifest such as the authors' "E_MAE"; None
            for the mask that ships.
        weights: the former name of `masks`.
    """
    masks = renamed_masks(masks, weights, name)
    function = EMae(masks)
    named = masks or losses.EnhancedMAE.shipped
    blob = losses.weights.git_blob_id(losses.weights.resolve(named).read_bytes())
    scale = f"times 100, mask {Path(named).name}, git blob {blob[:8]}"
    return Metric(name, "E-MAE x100", False, scale, function, function.loss, digits=5)


def _piq(kind: str, name: str) -> Metric:
    _, label, higher_is_better = PIQ[kind]
    return Metric(name, label, higher_is_better, "piq's own settings, RGB", PiqMetric(kind))


def _protocol(what: str, data_range: float, crop_border: int) -> str:
    return f"{what}, data range {data_range:g}, crop {crop_border}"


MetricFactory = Callable[..., Metric]

_OWN: dict[str, MetricFactory] = {
    "psnr": _psnr,
    "ssim": _ssim,
    "ms_ssim": _ms_ssim,
    "lpips": _lpips,
    "e_mae": _e_mae,
}
METRICS: Registry[MetricFactory] = Registry(
    "a metric", {**_OWN, **{kind: partial(_piq, kind) for kind in PIQ}}
)


# pyiqa's names of what has another name here; its `ssim` is of luma, ours of RGB
PYIQA: dict[str, tuple[str, dict[str, Any]]] = {
    "psnry": ("psnr", {"test_y_channel": True}),
    "ssimc": ("ssim", {}),
    "lpips_vgg": ("lpips", {"net": "vgg"}),
}


def register_metric(name: str) -> Callable[[MetricFactory], MetricFactory]:
    """Give a metric a short name for `val.metrics`; a decorator.

    What is registered is called with the name of the column and the further keys of the option
    file, and returns a `Metric`.
    """
    return METRICS.register(name)


def known_metrics() -> list[str]:
    """Names that `build_metrics` takes: METRICS, then the loss terms that are not among them."""
    return list(METRICS) + [n for n in map(_canonical, losses.TERMS) if n not in METRICS]


def build_metrics(names: Sequence[str | Mapping[str, Any]]) -> dict[str, Metric]:
    """Build metrics from the list of an option file or command line.

    Args:
        names: each a name ("psnr", "E-MAE", "vgg"; case, '-' and BasicSR's prefix "calculate_"
            do not matter), or a mapping with `type`, optional `name` (the key in the results) and
            the arguments of that metric, as in {"type": "lpips", "net": "vgg"}. Any loss term
            serves too, under its own arguments; and pyiqa's names `psnry`, `ssimc`, `lpips-vgg`.

    Returns:
        The metrics by name, in the given order; those on equal backbones share one.

    Raises:
        ValueError: no or unknown name, unknown argument, two metrics of one name.
        MetricUnavailable: weights that a metric needs are not here; a ValueError.
    """
    metrics: dict[str, Metric] = {}
    for given in names:
        metric = _build(given)
        if metric.name in metrics:
            raise ValueError(
                f"expected every metric once, got two named {metric.name!r}: "
                "give one of them another `name`"
            )
        metrics[metric.name] = metric
    share(metrics.values())
    return metrics


def share(metrics: Iterable[Metric]) -> None:
    """Let metrics whose backbones are equal use one, whose features they can share."""
    share_backbones(metric.loss for metric in metrics if metric.loss is not None)


def _build(given: str | Mapping[str, Any]) -> Metric:
    options = {"type": given} if isinstance(given, str) else given
    if not isinstance(options, Mapping) or not isinstance(options.get("type"), str):
        raise ValueError(f"expected the name of a metric or a mapping with `type`, got {given!r}")
    options = dict(options)
    given_kind = options.pop("type")
    if is_import_path(given_kind):
        factory = METRICS.find(given_kind)
        name = options.pop("name", given_kind.rpartition(":")[2].lower())
        return factory(name, **options)
    kind = _canonical(given_kind)
    name = options.pop("name", kind)
    if kind in PYIQA:
        own, arguments = PYIQA[kind]
        return _build({"type": own, "name": name, **arguments, **options})
    if kind in METRICS:
        _check_options(kind, options)
        return _named(METRICS[kind](name, **options), kind)
    for term in losses.TERMS:
        if _canonical(term) == kind:
            return _named(_loss_metric(name, term, options), kind)
    known = known_metrics()
    raise ValueError(f"unknown metric {kind!r}; known: {', '.join(known)}{nearest(kind, known)}")


def _named(metric: Metric, kind: str) -> Metric:
    """Write a name of the user's own into the heading, which two variants of a kind would share."""
    if metric.name == kind:
        return metric
    return replace(metric, label=f"{metric.label} ({metric.name})")


def _check_options(kind: str, options: Mapping[str, Any]) -> None:
    known = list(inspect.signature(METRICS[kind]).parameters)[1:]  # the first is the name
    for option in options:
        if option not in known:
            raise ValueError(
                f"unknown argument {option!r} of metric {kind}; known: {', '.join(known)}"
            )


def _loss_metric(name: str, term: str, options: Mapping[str, Any]) -> Metric:
    with weights_needed(term):
        loss = losses.build_term(term, **{**options, "reduction": "none"})
    return loss_as_metric(name, term, loss, options)


def loss_as_metric(name: str, term: str, loss: losses.Loss, options: Mapping[str, Any]) -> Metric:
    """Make a metric of a loss term.

    Args:
        name: of the column.
        term: type of the loss, the heading for people.
        loss: with the reduction "none".
        options: arguments that it was built with, for the scale in words.
    """
    settings = [f"{key} {value}" for key, value in options.items()]
    unit = [f"in {loss.unit}"] if loss.unit else []
    scale = ", ".join(["value of the loss term", *unit, *settings])
    function = LossOfRgb(loss)
    return Metric(name, term, loss.higher_is_better, scale, function, loss, unit=loss.unit)


def _canonical(name: str) -> str:
    return name.lower().replace("-", "_").removeprefix("calculate_")
