"""Every degradation: pure in the sample's numbers, right against an outside reference, refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats

from restoration.degradations import (
    DEGRADATIONS,
    BatchDegradation,
    Chain,
    Degradation,
    Range,
    build_degradation,
    register_degradation,
)

SPECS = {
    "gaussian": {"type": "gaussian", "sigma": [5, 50]},
    "poisson_gaussian": {"type": "poisson_gaussian", "shot": [5, 40], "sigma": [0, 10]},
    "camera": {"type": "camera", "sigma": [5, 40]},
    "jpeg": {"type": "jpeg", "quality": [10, 95]},
    "blur": {"type": "blur", "sigma": [0, 2.5]},
    "downsample": {"type": "downsample", "factor": [1, 3]},
    "chain": [
        {"type": "blur", "sigma": [0, 2], "probability": 0.5},
        {"type": "poisson_gaussian", "shot": 20, "sigma": 5},
        {"type": "jpeg", "quality": {"choice": [20, 60]}, "probability": 0.7},
    ],
}


def numbers_of(sample: int, link: int) -> list[float]:
    return np.random.default_rng([sample, link]).random(8).tolist()


def batch_of(chain: Chain, size: int = 6, side: int = 24, channels: int = 3):
    clean = np.random.default_rng(1).integers(0, 256, (size, channels, side, side), dtype=np.uint8)
    drawn = [
        chain.draw(numbers_of(k, 99)[0], 2**62 + k, lambda link, k=k: numbers_of(k, link))
        for k in range(size)
    ]
    return {
        "crop": torch.from_numpy(clean),
        "parameters": torch.tensor([rows for rows, _ in drawn]),
        "seeds": torch.tensor([seeds for _, seeds in drawn]),
    }


def test_every_type_is_tried_here():
    assert {"chain", *DEGRADATIONS} == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sample_does_not_depend_on_its_batch(name, channels):
    chain = Chain(SPECS[name])
    batch = batch_of(chain, channels=channels)
    degraded, clean = BatchDegradation(chain)(batch, "cpu")
    assert degraded.shape == clean.shape and degraded.dtype == torch.float32
    assert torch.equal(clean, batch["crop"].float() / 255)  # not spoilt in place
    assert not torch.equal(degraded, clean)
    for rows in ([3], [5, 0], [1, 2, 4]):
        part = {key: value[rows] for key, value in batch.items()}
        torch.testing.assert_close(BatchDegradation(chain)(part, "cpu")[0], degraded[rows])


@pytest.mark.parametrize("name", SPECS)
def test_global_generators_are_left_alone(name):
    chain, before = Chain(SPECS[name]), (torch.get_rng_state(), np.random.get_state()[1].copy())
    BatchDegradation(chain)(batch_of(chain), "cpu")
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("name", [name for name in SPECS if name != "chain"])
def test_one_image_of_a_test_is_spoilt_the_same_twice(name):
    degradation = build_degradation(**SPECS[name])
    image = np.random.default_rng(2).random((20, 26, 3)).astype(np.float32)
    before = image.copy()
    parameters = degradation.draw([0.9] * 5)
    first, second = (degradation.spoil(image, parameters) for _ in range(2))
    assert first.shape == image.shape and first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)
    assert not np.array_equal(first, image)


def test_shot_noise_grows_with_the_brightness():
    """Variance of a * Poisson(x / a) is a x, and sigma^2 is added."""
    degradation = build_degradation("poisson_gaussian", shot=30, sigma=8)
    levels = torch.tensor([0.05, 0.3, 0.9])
    clean = levels.view(3, 1, 1, 1).expand(3, 1, 300, 300).contiguous()
    parameters = torch.tensor([degradation.draw([0.0] * 5)] * 3)
    noisy = degradation.apply(clean, parameters, [1, 2, 3]).double()
    expected = (30 / 255) ** 2 * levels.double() + (8 / 255) ** 2
    np.testing.assert_allclose(noisy.var((1, 2, 3)), expected, rtol=0.02)
    np.testing.assert_allclose(noisy.mean((1, 2, 3)), levels, atol=2e-3)
    none = build_degradation("poisson_gaussian", shot=0, sigma=0)
    assert torch.equal(none.apply(clean, torch.zeros(3, 2), [1, 2, 3]), clean)


def test_camera_noise_is_coarser_in_colour():
    """Behind a Gaussian filter of width s, places d apart correlate by exp(-d^2 / (4 s^2))."""
    settings = {"sigma": 20, "chroma": 0.5, "grain": 0.8, "chroma_grain": 2, "dark": 0}
    degradation = build_degradation("camera", **settings)
    clean = torch.full((1, 3, 400, 400), 0.5)
    parameters = torch.tensor([degradation.draw([0.0] * 5)])
    noise = (degradation.apply(clean, parameters, [3]) - clean)[0].permute(1, 2, 0).numpy() * 255
    luma = noise @ [0.299, 0.587, 0.114]
    chroma = [(noise[..., 2] - luma) / 1.772, (noise[..., 0] - luma) / 1.402]
    for part, sigma, width in ((luma, 20, 0.8), *((part, 10, 2) for part in chroma)):
        assert part.std() == pytest.approx(sigma, rel=0.03)
        for distance in (1, 2):
            for one in (part, part.T):
                found = np.corrcoef(one[:, :-distance].ravel(), one[:, distance:].ravel())[0, 1]
                assert found == pytest.approx(np.exp(-(distance**2) / (4 * width**2)), abs=0.03)


def test_camera_noise_in_the_dark():
    degradation = build_degradation("camera", sigma=10, chroma=0, grain=0.5, dark=0.4)
    clean = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 1, 200, 200).contiguous()
    parameters = torch.tensor([degradation.draw([0.0] * 5)] * 3)
    noise = degradation.apply(clean, parameters, [1, 2, 3]) - clean
    np.testing.assert_allclose(noise.std((1, 2, 3)) * 255, [14, 10, 6], rtol=0.03)


def test_jpeg_against_pillow():
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((32, 48, 3)), (3, 3, 0))
    image = (255 * (smooth - smooth.min()) / np.ptp(smooth)).round().astype(np.uint8)
    got = build_degradation("jpeg", quality=40).spoil(image.astype(np.float32) / 255, (40.0,))
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=40)  # the same library behind both
    np.testing.assert_allclose(got * 255, np.asarray(Image.open(file)), atol=1.01)


@pytest.mark.parametrize("sigma", [0.7, 1.6])
def test_blur_against_scipy(sigma):
    image = np.random.default_rng(0).random((25, 31, 3))
    got = build_degradation("blur", sigma=sigma).spoil(image.astype(np.float32), (sigma,))
    radius = int(np.ceil(3 * sigma))
    expected = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="mirror", radius=radius)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_downsampling_against_pillow():
    image = np.random.default_rng(0).random((24, 36)).astype(np.float32)
    got = build_degradation("downsample", factor=2).spoil(image[:, :, None], (2.0,))[:, :, 0]
    small = Image.fromarray(image).resize((18, 12), Image.Resampling.BICUBIC)
    again = np.asarray(small.resize((36, 24), Image.Resampling.BICUBIC))
    inner = (slice(6, -6), slice(6, -6))  # borders differ, and torch's enlarging takes a = -0.75
    assert np.corrcoef(got[inner].ravel(), again[inner].ravel())[0, 1] > 0.995
    same = build_degradation("downsample", factor=1).spoil(image[:, :, None], (1.0,))
    np.testing.assert_array_equal(same[:, :, 0], image)


def test_probability_and_order():
    chain = Chain(SPECS["chain"])
    rows = [chain.draw(0.5, 7, lambda link, k=k: numbers_of(k, link))[0] for k in range(4000)]
    applied = ~np.isnan(np.array(rows)).all(2)
    np.testing.assert_allclose(applied.mean(0), [0.5, 1.0, 0.7], atol=0.03)
    qualities = np.array(rows)[applied[:, 2], 2, 0]
    assert set(qualities) == {20.0, 60.0}
    blur, noise = {"type": "blur", "sigma": 2}, {"type": "gaussian", "sigma": 20}
    first, last = (
        BatchDegradation(chain)(batch_of(chain), "cpu")[0].var().item()
        for chain in (Chain([blur, noise]), Chain([noise, blur]))
    )
    assert first > last  # blurred noise is weaker


def test_links_draw_independent_numbers():
    chain = Chain([{"type": "gaussian", "sigma": [0, 50]}, {"type": "gaussian", "sigma": [0, 50]}])
    draws = [
        chain.draw(numbers_of(k, 99)[0], k, lambda link, k=k: numbers_of(k, link))
        for k in range(2000)
    ]
    first, second = np.array([rows for rows, _ in draws])[:, :, 0].T
    assert stats.kstest(second / 50, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06
    seeds = np.array([seeds for _, seeds in draws])
    assert len(np.unique(seeds[:, 1])) == 2000 and (seeds[:, 1] >= 0).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (-1, r"sigma in \[0, inf\], got -1"),
        ([50, 0], r"\[low, high\], got \[50, 0\]"),
        ([1, 2, 3], r"\[low, high\], got \[1, 2, 3\]"),
        ([], "a number,"),
        ({"choice": []}, "a number,"),
        ({"chioce": [1]}, "a number,"),
        ("25", "a number,"),
        (True, "a number,"),
        (float("nan"), "a number,"),
        (float("inf"), "a number,"),
    ],
)
def test_numbers_of_another_form(given, message):
    with pytest.raises(ValueError, match=message):
        Range.of(given, "sigma")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "gausian", "sigma": 5}, "did you mean 'gaussian'"),
        ({"sigma": 5}, "needs a `type`"),
        ({"type": "gaussian"}, "all arguments that gaussian needs"),
        ({"type": "gaussian", "sgima": 5}, "did you mean 'sigma'"),
        ({"type": "jpeg", "quality": 0}, r"quality in \[1, 100\], got 0"),
        ({"type": "downsample", "factor": 0.5}, r"factor in \[1, 64\]"),
        ({"type": "gaussian", "sigma": 5, "probability": 0}, r"probability in \(0, 1\], got 0"),
        ({"type": "gaussian", "sigma": 5, "probability": "often"}, "probability in"),
        ({"type": "no.module:Name"}, "no module 'no'"),
        ({"type": "collections:OrderedDict"}, "expected a subclass of Degradation"),
        ([], "at least one degradation"),
    ],
)
def test_chain_refuses(spec, message):
    with pytest.raises(ValueError, match=message):
        Chain(spec)


def test_ones_own_degradation(monkeypatch):
    monkeypatch.setitem(DEGRADATIONS, "darker", None)
    del DEGRADATIONS["darker"]  # taken out again after the test

    class Darker(Degradation):
        label, level = "darker by", "factor"

        def __init__(self, factor):
            self.factor = Range.of(factor, "factor", 1)

        def draw(self, uniforms):
            return (self.factor.at(uniforms[0]),)

        def apply(self, clean, parameters, seeds):
            return clean / parameters[:, 0].view(-1, 1, 1, 1)

    assert register_degradation("darker")(Darker) is Darker
    chain = Chain({"type": "darker", "factor": 2})
    degraded, clean = BatchDegradation(chain)(batch_of(chain), "cpu")
    torch.testing.assert_close(degraded, clean / 2)
    with pytest.raises(ValueError, match="got 'jpeg', which is taken"):
        register_degradation("jpeg")(Darker)


def test_noise_map_tells_the_network_sigma():
    chain = Chain([{"type": "blur", "sigma": 1}, {"type": "gaussian", "sigma": [0, 50]}])
    batch = batch_of(chain)
    told, clean = BatchDegradation(chain, noise_map=True)(batch, "cpu")
    plain, _ = BatchDegradation(chain)(batch, "cpu")
    assert told.shape == (6, 4, 24, 24) and clean.shape == (6, 3, 24, 24)
    assert torch.equal(told[:, :3], plain)
    levels = batch["parameters"][:, 1, 0] / 255
    torch.testing.assert_close(told[:, 3], levels.view(6, 1, 1).expand(6, 24, 24))
    for without in (None, Chain({"type": "jpeg", "quality": 50})):
        with pytest.raises(ValueError, match="noise_map needs"):
            BatchDegradation(without, noise_map=True)
