"""The sample stream stays what it was: numbers computed before degradations could be chosen."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from restoration.data import DenoisingDataset, FolderSource, Mixing, write_png
from restoration.degradations import BatchDegradation, Chain, evaluation_noise
from restoration.options.datasets import TestSet, TrainSet

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "stream.json").read_text())
SETTINGS = {
    "blind": ({"sigma_range": [0, 50]}, None, True),
    "constant": ({"sigma_type": "constant", "sigma_range": 25}, None, True),
    "choice": ({"sigma_type": "choice", "sigma_range": [15, 25, 50]}, None, True),
    "mixup": ({"sigma_range": [0, 50]}, Mixing(beta=1.2), True),
    "always_mixup": ({"sigma_range": [0, 50]}, Mixing(beta=1.2, identity=False), True),
    "no_symmetries": ({"sigma_range": [10, 20]}, None, False),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("golden")
    for number, (height, width) in enumerate(GOLDEN["sizes"]):
        generator = np.random.default_rng(number)
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        write_png(root / f"{number}.png", image)
    return FolderSource(root)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("spelling", ["sigma_range", "degradation"])
def test_samples_are_those_of_older_versions(source, name, spelling):
    options, mixing, turned = SETTINGS[name]
    degradations = TrainSet(dataroot_gt="x", **options).degradations
    if spelling == "degradation":
        degradations = TrainSet(dataroot_gt="x", degradation=[degradations]).degradations
    chain = Chain(degradations)
    dataset = DenoisingDataset(source, GOLDEN["seed"], chain, turned, mixing)
    close = {"rtol": 0, "atol": GOLDEN["tolerance"]}
    for expected in GOLDEN["samples"][name]:
        sample, drawn = (
            dataset[expected["sample"], GOLDEN["patch"]],
            dataset.draw(expected["sample"]),
        )
        partner = None if drawn.partner is None else drawn.partner.image
        assert (drawn.image, partner) == (expected["image"], expected["partner"])
        assert (drawn.lam, drawn.noise_seed) == (expected["lam"], expected["noise_seed"])
        sigma = chain.links[0].degradation.draw([drawn.uniform] * 5)
        assert sigma == (expected["sigma"],)
        digest = hashlib.sha256(np.ascontiguousarray(sample["crop"].numpy()).tobytes())
        assert digest.hexdigest()[:16] == expected["crop"]
        batch = {key: value[None] for key, value in sample.items()}
        degraded, clean = (image.double() for image in BatchDegradation(chain)(batch, "cpu"))
        np.testing.assert_allclose(degraded.mean(), expected["input_mean"], **close)
        np.testing.assert_allclose(degraded.std(), expected["input_sd"], **close)
        np.testing.assert_allclose(degraded.flatten()[:3], expected["input_first"], **close)
        np.testing.assert_allclose(clean.mean(), expected["target_mean"], **close)


@pytest.mark.parametrize("sigma", GOLDEN["evaluation_noise"])
def test_noise_of_tests_is_that_of_older_versions(sigma):
    image = np.random.default_rng(9).random((10, 14, 3)).astype(np.float32)
    noisy = evaluation_noise(image, float(sigma))
    expected = GOLDEN["evaluation_noise"][sigma]
    assert hashlib.sha256(noisy.tobytes()).hexdigest()[:16] == expected["sha"]
    assert TestSet(dataroot_gt="x", sigma_test=float(sigma)).degradations == {
        "type": "gaussian",
        "sigma": [float(sigma)],
    }
