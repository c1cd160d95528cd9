import numpy as np
import pytest
import torch
from scipy import stats

from restoration.degradations import BatchDegradation, Chain, evaluation_noise, gaussian

corrupt = BatchDegradation(Chain({"type": "gaussian", "sigma": [0, 255]}))


def _batch(size: int = 6, patch: int = 16, sigma: float = 25.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def crops():
        shape = (size, 3, patch, patch)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    return {
        "crop": crops(),
        "parameters": torch.full((size, 1, 1), sigma),
        "seeds": torch.arange(size)[:, None] + 2**62,
        "lam": torch.ones(size),
        "partner_crop": crops(),
        "partner_parameters": torch.full((size, 1, 1), 40.0),
        "partner_seeds": torch.arange(size)[:, None] + 17,
    }


def _plain(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: batch[name] for name in ("crop", "parameters", "seeds")}


def test_clean_is_the_crop_and_noise_is_not_clipped():
    batch = _plain(_batch(sigma=50.0))
    noisy, clean = corrupt(batch, "cpu")
    assert noisy.shape == clean.shape == (6, 3, 16, 16) and noisy.dtype == torch.float32
    np.testing.assert_allclose(clean, batch["crop"].numpy() / 255, atol=1e-7)
    assert noisy.min() < 0 and noisy.max() > 1
    assert len(torch.unique(noisy)) > 0.99 * noisy.numel()  # not rounded to 8 bits


@pytest.mark.parametrize("sigma", [5.0, 15.0, 50.0])
def test_noise_is_gaussian_of_the_right_width(sigma):
    noisy, clean = corrupt(_plain(_batch(4, 96, sigma)), torch.device("cpu"))
    residual = (noisy - clean).double().numpy() * 255 / sigma
    assert residual.std() == pytest.approx(1, abs=0.01) and abs(residual.mean()) < 0.02
    assert stats.kstest(residual[0].ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(residual[0].ravel(), residual[1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(residual[0, 0].ravel(), residual[0, 1].ravel())[0, 1]) < 0.05


def test_sigma_is_per_sample_and_zero_is_clean():
    batch = _plain(_batch()) | {"parameters": torch.tensor([0.0, 50, 0, 10, 20, 30]).view(6, 1, 1)}
    noisy, clean = corrupt(batch, "cpu")
    widths = (noisy - clean).flatten(1).std(1) * 255
    torch.testing.assert_close(noisy[::2][:2], clean[::2][:2], rtol=0, atol=0)
    np.testing.assert_allclose(widths, batch["parameters"].flatten(), rtol=0.1)


def test_noise_does_not_depend_on_the_batch():
    batch = _batch()
    batch["lam"][::2] = 0.3
    noisy, clean = corrupt(batch, "cpu")
    order = torch.tensor([4, 0, 5, 1, 3, 2])
    for rows in (order[:1], order[1:3], order[3:]):
        again = corrupt({name: value[rows] for name, value in batch.items()}, "cpu")
        assert torch.equal(again[0], noisy[rows]) and torch.equal(again[1], clean[rows])


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    corrupt(_batch(), "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_mixup_against_numpy():
    batch = _batch()
    batch["lam"] = torch.tensor([1.0, 0.25, 0.5, 1.0, 0.9, 0.0])
    noisy, clean = (t.numpy() for t in corrupt(batch, "cpu"))

    def noise(seed, sigma):
        g = torch.Generator().manual_seed(int(seed))
        return torch.empty(3, 16, 16).normal_(generator=g).numpy() * float(sigma) / 255

    for k, lam in enumerate(batch["lam"].tolist()):
        x = batch["crop"][k].numpy() / 255
        y = batch["partner_crop"][k].numpy() / 255
        nx = x + noise(batch["seeds"][k], batch["parameters"][k])
        ny = y + noise(batch["partner_seeds"][k], batch["partner_parameters"][k])
        np.testing.assert_allclose(clean[k], lam * x + (1 - lam) * y, atol=1e-6)
        np.testing.assert_allclose(noisy[k], lam * nx + (1 - lam) * ny, atol=1e-6)


def test_unmixed_batch_equals_one_without_partners():
    batch = _batch()
    for got, expected in zip(corrupt(batch, "cpu"), corrupt(_plain(batch), "cpu"), strict=True):
        assert torch.equal(got, expected)


def test_floats_on_the_wire_are_refused():
    batch = _plain(_batch())
    with pytest.raises(ValueError, match="expected uint8 crops, got torch.float32"):
        corrupt(batch | {"crop": batch["crop"].float()}, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_noise_on_a_gpu_does_not_depend_on_the_batch():
    batch = _batch()
    noisy, clean = corrupt(batch, "cuda")
    again, _ = corrupt({name: value[3:5] for name, value in batch.items()}, "cuda")
    assert torch.equal(again, noisy[3:5]) and noisy.device == clean.device
    assert (noisy - clean).std().item() * 255 == pytest.approx(25, rel=0.05)


@pytest.mark.parametrize("shape", [(31, 17, 3), (64, 48, 1)])
def test_evaluation_noise_is_restormers(shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    state = np.random.get_state()
    try:
        np.random.seed(seed=0)
        expected = image.copy()
        expected += np.random.normal(0, 50 / 255.0, expected.shape)
        np.random.seed(123)
        before = np.random.get_state()[1].copy()
        noisy = evaluation_noise(image, 50)
        np.testing.assert_array_equal(np.random.get_state()[1], before)
    finally:
        np.random.set_state(state)
    np.testing.assert_array_equal(noisy, expected)
    assert noisy.dtype == np.float32 and noisy.shape == shape
    np.testing.assert_array_equal(evaluation_noise(image, 50), noisy)  # a fresh seed each time
    assert not np.array_equal(evaluation_noise(image, 50, seed=1), noisy)


@pytest.mark.parametrize(
    ("sigma", "decibels"), [(15, 24.61), (25, 20.17), (50, 14.15), (60, 12.57)]
)
def test_psnr_of_the_unclipped_input(sigma, decibels):
    image = np.random.default_rng(0).random((256, 256, 3), dtype=np.float32)
    error = evaluation_noise(image, sigma).astype(np.float64) - image
    assert -10 * np.log10(np.mean(error**2)) == pytest.approx(decibels, abs=0.05)


@pytest.mark.parametrize(
    ("image", "sigma", "message"),
    [
        (np.zeros((4, 4, 3)), 5, r"\(H, W, C\) float32, got \(4, 4, 3\) float64"),
        (np.zeros((4, 4), np.float32), 5, r"got \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), -5, "sigma >= 0, got -5"),
    ],
)
def test_evaluation_noise_refuses(image, sigma, message):
    with pytest.raises(ValueError, match=message):
        evaluation_noise(image, sigma)


def test_noise_of_large_images_is_made_by_blocks_of_rows(monkeypatch):
    """The same numbers, without float64 copies of the whole image."""
    image = np.random.default_rng(0).random((23, 7, 3), np.float32)
    whole = evaluation_noise(image, 25.0)
    monkeypatch.setattr(gaussian, "MOST_KEPT", 100)
    monkeypatch.setattr(gaussian, "BLOCK_ROWS", 5)
    np.testing.assert_array_equal(evaluation_noise(image, 25.0), whole)
