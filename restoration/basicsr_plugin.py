"""What this project offers to users of BasicSR 1.4.2, registered by importing this module.

After `import restoration.basicsr_plugin` these names work in BasicSR's own YAML; a name that is
taken there stays theirs.

- network_g: Restormer, restormer_s, restormer_xs.
- pixel_opt, perceptual_opt: the loss terms in LOSS_NAMES. BasicSR adds the answer of `pixel_opt`
  to the total, but unpacks that of `perceptual_opt` as (perceptual, style). The weight's name,
  which differs in the two places there too, says which is meant: with `loss_weight` a loss answers
  a scalar, with `perceptual_weight` the pair (scalar, None). Other keys go to the loss term.
- val.metrics: calculate_e_mae, calculate_lpips and calculate_<any other loss term>. Write
  `better: lower`, BasicSR assumes higher. Its calculate_psnr and calculate_ssim are right as
  they are.
- datasets: GaussianDenoisingDataset; model_type: DenoisingModel, which pads when it validates.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import losses
from restoration.archs import ARCHS, build, restore
from restoration.common.basicsr import import_basicsr
from restoration.data import draw, open_source, symmetric
from restoration.degradations import BatchDegradation, Chain, evaluation_noise
from restoration.degradations.chain import as_tensors
from restoration.metrics import Metric, build_metrics, known_metrics

import_basicsr()
_registries = import_basicsr("utils.registry")
_SRModel: Any = import_basicsr("models.sr_model").SRModel

LOSS_NAMES = {
    "SSIM": "SSIMLoss",
    "PSNR": "PSNRLoss",
    "VGG": "VGGFeatureLoss",
    "E-VGG": "EVGGLoss",
    "E-MAE": "EMAELoss",
    "E-MSE": "EMSELoss",
    "E-PSNR": "EPSNRLoss",
    "E-SSIM": "ESSIMLoss",
    "LPIPS": "LPIPSLoss",
    "E-LPIPS": "ELPIPSLoss",
    "FLIP": "FLIPLoss",
    "E-FLIP": "EFLIPLoss",
    "DISTS": "DISTSLoss",
    "E-DISTS": "EDISTSLoss",
    "MILO": "MILOLoss",
}
BASICSR_METRICS = ("psnr", "ssim")


class TermLoss(nn.Module):
    """A loss term of this project in BasicSR's manner; subclasses name the term.

    Args:
        loss_weight: weight of the scalar that a loss in `pixel_opt` answers; 1 by default.
        perceptual_weight: instead of it, weight of the pair that one in `perceptual_opt` answers.
        **options: arguments of the term, such as `masks` or `backbone`.

    Raises:
        ValueError: both weights, or an unknown argument of the term.
    """

    term: ClassVar[str]

    def __init__(
        self,
        loss_weight: float | None = None,
        perceptual_weight: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if loss_weight is not None and perceptual_weight is not None:
            raise ValueError("expected loss_weight or perceptual_weight, got both")
        self.answers_pair = perceptual_weight is not None
        weight = perceptual_weight if self.answers_pair else loss_weight
        given = {**options, "type": self.term, "weight": 1.0 if weight is None else weight}
        self.criterion = losses.build([given])

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor | tuple[Tensor, None]:
        """Compare (B, 3, H, W) RGB images in [0, 1]: a weighted scalar, or that and None."""
        total, _ = self.criterion(prediction, target)
        return (total, None) if self.answers_pair else total


class GaussianDenoisingDataset(Dataset[dict[str, Any]]):
    """Clean images and the same with Gaussian noise, RGB, as BasicSR's models expect them.

    In training, every visit draws a crop, a symmetry, sigma and noise anew, from `seed`, from the
    seed that torch gives a worker (a new one per epoch, unlike NumPy's under BasicSR) and from the
    count of visits. In validation, noise follows Restormer's protocol: seed 0 for each image.

    Args:
        opt: BasicSR's options of a data set. Read here: `phase`; `dataroot_gt`, a folder, an LMDB
            folder or `skimage:astronaut,...`; `gt_size`, `geometric_augs` (true), `seed` (0) and
            `sigma_range` ([0, 50]) for training; `sigma_test` (25) otherwise. A `sigma_type` of
            "random", "constant" or "choice" says what `sigma_range` is. Sigma in 0..255 units.

    Raises:
        ValueError: a setting is missing or makes no sense.
        FileNotFoundError: no such folder.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        for key in ("phase", "dataroot_gt"):
            if key not in opt:
                raise ValueError(f"expected {key!r} in the options of {type(self).__name__}")
        for key in ("use_hflip", "use_rot"):
            if key in opt:
                raise ValueError(f"expected `geometric_augs` (the 8 symmetries), got {key!r}")
        self.opt = opt  # BasicSR's validation asks the data set for opt["name"]
        self.train = opt["phase"] == "train"
        self.source = open_source(opt["dataroot_gt"])
        self.root = str(opt["dataroot_gt"])
        self.augment = bool(opt.get("geometric_augs", True))
        self.seed = int(opt.get("seed", 0))
        self.sigma = _sigma(opt) if self.train else float(opt.get("sigma_test", 25))
        self.chain = Chain({"type": "gaussian", "sigma": self.sigma})
        self.degrade = BatchDegradation(self.chain)
        self.size = _crop_size(opt) if self.train else 0
        self.visits: dict[int, int] = {}

    def __len__(self) -> int:
        """Number of images."""
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`lq` and `gt`, (3, H, W) float32, clean in [0, 1], and `lq_path`, `gt_path`."""
        lq, gt = self._crop(index) if self.train else self._whole(index)
        path = f"{self.root}/{self.source.names[index]}"
        return {"lq": lq, "gt": gt, "lq_path": path, "gt_path": path}

    def _crop(self, index: int) -> tuple[Tensor, Tensor]:
        visit = self.visits[index] = self.visits.get(index, -1) + 1
        seed = (self.seed + torch.initial_seed()) % 2**64
        sample = visit * len(self) + index
        chosen = draw(seed, sample, len(self), augment=self.augment)
        image = self.source.read(index)  # (H, W, 3); BasicSR's sampler has chosen the image
        room = [side - self.size for side in image.shape[:2]]
        if min(room) < 0:
            raise ValueError(
                f"expected images of at least {self.size}x{self.size} pixels, "
                f"got {image.shape[0]}x{image.shape[1]} in {self.source.names[index]}"
            )
        top, left = int(chosen.top * (room[0] + 1)), int(chosen.left * (room[1] + 1))
        crop = image[top : top + self.size, left : left + self.size]
        crop = symmetric(crop, chosen.symmetry)[None].transpose(0, 3, 1, 2)  # (1, 3, P, P)
        drawn = self.chain.draw(chosen.uniform, chosen.noise_seed, _no_more)
        parameters, seeds = as_tensors(*drawn)
        batch = {"parameters": parameters[None], "seeds": seeds[None]}
        noisy, clean = self.degrade({**batch, "crop": torch.from_numpy(crop.copy())}, "cpu")
        return noisy[0], clean[0]

    def _whole(self, index: int) -> tuple[Tensor, Tensor]:
        clean = self.source.read_float(index)  # (H, W, 3)
        noisy = evaluation_noise(clean, self.sigma)
        return _to_chw(noisy), _to_chw(clean)


class DenoisingModel(_SRModel):
    """BasicSR's SRModel for networks that want sides of certain multiples: pads and crops."""

    def test(self) -> None:
        """Restore `self.lq` at its own size, clamped to [0, 1]."""
        network = self.net_g_ema if hasattr(self, "net_g_ema") else self.net_g
        self.output = restore(self.get_bare_model(network), self.lq)


def _to_chw(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.moveaxis(image, 2, 0).copy())  # (H, W, 3) -> (3, H, W)


def _no_more(link: int) -> list[float]:
    raise AssertionError("Gaussian noise alone needs no more numbers")


def _crop_size(opt: Mapping[str, Any]) -> int:
    size = opt.get("gt_size")
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"expected gt_size, the side of a crop, got {size!r}")
    return size


def _sigma(opt: Mapping[str, Any]) -> Any:
    """Restormer's `sigma_type` and `sigma_range` as a degradation takes them."""
    kind, given = opt.get("sigma_type", "random"), opt.get("sigma_range", [0, 50])
    if kind == "constant" and isinstance(given, int | float):
        return float(given)
    if kind not in ("random", "choice") or not isinstance(given, list | tuple):
        raise ValueError(
            "expected sigma_type random or choice with a list as sigma_range, or constant with a "
            f"number, got {kind!r} and {given!r}"
        )
    return list(given) if kind == "random" else {"choice": list(given)}


def _to_rgb_batch(image: np.ndarray, crop_border: int, input_order: str) -> Tensor:
    """BasicSR's BGR (H, W, 3) in 0..255 as RGB (1, 3, h, w) in [0, 1]; grey is (1, 1, h, w)."""
    if input_order not in ("HWC", "CHW"):
        raise ValueError(f"expected input_order HWC or CHW, got {input_order!r}")
    if image.ndim == 2:
        image = image[:, :, None]
    elif input_order == "CHW":
        image = image.transpose(1, 2, 0)
    height, width = image.shape[:2]
    if not 0 <= 2 * crop_border < min(height, width):
        raise ValueError(f"expected a crop_border that fits {height}x{width}, got {crop_border}")
    inner = image[crop_border : height - crop_border, crop_border : width - crop_border, ::-1]
    return _to_chw(inner.astype(np.float32) / 255)[None]


@cache
def _metric(name: str, options: str) -> Metric:
    (metric,) = build_metrics([{"type": name, **json.loads(options)}]).values()
    return metric


def _metric_function(name: str) -> Callable[..., float]:
    """One metric under BasicSR's signature."""

    def calculate(
        img: np.ndarray,
        img2: np.ndarray,
        crop_border: int = 0,
        input_order: str = "HWC",
        test_y_channel: bool = False,
        better: str | None = None,  # for BasicSR's record of the best value
        **options: Any,
    ) -> float:
        if test_y_channel:
            raise ValueError(f"expected test_y_channel: false for {name}, which is made for RGB")
        x, y = (_to_rgb_batch(i, crop_border, input_order) for i in (img, img2))
        return _metric(name, json.dumps(options, sort_keys=True))(x, y).item()

    calculate.__name__ = calculate.__qualname__ = f"calculate_{name}"
    calculate.__doc__ = f"{name} of two (H, W, 3) BGR images in 0..255, in BasicSR's manner."
    return calculate


def _preset(name: str) -> Callable[..., nn.Module]:
    """A function of that name that builds the network; BasicSR registers what has a name."""

    def build_preset(**options: Any) -> nn.Module:
        return build(name, **options)

    build_preset.__name__ = build_preset.__qualname__ = name
    return build_preset


def register() -> list[str]:
    """Put everything into BasicSR's registries; harmless when repeated.

    Returns:
        The names that were new there.
    """
    archs = [arch if isinstance(arch, type) else _preset(name) for name, arch in ARCHS.items()]
    loss_classes = [
        type(name, (TermLoss,), {"term": term, "__doc__": f"{term} in BasicSR's manner."})
        for term, name in LOSS_NAMES.items()
    ]
    metrics = [_metric_function(name) for name in known_metrics() if name not in BASICSR_METRICS]
    offered: list[tuple[Any, list[Any]]] = [
        (_registries.ARCH_REGISTRY, archs),
        (_registries.LOSS_REGISTRY, loss_classes),
        (_registries.METRIC_REGISTRY, metrics),
        (_registries.DATASET_REGISTRY, [GaussianDenoisingDataset]),
        (_registries.MODEL_REGISTRY, [DenoisingModel]),
    ]
    new = []
    for registry, things in offered:
        for thing in things:
            if thing.__name__ not in registry:
                registry.register(thing)
                new.append(thing.__name__)
    return new


REGISTERED = register()
