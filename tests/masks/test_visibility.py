"""Where an error shows, by ColorVideoVDP's maps that stand in the table of pairs."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch

import losses
from restoration.masks import visibility
from restoration.masks.batches import MaskSettings, draw_batch, draw_visible
from restoration.masks.contrast import block_agreement
from restoration.masks.place import place_target
from restoration.masks.trainable import EnhancedMetric
from restoration.masks.trainer import MaskTrainer, train_masks
from restoration.opinion.table import OpinionTable


@pytest.fixture
def table():
    """Versions with an error of its own size in every 8x8 block; pairs in no order."""
    rng = np.random.default_rng(0)
    references = rng.integers(60, 120, (3, 32, 40, 3), dtype=np.uint8)
    row = np.array([2, 0, 1, 0, 2, 1])
    steps = rng.integers(1, 100, (6, 4, 5), dtype=np.uint8)
    versions = references[row] + steps.repeat(8, 1).repeat(8, 2)[..., None]
    return OpinionTable(references, versions, row, np.full(6, "noise"), rng.random(6), np.arange(3))


@pytest.fixture
def model(monkeypatch):
    """In the place of ColorVideoVDP: the difference itself; counts its calls."""
    calls = []

    def visible(reference, distorted):
        calls.append(reference.shape)
        return (distorted.astype(float) - reference).mean(2) / 255

    monkeypatch.setattr(visibility, "visibility", visible)
    monkeypatch.setattr(visibility, "_version", lambda: "1")
    return calls


def errors(table):
    difference = table.versions.astype(float) - table.references[table.row]
    return difference[:, ::8, ::8, 0] / 255


def test_maps_stand_at_their_pairs_and_are_kept(table, model, tmp_path):
    kept = tmp_path / "table.cvvdp.npz"
    for _ in range(2):
        found = visibility.with_visibility(table, kept)
        assert found.visible.dtype == np.float16
        np.testing.assert_allclose(found.visible, errors(table), rtol=1e-3)
    assert len(model) == 6  # once per pair
    other = replace(table, versions=table.versions[::-1])
    with pytest.raises(ValueError, match="made for other pairs"):
        visibility.with_visibility(other, kept)
    part = found.subset([1, 2])
    np.testing.assert_array_equal(part.visible, found.visible[[2, 5, 0, 4]])


def test_a_batch_and_its_maps_are_of_one_place(table, model):
    table = visibility.with_visibility(table)
    settings = MaskSettings(crop=16, batch_references=2, batch_versions=2)
    for step in range(12):
        references, versions, _ = draw_batch(table, settings, step)
        seen = draw_visible(table, settings, step)
        blocks = torch.nn.functional.avg_pool2d((versions - references).mean(1, True), 8)
        torch.testing.assert_close(seen, blocks, rtol=1e-3, atol=1e-4)


def test_masks_train_on_the_maps(table, model):
    settings = MaskSettings(
        num_steps=1, crop=16, batch_references=2, batch_versions=2, place="cvvdp"
    )
    trainer = MaskTrainer(EnhancedMetric("e-mae", networks="compact"), "cvvdp")
    with pytest.raises(ValueError, match="expected a table with what is seen"):
        train_masks(trainer, table, settings)
    found = []
    train_masks(
        trainer,
        visibility.with_visibility(table),
        settings,
        on_step=lambda done, terms, norm: found.append(terms["place"]),
    )
    assert found[0] > 0


def test_a_target_without_a_map():
    image = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match="expected a table"):
        place_target("cvvdp", image, image, (2, 2))


def test_agreement_of_blocks():
    rng = np.random.default_rng(0)
    reference = np.full((64, 96, 3), 100, np.uint8)
    step = rng.permutation(6).reshape(2, 3)
    distorted = reference + step.repeat(32, 0).repeat(32, 1)[..., None].astype(np.uint8)
    assert block_agreement(losses.MAE(), reference, distorted, step) == pytest.approx(1)
    assert block_agreement(losses.PSNR(), reference, distorted, -step) == pytest.approx(-1)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    visibility._model.cache_clear()
    with pytest.raises(ValueError, match="needs pycvvdp"):
        visibility.visibility(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))


def test_the_package_is_asked_for_a_raw_map(monkeypatch):
    class Model:
        def __init__(self, **options):
            assert options["heatmap"] == "raw"

        def predict(self, distorted, reference, dim_order):
            assert dim_order == "HWC" and (distorted >= reference).all()
            return 9.0, {"heatmap": torch.full((1, 1, 1, 16, 24), 0.5, dtype=torch.float16)}

    monkeypatch.setitem(sys.modules, "pycvvdp", types.SimpleNamespace(cvvdp=Model))
    visibility._model.cache_clear()
    image = np.zeros((16, 24, 3), np.uint8)
    found = visibility.visibility(image, image + 1)
    assert found.shape == (16, 24) and found.dtype == np.float32
    visibility._model.cache_clear()


def test_mean_of_whole_blocks():
    image = np.arange(6.0).repeat(8).reshape(3, 16).repeat(4, 0)[:11]
    assert visibility.mean_of_blocks(image, 8).shape == (1, 2)
    np.testing.assert_allclose(visibility.mean_of_blocks(image, 8), [[1, 2]])
