"""A checker of darktable's model packages, written from its published description.

Source: darktable, src/ai/README.md (what its backend reads, its denoise task), and the pages
"Pipeline reference" and "AI Model Policy" of darktable-ai (the package, the card).
"""

import json
import re
import zipfile

import numpy as np

REQUIRED = ("id", "name", "description", "task", "backend", "version")
CARD = ("license", "training_data", "training_data_license", "source", "scope", "author", "notes")


def check_package(path):
    """Open a package as darktable does; returns its configuration and what runs its network."""
    import onnxruntime

    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None
        names = package.namelist()
        folders = {name.partition("/")[0] for name in names}
        assert len(folders) == 1, "one folder, which is named after the model"
        (folder,) = folders
        assert sorted(names) == [f"{folder}/config.json", f"{folder}/model.onnx"]
        config = json.loads(package.read(f"{folder}/config.json"))
        content = package.read(f"{folder}/model.onnx")
    _check_config(config, folder)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    _check_interface(session)
    return config, lambda image: session.run(["output"], {"input": image})[0]


def _check_config(config, folder):
    assert [key for key in REQUIRED if not isinstance(config.get(key), str)] == []
    assert config["id"] == folder
    assert re.fullmatch(r"denoise(-[a-z0-9]+)+", config["id"]), "task, hyphens, lower case"
    assert config["task"] == "denoise" and config["backend"] == "onnx"
    assert config["tiling"] is True and config.get("num_inputs", 1) == 1
    assert [field for field in CARD if not config["model_card"].get(field)] == []


def _check_interface(session):
    """One input and one output, [1, 3, H, W] float32 with sides that may be any."""
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, answered.name) == ("input", "output")
    for tensor in (given, answered):
        assert tensor.type == "tensor(float)"
        assert tensor.shape[:2] == [1, 3]
        assert all(isinstance(side, str) for side in tensor.shape[2:]), "dynamic"


def try_tiles(run):
    """Sizes of tiles, and what is left at the edges of an image: sizes and values stay."""
    for height, width in ((256, 256), (250, 133)):
        image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
        answer = run(image)
        assert answer.shape == image.shape and answer.dtype == np.float32
        assert np.isfinite(answer).all() and answer.min() >= 0 and answer.max() <= 1
