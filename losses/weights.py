"""The manifest of frozen weights: what they are, where they come from, and their checksums.

Weights that this project trained ship inside the package. Weights of others are never shipped:
a user's own copy is given by path, or `fetch` brings it into the cache when the user asks.
"""

import hashlib
import http.client
import os
import pickle
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

PRETRAINED = Path(__file__).parent / "pretrained"
AUTHORS = "https://raw.githubusercontent.com/ugurcogalan06/Enhanced-IQM/main/weights"
AUTHORS_LICENCE = "none stated by the authors: for your own use, not redistributed here"
AUTHORS_DATA = "KADID-10k opinion scores (arXiv:2305.19858)"


@dataclass(frozen=True)
class Weights:
    """One entry of the manifest.

    Args:
        file: file name, in `losses/pretrained` or in the cache.
        licence: what the licence allows, or SPDX name.
        trained_on: the data behind the weights.
        url: where `fetch` gets the file; None for files that ship with the package.
        git_blob: sha1 of "blob <bytes><NUL>" + content; checked after a download.
    """

    file: str
    licence: str
    trained_on: str
    url: str | None = None
    git_blob: str | None = None

    @property
    def path(self) -> Path:
        """Where the file lives on this machine, whether it is there or not."""
        return (cache_dir() if self.url else PRETRAINED) / self.file


def _authors(name: str, blob: str) -> Weights:
    file = f"{name}.pth"
    return Weights(file, AUTHORS_LICENCE, AUTHORS_DATA, f"{AUTHORS}/{file}", blob)


def _shipped(file: str, trained_on: str, blob: str) -> Weights:
    return Weights(file, "Apache-2.0", trained_on, git_blob=blob)


CALIBRATED = "BSDS500 train and test, rated by KADID-10k's mean opinion per kind and level"

MANIFEST: dict[str, Weights] = {
    "embedded_backbone": _shipped(
        "embedded_backbone.safetensors",
        "distilled from VGG-19 on BSDS500 train and test",
        "e562b9066f13b1f52817eda755f0ae938503f2d2",
    ),
    "masks_e_vgg_embedded": _shipped(
        "masks_e_vgg_embedded.safetensors",
        "pseudo-opinion on BSDS500 train and test",
        "07531a73fb5b9553e125cff97e87f51d76b7a4c6",
    ),
    "pixel_mask_e_mae": _shipped(
        "pixel_mask_e_mae.safetensors",
        CALIBRATED,
        "be44f3d211010b4adfffa80bc878ce75aeec5c6c",
    ),
    "pixel_mask_e_psnr": _shipped(
        "pixel_mask_e_psnr.safetensors",
        CALIBRATED,
        "a599c4330d57ad8c6d5f51d5b9d88756b410ec0f",
    ),
    "masks_e_vgg_vgg16": _shipped(
        "masks_e_vgg_vgg16.safetensors",
        CALIBRATED,
        "77ff1345af3ef23505d525bcecb70328c59d3c30",
    ),
    "masks_e_vgg_vgg19": _shipped(
        "masks_e_vgg_vgg19.safetensors",
        "pseudo-opinion on BSDS500 train and test",
        "f0294369b6f65fd7bf1478512480c1d03ca88c51",
    ),
    "pixel_mask_e_ssim": _shipped(
        "pixel_mask_e_ssim.safetensors",
        "pseudo-opinion on BSDS500 train and test",
        "31c311740d9c09d41d02e68216cb3c380a404bc9",
    ),
    "E_VGG": _authors("E_VGG", "9c2cd40cb95a39dae792bb7cc6079d7bbbbd7041"),
    "E_LPIPS": _authors("E_LPIPS", "081775fb3a7f4c9ce27103d7b7332924a348bd23"),
    "E_DISTS": _authors("E_DISTS", "ff9630fac4c044cb1b7bf2342bc8a1ad94c2e926"),
    "E_MAE": _authors("E_MAE", "256c2f314d14cfafe9ff59824107038288756748"),
}


def cache_dir() -> Path:
    """Folder of downloaded weights: $RESTORATION_WEIGHTS, or ~/.cache/restoration."""
    return Path(os.environ.get("RESTORATION_WEIGHTS", "~/.cache/restoration")).expanduser()


def git_blob_id(content: bytes) -> str:
    """Return the id under which git stores this content."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def resolve(name_or_path: str | Path) -> Path:
    """Find a weights file by its manifest name or by path.

    Raises:
        FileNotFoundError: it is not there; the message says where it goes and how to get it.
    """
    entry = MANIFEST.get(str(name_or_path))
    path = entry.path if entry else Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if entry is None:
        raise FileNotFoundError(
            f"weights file {path} does not exist (known names: {', '.join(MANIFEST)})"
        )
    if entry.url is None:
        raise FileNotFoundError(f"{path} ships with the package but is missing: reinstall it")
    raise FileNotFoundError(
        f"weights {name_or_path} are not on this machine: run `restoration weights fetch "
        f"{name_or_path}`, or put {entry.file} ({entry.url}) at {path}, or give the path of your "
        f"own copy. Licence: {entry.licence}"
    )


def _entry(name: str) -> Weights:
    if name not in MANIFEST:
        raise ValueError(f"unknown weights {name!r}; known: {', '.join(MANIFEST)}")
    return MANIFEST[name]


def fetch(name: str, timeout: float = 30.0) -> Path:
    """Download a manifest entry into the cache and verify its checksum.

    Args:
        name: a key of MANIFEST.
        timeout: seconds to wait for the server.

    Returns:
        The path of the verified file.

    Raises:
        ValueError: unknown name, or the content does not have the recorded checksum.
        ConnectionError: the server cannot be reached.
    """
    entry = _entry(name)
    if entry.url is None:
        return resolve(name)
    try:
        with urllib.request.urlopen(entry.url, timeout=timeout) as response:  # noqa: S310
            content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"cannot fetch {entry.url} ({error}); copy the file to {entry.path} by hand"
        ) from error
    found = git_blob_id(content)
    if entry.git_blob and found != entry.git_blob:
        raise ValueError(f"{entry.url}: expected git blob {entry.git_blob}, got {found}")
    entry.path.parent.mkdir(parents=True, exist_ok=True)
    part = entry.path.with_suffix(".part")
    part.write_bytes(content)
    return part.replace(entry.path)


def verify(name: str) -> bool:
    """Return whether the local file of a manifest entry has the recorded checksum.

    Raises:
        ValueError: unknown name.
        FileNotFoundError: see `resolve`.
    """
    entry = _entry(name)
    return entry.git_blob is None or git_blob_id(resolve(name).read_bytes()) == entry.git_blob


def load_state_dict(name_or_path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors, or from .pth without running pickled code.

    Raises:
        FileNotFoundError: see `resolve`.
        ValueError: the file holds no state dict.
    """
    path = resolve(name_or_path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is not a readable weights file: {error}") from error
    state = state.get("params", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a state dict of tensors, got {type(state).__name__}")
    return dict(state)
