import numpy as np
import pytest
from scipy import stats

from restoration.data.sampling import Mixing, draw, epoch_order, symmetric

MIXED = {"mixing": Mixing()}


def test_a_draw_depends_on_seed_and_index_only():
    forward = [draw(3, k, 7, **MIXED) for k in range(200)]
    backward = [draw(3, k, 7, **MIXED) for k in reversed(range(200))][::-1]
    assert forward == backward
    assert forward[5] != draw(4, 5, 7, **MIXED)
    seeds = {d.noise_seed for d in forward} | {d.partner.noise_seed for d in forward if d.partner}
    assert len(seeds) == 200 + sum(d.partner is not None for d in forward)
    assert all(0 <= s < 2**63 for s in seeds) and max(seeds) > 2**62


def test_golden_draw():
    # Known answer of this stream: a change here changes every training run.
    d = draw(10, 12345, 432, **MIXED)
    again = draw(10, 12345, 432)
    raw = np.random.Philox(key=np.array([10, 12345], np.uint64)).random_raw(8)
    u = (raw >> np.uint64(11)) / 2**53
    assert (d.top, d.left, d.symmetry) == (u[0], u[1], int(8 * u[2]))
    assert d.uniform == u[3]
    assert (d.partner is not None) == (u[6] < 0.5)
    assert (again.image, again.noise_seed, again.uniform) == (d.image, d.noise_seed, d.uniform)


@pytest.mark.parametrize("num_images", [1, 2, 13, 400])
def test_epochs_are_different_permutations(num_images):
    orders = [epoch_order(0, epoch, num_images) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(num_images))
    if num_images > 12:
        assert not np.array_equal(orders[0], orders[1])
        assert not np.array_equal(orders[0], epoch_order(1, 0, num_images))
    for epoch in range(3):
        images = [draw(0, epoch * num_images + k, num_images).image for k in range(num_images)]
        np.testing.assert_array_equal(images, orders[epoch])


def test_choices_are_uniform():
    draws = [draw(0, k, 50, **MIXED) for k in range(8000)]
    for values in (
        [d.top for d in draws],
        [d.left for d in draws],
        [d.uniform for d in draws],
        [d.noise_seed / 2**63 for d in draws],
        [d.partner.top for d in draws if d.partner],
    ):
        assert 0 <= min(values) and max(values) < 1
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    codes = np.bincount([d.symmetry for d in draws], minlength=8)
    partners = np.bincount([d.partner.image for d in draws if d.partner], minlength=50)
    assert stats.chisquare(codes).pvalue > 1e-3 and stats.chisquare(partners).pvalue > 1e-3
    assert abs(np.corrcoef([d.top for d in draws], [d.left for d in draws])[0, 1]) < 0.05


def test_mixup_weights():
    draws = [draw(0, k, 50, **MIXED) for k in range(4000)]
    mixed = [d for d in draws if d.partner is not None]
    assert abs(len(mixed) / 4000 - 0.5) < 0.04
    assert stats.kstest([d.lam for d in mixed], stats.beta(1.2, 1.2).cdf).pvalue > 1e-3
    assert all(d.lam == 1.0 for d in draws if d.partner is None)
    assert all(d.partner.partner is None and d.partner.lam == 1.0 for d in mixed)
    assert all(draw(0, k, 50, mixing=Mixing(identity=False)).partner for k in range(50))


def test_settings_do_not_disturb_each_other():
    full, plain = draw(0, 3, 9, **MIXED), draw(0, 3, 9, augment=False)
    assert (plain.symmetry, plain.uniform, plain.lam) == (0, full.uniform, 1.0)
    assert (full.image, full.top, full.noise_seed) == (plain.image, plain.top, plain.noise_seed)


@pytest.mark.parametrize("seed, index", [(-1, 0), (2**64, 0), (0, -1)])
def test_seed_and_index_in_range(seed, index):
    with pytest.raises(ValueError, match="expected seed and index"):
        draw(seed, index, 5)


def test_no_images():
    with pytest.raises(ValueError, match="expected num_images >= 1, got 0"):
        epoch_order(0, 0, 0)


def test_symmetries_are_the_eight_of_the_square():
    image = np.arange(18).reshape(3, 3, 2)
    turned = [symmetric(image, code) for code in range(8)]
    expected = [
        image,
        image.transpose(1, 0, 2)[::-1],
        image[::-1, ::-1],
        image.transpose(1, 0, 2)[:, ::-1],
        image[:, ::-1],
        image.transpose(1, 0, 2)[::-1, ::-1],
        image[::-1],
        image.transpose(1, 0, 2),
    ]
    for got, truth in zip(turned, expected, strict=True):
        np.testing.assert_array_equal(got, truth)
    assert len({t.tobytes() for t in turned}) == 8
    with pytest.raises(ValueError, match=r"0\.\.7, got 8"):
        symmetric(image, 8)
