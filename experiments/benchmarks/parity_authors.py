"""The authors' own scripts of the enhanced metrics, each behind (distorted, reference) -> value.

They expect a GPU and their own folder to run in. Masks of E-VGG, E-LPIPS and E-DISTS are not in
their repository's checkout; both sides are given masks that are drawn here.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from parity_peers import Function, Peer, offline
from safetensors.torch import save_file
from torch import Tensor, nn

import losses

VGG16_CHANNELS = (64, 128, 256, 512, 512)
FEATURE_SCRIPTS: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
    ("E-VGG", "Masked_VGG", "EVGG", "distorted_first", {"backbone": "vgg16"}),
    ("E-LPIPS", "Masked_LPIPS", "E_LPIPS_Runner", "reference_first", {}),
    ("E-DISTS", "Masked_DISTS", "E_DISTS_Runner", "reference_first", {}),
)


def pixel_scripts(authors: Path) -> Iterator[Peer]:
    """E-MAE, E-MSE, E-PSNR and E-SSIM with the masks that the authors released."""
    for name, script in (("E-MAE", "L1"), ("E-MSE", "L2"), ("E-PSNR", "PSNR"), ("E-SSIM", "SSIM")):
        file = f"{name.replace('-', '_')}.pth"
        module, network = _authors_network(authors, f"Masked_{script}", file.removesuffix(".pth"))
        theirs = partial(_their_ssim, module, network) if name == "E-SSIM" else network
        ours = losses.build_term(name, masks=str(authors / "weights" / file))
        choice = ("has no ceiling of 120 dB", partial(_unbounded_psnr, ours))
        yield Peer(
            name, _in_float64(ours), "authors' script", _in_float64(theirs),
            *(choice if name == "E-PSNR" else ()),
        )  # fmt: skip


def _unbounded_psnr(ours: Any, x: Tensor, y: Tensor) -> Tensor:
    x, y = x.double(), y.double()
    return -10 * torch.log10((ours.mask(x, y) * (x - y)).square().mean())


def _in_float64(function: Function) -> Function:
    """In float32 an E-PSNR of 115 dB is rounding, and depends on the order of the operations."""
    return lambda x, y: function(x.double(), y.double())


def _their_ssim(module: Any, network: Any, distorted: Tensor, reference: Tensor) -> Tensor:
    """E-SSIM from the parts of its script, whose own `forward` names a variable that is not set."""
    mask = network.mask_finder_1(torch.cat([reference, distorted], 1))
    return module.ssim(reference * mask, distorted * mask).mean()


def _authors_network(authors: Path, module: str, name: str) -> tuple[Any, nn.Module]:
    before = Path.cwd()
    sys.path.insert(0, str(authors))
    os.chdir(authors)
    try:
        with mock.patch.object(nn.Module, "cuda", lambda self, *args: self):
            script = importlib.import_module(module)
            script.device = "cpu"  # type: ignore[attr-defined]  # a global of their command
            return script, getattr(script, name)().double().eval()
    finally:
        os.chdir(before)
        sys.path.remove(str(authors))


def feature_scripts(authors: Path, weights: Path) -> Iterator[Peer]:
    """The authors' scripts of feature metrics, with masks drawn here: theirs are not at hand."""
    file = weights / "vgg16_features.safetensors"
    for name, script, network, order, arguments in FEATURE_SCRIPTS:
        channels = (3, *VGG16_CHANNELS) if name == "E-DISTS" else VGG16_CHANNELS
        torch.manual_seed(0)
        masks = losses.MaskBank(channels).state_dict()
        masks |= {k: 20 * v for k, v in masks.items() if k.endswith("conv3.0.weight")}
        with mock.patch("torch.load", _load_instead(name, masks)), offline(weights):
            _, theirs = _authors_network(authors, script, network)
        with TemporaryDirectory() as folder:
            save_file(masks, Path(folder) / "masks.safetensors")
            given = {"masks": f"{folder}/masks.safetensors", "weights": str(file), "order": order}
            ours = losses.build_term(name, **given, **arguments)
        yield Peer(name, _in_float64(ours), "authors' script, random masks", _on_cpu(theirs))


def _load_instead(name: str, masks: dict[str, Tensor]) -> Callable[..., Any]:
    """`torch.load`, which finds the masks where a script reads those of this metric."""
    load = torch.load

    def read(path: str, **kwargs: Any) -> Any:
        if Path(path).stem == name.replace("-", "_"):
            return masks
        return load(path, map_location="cpu", weights_only=True)

    return read


def _on_cpu(network: nn.Module) -> Function:
    """Call what moves its tensors to a GPU."""

    def call(x: Tensor, y: Tensor) -> Tensor:
        with mock.patch.object(Tensor, "cuda", lambda self, *args: self):
            return network(x.double(), y.double())

    return call
