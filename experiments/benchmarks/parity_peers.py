"""Other packages' metrics, each behind (distorted, reference) -> value, for parity.py."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

import losses
from restoration.metrics import build_metrics
from restoration.metrics.ms_ssim import SCALE_WEIGHTS
from restoration.metrics.psnr_ssim import ssim_parts

PACKAGES = (
    *("scikit-image", "basicsr", "piq", "torchmetrics", "pytorch-msssim", "kornia", "lpips"),
    *("dists-pytorch", "flip-evaluator"),
)
MODULES = {
    "scikit-image": "skimage",
    "pytorch-msssim": "pytorch_msssim",
    "dists-pytorch": "DISTS_pytorch",
    "flip-evaluator": "flip_evaluator",
}
CLASSIFIERS = {  # shapes that torchvision's networks load beside their convolutions
    "alexnet": {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)},
    "vgg16": {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)},
}

MIRRORS = "mirrors the border and measures it"
MIRRORS_LAST = f"{MIRRORS} at the last scale; averages over channels at each scale"

Function = Callable[[Tensor, Tensor], Tensor | float]


@dataclass(frozen=True)
class Peer:
    """One of ours and one of theirs, and what they choose otherwise, if they do."""

    metric: str
    ours: Function
    name: str
    theirs: Function
    choice: str = ""
    with_their_choice: Function | None = None


def open_peers(weights: Path | None) -> tuple[list[Peer], list[str]]:
    """Everything that can be compared here, and the packages that are not installed."""
    present = [name for name in PACKAGES if _is_installed(name)]
    found = [
        *_psnr(present),
        *_ssim(present),
        *_ms_ssim(present),
        *_flip(present),
        *(_learned(present, weights) if weights is not None else ()),
    ]
    return found, [name for name in PACKAGES if name not in present]


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(MODULES.get(name, name)) is not None


def _ours(name: str, **options: Any) -> Function:
    (metric,) = build_metrics([{"type": name, **options}]).values()
    return metric


def _hwc(image: Tensor) -> Any:
    """(1, 3, H, W) in [0, 1] -> (H, W, 3) float64 in [0, 255]."""
    return (image[0].permute(1, 2, 0).double() * 255).round().numpy()


def _psnr(present: list[str]) -> Iterator[Peer]:
    ours = _ours("psnr")
    if "scikit-image" in present:
        from skimage.metrics import peak_signal_noise_ratio

        yield Peer("PSNR", ours, "scikit-image", lambda x, y: peak_signal_noise_ratio(
            _hwc(y), _hwc(x), data_range=255))  # fmt: skip
    if "basicsr" in present:
        calculate = _basicsr("metrics").calculate_psnr
        yield Peer("PSNR", ours, "basicsr", lambda x, y: calculate(_hwc(x), _hwc(y), 0))
    if "piq" in present:
        import piq

        yield Peer(
            "PSNR", ours, "piq", piq.psnr, "adds 1e-8 to the squared error",
            lambda x, y: -10 * torch.log10(losses.MSE()(x, y) + 1e-8),
        )  # fmt: skip
    if "torchmetrics" in present:
        from torchmetrics.functional.image import peak_signal_noise_ratio as of_torchmetrics

        yield Peer("PSNR", ours, "torchmetrics", partial(of_torchmetrics, data_range=1.0))
    if "kornia" in present:
        import kornia

        yield Peer("PSNR", ours, "kornia", lambda x, y: kornia.metrics.psnr(x, y, 1.0))


def _basicsr(submodule: str) -> Any:
    from restoration.common.basicsr import import_basicsr

    return import_basicsr(submodule)


def _ssim(present: list[str]) -> Iterator[Peer]:
    ours = _ours("ssim")
    if "scikit-image" in present:
        from skimage.metrics import structural_similarity

        wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        yield Peer("SSIM", ours, "scikit-image, Gaussian", lambda x, y: structural_similarity(
            _hwc(y), _hwc(x), data_range=255, channel_axis=2, **wang))  # fmt: skip
    if "basicsr" in present:
        calculate = _basicsr("metrics").calculate_ssim
        yield Peer("SSIM", ours, "basicsr", lambda x, y: calculate(_hwc(x), _hwc(y), 0))
    if "piq" in present:
        import piq

        yield Peer("SSIM", ours, "piq, downsample=False", partial(piq.ssim, downsample=False))
        yield Peer(
            "SSIM", ours, "piq", piq.ssim, "halves larger images before it measures",
            lambda x, y: ours(F.avg_pool2d(x, _factor(x)), F.avg_pool2d(y, _factor(y))),
        )  # fmt: skip
    if "torchmetrics" in present:
        from torchmetrics.functional.image import structural_similarity_index_measure as measure

        theirs = partial(measure, data_range=1.0)
        yield Peer(
            "SSIM", ours, "torchmetrics", theirs, MIRRORS, lambda x, y: _mirrored(ours, x, y)
        )
    if "pytorch-msssim" in present:
        import pytorch_msssim

        yield Peer("SSIM", ours, "pytorch-msssim", partial(pytorch_msssim.ssim, data_range=1.0))
    if "kornia" in present:
        import kornia

        def valid(x: Tensor, y: Tensor) -> Tensor:
            return kornia.metrics.ssim(x, y, 11, padding="valid").mean()

        def same(x: Tensor, y: Tensor) -> Tensor:
            return kornia.metrics.ssim(x, y, 11).mean()

        yield Peer("SSIM", ours, "kornia, padding=valid", valid)
        yield Peer("SSIM", ours, "kornia", same, MIRRORS, lambda x, y: _mirrored(ours, x, y))


def _mirrored(function: Any, *images: Tensor) -> Any:
    """Call a function on images with a mirrored border, as wide as half of SSIM's window."""
    return function(*(F.pad(image, [5] * 4, "reflect") for image in images))


def _factor(image: Tensor) -> int:
    return max(1, round(min(image.shape[-2:]) / 256))


def _ms_ssim(present: list[str]) -> Iterator[Peer]:
    ours = _ours("ms_ssim")
    if "piq" in present:
        import piq

        yield Peer("MS-SSIM", ours, "piq", partial(piq.multi_scale_ssim, data_range=1.0))
    if "torchmetrics" in present:
        from torchmetrics.functional.image import (
            multiscale_structural_similarity_index_measure as measure,
        )

        theirs = partial(measure, data_range=1.0)
        yield Peer(
            "MS-SSIM",
            ours,
            "torchmetrics",
            theirs,
            MIRRORS_LAST,
            _ms_ssim_of_torchmetrics,
        )
    if "pytorch-msssim" in present:
        import pytorch_msssim

        yield Peer(
            "MS-SSIM", ours, "pytorch-msssim", partial(pytorch_msssim.ms_ssim, data_range=1.0)
        )


def _ms_ssim_of_torchmetrics(x: Tensor, y: Tensor) -> Tensor:
    """MS-SSIM that measures a mirrored border at the last scale, and channels together."""
    value, x, y = torch.ones(()), x.double(), y.double()
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        whole, _ = _mirrored(lambda a, b: ssim_parts(a[0], b[0], 1.0), x, y)
        _, contrast = ssim_parts(x[0], y[0], 1.0)
        last = scale == len(SCALE_WEIGHTS) - 1
        value = value * (whole if last else contrast).mean().clamp_min(0) ** weight
    return value


def _flip(present: list[str]) -> Iterator[Peer]:
    if "flip-evaluator" in present:
        import flip_evaluator

        def theirs(x: Tensor, y: Tensor) -> float:
            images = [image[0].permute(1, 2, 0).contiguous().numpy() for image in (y, x)]
            return flip_evaluator.evaluate(*images, "LDR", applyMagma=False)[1]

        yield Peer("FLIP", losses.build_term("FLIP"), "flip-evaluator", theirs)


def _learned(present: list[str], weights: Path) -> Iterator[Peer]:
    with offline(weights):
        yield from _lpips(present, weights)
        yield from _dists(present, weights)


def _lpips(present: list[str], weights: Path) -> Iterator[Peer]:
    files = {"alex": "alexnet_features.safetensors", "vgg": "vgg16_features.safetensors"}
    for net, file in files.items():
        ours = _ours("lpips", net=net, weights=weights / file)
        label = f"LPIPS {net}"
        if "lpips" in present:
            import lpips

            network = lpips.LPIPS(net=net, verbose=False)
            yield Peer(label, ours, "lpips", partial(network, normalize=True))
        if "torchmetrics" in present:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

            metric = LearnedPerceptualImagePatchSimilarity(net_type=net, normalize=True)
            yield Peer(label, ours, "torchmetrics", metric)
    if "piq" in present and "lpips" in present:
        import piq

        yield Peer("LPIPS vgg", ours, "piq", piq.LPIPS())


def _dists(present: list[str], weights: Path) -> Iterator[Peer]:
    ours = losses.build_term("DISTS", weights=str(weights / "vgg16_features.safetensors"))
    if "dists-pytorch" not in present:
        return
    from DISTS_pytorch import DISTS

    yield Peer("DISTS", ours, "dists-pytorch", DISTS().eval())
    if "piq" in present:
        import piq

        def at_256(x: Tensor, y: Tensor) -> Tensor:
            factor = min(1.0, 256 / min(x.shape[-2:]))
            smaller = [
                F.interpolate(image, scale_factor=factor, mode="bilinear") for image in (x, y)
            ]
            return ours(*smaller)

        yield Peer("DISTS", ours, "piq", piq.DISTS(), "shrinks larger images to 256 pixels", at_256)


@contextmanager
def offline(weights: Path) -> Iterator[None]:
    """Give every package the same files instead of what it would download."""

    def load(url: str, *args: Any, **kwargs: Any) -> Any:
        name = url.rsplit("/", 1)[-1]
        if name.startswith(("alexnet", "vgg16")):
            kind = name.split("-")[0]
            state = load_file(weights / f"{kind}_features.safetensors")
            for number, shape in CLASSIFIERS[kind].items():
                state[f"classifier.{number}.weight"] = torch.zeros(()).expand(shape)
                state[f"classifier.{number}.bias"] = torch.zeros(()).expand(shape[0])
            return state
        if name.startswith("lpips"):
            import lpips

            linear = lpips.LPIPS(net="vgg", verbose=False, pnet_rand=True).lins
            return [layer.model[-1].weight.detach() for layer in linear]
        if name.startswith("dists"):
            import DISTS_pytorch

            return torch.load(Path(DISTS_pytorch.__file__).parent / "weights.pt", weights_only=True)
        raise ValueError(f"no file for {url}")

    places = [
        "torch.hub.load_state_dict_from_url",
        "torchvision.models._api.load_state_dict_from_url",
        "piq.perceptual.load_state_dict_from_url",
    ]
    with ExitStack() as stack:
        for place in filter(_has, places):
            stack.enter_context(mock.patch(place, load))
        yield


def _has(place: str) -> bool:
    module, _, name = place.rpartition(".")
    known = importlib.util.find_spec(module.split(".")[0]) is not None
    return known and hasattr(importlib.import_module(module), name)
