import numpy as np
import pytest
import torch
from scipy import ndimage

from restoration.data import write_png
from restoration.masking import train as masks
from restoration.masking.opinion import OpinionTable, draw_table, ensemble

SETTINGS = masks.MaskSettings(
    num_steps=60, size=32, crop=32, batch_references=3, batch_versions=3, seed=1
)


@pytest.fixture(scope="module")
def table():
    """Noise in a smooth half is seen, the same error in a striped half is not."""
    rng = np.random.default_rng(0)
    stripes = 128 + 100 * np.sign(np.sin(np.arange(32) * 1.6))[None, :, None]
    references, versions, scores = [], [], []
    for _ in range(6):
        reference = np.full((32, 32, 3), 128.0) + rng.uniform(-20, 20)
        reference[16:] = stripes
        rows, values = [], []
        for k in range(6):
            strength = 10 + 6 * k
            half = slice(0, 16) if rng.random() < 0.5 else slice(16, 32)
            distorted = reference.copy()
            distorted[half] += rng.normal(0, strength, (16, 32, 3))
            rows.append(distorted.clip(0, 255).astype(np.uint8))
            values.append(0.5 - strength / 80 if half.start == 0 else 1 - strength / 400)
        references.append(reference.clip(0, 255).astype(np.uint8))
        versions.append(rows)
        scores.append(values)
    arrays = (np.array(a) for a in (references, versions, np.zeros((6, 6), int), scores))
    return OpinionTable(*arrays)


def trained(table, **options):
    torch.manual_seed(0)
    trainer = masks.MaskTrainer("e-mae")
    masks.train_masks(trainer, table, SETTINGS, **options)
    return trainer


def test_the_mask_learns_what_the_plain_metric_cannot_know(table):
    trainer = trained(table)
    plain, _ = masks.agreement(lambda r, d: trainer.distance(r, d, masked=False), table)
    enhanced, per_kind = masks.agreement(trainer.distance, table)
    assert enhanced > plain + 0.1
    assert set(per_kind) == {0}


def test_resume_equals_uninterrupted(table, tmp_path):
    whole = trained(table)
    file = tmp_path / "progress.pt"
    trained(table, progress_file=file, stop_at=25)
    resumed = trained(table, progress_file=file)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_mapping_falls_with_the_distance():
    mapped = masks.MappingNetwork()(torch.logspace(-5, 0, 50))
    assert (mapped.diff() < 0).all()
    assert (mapped >= 0).all() and (mapped <= 1).all()


def test_rank_loss_prefers_the_right_order():
    wanted = torch.tensor([0.1, 0.5, 0.9])
    assert masks.rank_loss(wanted, wanted) < masks.rank_loss(wanted.flip(0), wanted)


def test_gradient_dissimilarity_against_scipy():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 3, 12, 13, generator=generator)
    found = masks.gradient_dissimilarity(x, y)[0, 0].numpy()
    magnitudes = []
    for image in (x, y):
        grey = np.tensordot([0.299, 0.587, 0.114], image[0].double().numpy(), 1)
        parts = [ndimage.prewitt(grey, axis, mode="nearest") / 3 for axis in (0, 1)]
        magnitudes.append(np.hypot(*parts))
    a, b = magnitudes
    wanted = 1 - (2 * a * b + masks.GMSD_C) / (a**2 + b**2 + masks.GMSD_C)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_blocks_average_to_the_distance(table):
    trainer = masks.MaskTrainer("e-mae")
    pair = torch.rand(2, 2, 3, 32, 32)
    plain = trainer.distance(*pair, masked=False)
    torch.testing.assert_close(plain, (pair[0] - pair[1]).abs().mean((1, 2, 3)))


def test_ensemble_is_monotone_and_in_range():
    raw = np.random.default_rng(0).normal(size=(5, 4))
    scores = ensemble({"a": raw, "b": np.exp(raw)})
    assert scores.min() == 0 and scores.max() == 1
    assert (np.argsort(scores, axis=None) == np.argsort(raw, axis=None)).all()


def test_pseudo_opinion_of_real_distortions_falls_with_the_error():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    smooth = ndimage.gaussian_filter(image, (4, 4, 0)).astype(np.uint8)
    table = draw_table([smooth], 2, 6, 64, seed=0)
    assert table.scores.shape == (2, 6)
    again = draw_table([smooth], 2, 6, 64, seed=0)
    np.testing.assert_array_equal(table.scores, again.scores)
    np.testing.assert_array_equal(table.versions, again.versions)


def test_command_writes_masks(tmp_path):
    import losses

    rng = np.random.default_rng(0)
    for number in range(2):
        coarse = rng.uniform(0, 255, (140, 140, 3))
        write_png(tmp_path / f"{number}.png", ndimage.gaussian_filter(coarse, 3).astype(np.uint8))
    out = tmp_path / "masks.safetensors"
    command = ["--kind", "e-mae", "--images", str(tmp_path), "--out", str(out)]
    masks.main([*command, "--steps", "1", "--references", "6"])
    assert losses.load_masks(out, (3,)).channels == (3,)


def test_bad_kind():
    with pytest.raises(ValueError, match="e-vgg"):
        masks.MaskTrainer("e-vgg")
