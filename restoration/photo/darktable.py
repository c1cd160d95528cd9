"""darktable's package of a denoiser: `ID.dtmodel`, a zip of `ID/model.onnx` and `ID/config.json`.

The network sees tiles of [1, 3, H, W], float32, sRGB in [0, 1], as `input`, and answers `output`.

Source:
    darktable, src/ai/README.md, and the pipeline reference and model policy of darktable-ai, which
    also say what a model must tell of itself to be taken into darktable's own list.
"""

import json
import re
import tempfile
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from losses.naming import check_name
from restoration.archs.denoisers import DEFAULT, DENOISERS, GAUSSIAN, PHOTO
from restoration.archs.protocol import image_channels
from restoration.photo.exported import Run
from restoration.photo.onnx_file import open_onnx, write_onnx

VERSION = "1.0"
DATE = (1980, 1, 1, 0, 0, 0)  # of the files in the zip: equal models, equal packages
NOT_STATED = "not stated"
CARD_FIELDS = (
    *("long_description", "scope", "author", "source", "paper", "license"),
    *("training_data", "training_data_license", "training_code", "notes"),
)
OUR_CARD = {
    "scope": "single-image denoising",
    "author": "the authors of this toolkit",
    "paper": "https://arxiv.org/abs/2111.09881",
    "license": "Apache-2.0",
    "training_data": "BSDS500 train and test, 400 photographs",
    "training_data_license": "free for non-commercial research and educational purposes",
    "training_code": "Apache-2.0, this toolkit",
}
OUR_CARDS = {
    GAUSSIAN: OUR_CARD
    | {
        "long_description": "A small Restormer for Gaussian noise of any level up to 50",
        "source": f"restoration/pretrained/{GAUSSIAN}.md",
        "notes": "trained on added Gaussian noise alone, not on noise of cameras",
    },
    PHOTO: OUR_CARD
    | {
        "long_description": "A small Restormer for the noise of photographs",
        "source": f"restoration/pretrained/{PHOTO}.md",
        "notes": "trained on simulated noise of cameras, Gaussian noise and JPEG",
    },
}


def complete_card(model: str | PathLike[str] | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return every field of a model card: what is given, what we know, or "not stated".

    Args:
        model: as `restoration.photo.model.load_denoiser` takes it.
        given: fields that the caller states.

    Raises:
        ValueError: there is no such field.
    """
    for field in given:
        check_name("field of a card", field, CARD_FIELDS)
    name = DEFAULT if model is None else str(model)
    known = OUR_CARDS.get(name, {})
    if not known and name in DENOISERS:
        entry = DENOISERS[name]
        known = {"license": entry.licence, "training_data": entry.trained_on}
    return {field: str(given.get(field, known.get(field, NOT_STATED))) for field in CARD_FIELDS}


def write_dtmodel(
    denoiser: nn.Module,
    options: Mapping[str, Any] | None,
    path: Path,
    half: bool,
    identifier: str = "denoiser",
    card: Mapping[str, str] | None = None,
) -> Run:
    """Write a package that darktable imports; returns what runs the network in it.

    Args:
        denoiser: takes colour images.
        options: of the network.
        path: of the package.
        half: whether weights are float16.
        identifier: what the model is called, from which its id is made.
        card: fields of its model card.

    Raises:
        ValueError: the network is for grey images, or see `write_onnx`.
    """
    if image_channels(denoiser) != 3:
        raise ValueError("darktable denoises colour: expected a network for 3 channels, got 1")
    name = identify(identifier)
    config = {
        "id": name,
        "name": name.replace("-", " "),
        "description": f"{(options or {}).get('type', type(denoiser).__name__)} denoiser",
        "task": "denoise",
        "arch": str((options or {}).get("type", type(denoiser).__name__)).lower(),
        "backend": "onnx",
        "version": VERSION,
        "tiling": True,
        "num_inputs": 1,
        "model_card": dict(card or complete_card(path, {})),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(denoiser, options, file, half)
        content = file.read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for member, data in (
            ("model.onnx", content),
            ("config.json", (json.dumps(config, indent=4) + "\n").encode()),
        ):
            package.writestr(zipfile.ZipInfo(f"{name}/{member}", DATE), data, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as package:
        return open_onnx(package.read(f"{name}/model.onnx"))


def identify(text: str) -> str:
    """An id as darktable has them: lower case, hyphens, the task first."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain if plain.startswith("denoise-") else f"denoise-{plain}"
