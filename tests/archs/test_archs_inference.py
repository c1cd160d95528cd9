"""Padded and tiled restoration of images of any size."""

import numpy as np
import pytest
import torch
from torch import nn

from restoration.archs import restore, restormer_xs
from restoration.archs.inference import pad_reflect


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return restormer_xs(dim=8)


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Recorder(nn.Module):
    """Returns what it gets and remembers the sizes, its mode and whether gradients were on."""

    def __init__(self, **attributes):
        super().__init__()
        self.calls = []
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        self.calls.append((tuple(x.shape), self.training, torch.is_inference_mode_enabled()))
        return x.clone()


@pytest.mark.parametrize("size", [(16, 16), (5, 7), (1, 1), (3, 2), (1, 20), (9, 31), (2, 65)])
@pytest.mark.parametrize("multiple", [1, 8, 64])
def test_padding_matches_numpy(size, multiple):
    image = images(2, 3, *size)
    extra = [(-n) % multiple for n in size]
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, extra[0]), (0, extra[1])), "reflect")
    assert np.array_equal(pad_reflect(image, multiple).numpy(), expected)


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"minimum": 20}, (24, 32)),
        ({"square": True}, (32, 32)),
        ({"minimum": 40, "square": True}, (40, 40)),
        ({"multiple": 1, "minimum": 1}, (11, 27)),
        ({"window_size": 7}, (56, 56)),
    ],
)
def test_padding_is_what_the_network_needs(needs, expected):
    recorder, image = Recorder(**needs), images(1, 3, 11, 27)
    assert torch.equal(restore(recorder, image), image)
    assert recorder.calls[0][0] == (1, 3, *expected)


@pytest.mark.parametrize("size", [(16, 16), (5, 7), (1, 1), (17, 24), (23, 9)])
def test_shape_and_range(network, size):
    restored = restore(network, images(2, 3, *size) * 3 - 1)
    assert restored.shape == (2, 3, *size)
    assert restored.min() >= 0
    assert restored.max() <= 1


def test_equals_the_network_where_nothing_is_padded(network):
    image = images(1, 3, 16, 24)
    with torch.no_grad():
        expected = network(image).clamp(0, 1)
    assert torch.equal(restore(network, image), expected)


def test_equals_padding_by_torch(network):
    image = images(1, 3, 21, 30)
    with torch.no_grad():
        padded = network(nn.functional.pad(image, (0, 2, 0, 3), mode="reflect"))
    assert torch.equal(restore(network, image), padded[..., :21, :30].clamp(0, 1))


def test_perfect_input_comes_back():
    image = images(2, 3, 13, 11)
    assert torch.equal(restore(Recorder(), image), image)


@pytest.mark.parametrize(
    ("attributes", "argument", "size"),
    [({}, None, 16), ({"multiple": 5}, None, 15), ({"multiple": 5}, 7, 14)],
)
def test_multiple_comes_from_the_network_or_the_caller(attributes, argument, size):
    recorder = Recorder(**attributes)
    restore(recorder, images(1, 3, 11, 11), multiple=argument)
    assert recorder.calls[0][0] == (1, 3, size, size)


def test_runs_in_evaluation_mode_and_gives_the_modes_back():
    network = nn.Sequential(Recorder(), Recorder())
    network.train()
    network[1].eval()
    restore(network, images(1, 3, 8, 8))
    assert [module.calls[0][1:] for module in network] == [(False, True)] * 2
    assert [module.training for module in (network, *network)] == [True, True, False]


def test_modes_come_back_after_an_error():
    network = nn.Sequential(nn.Conv2d(4, 4, 1)).train()
    with pytest.raises(RuntimeError):
        restore(network, images(1, 3, 8, 8))
    assert network.training
    assert network[0].training


def test_batch_equals_singles(network):
    image = images(3, 3, 10, 12)
    singles = torch.cat([restore(network, one[None]) for one in image])
    torch.testing.assert_close(restore(network, image), singles, rtol=1e-5, atol=1e-5)


def test_grey_images_are_repeated_and_averaged(network):
    grey = images(2, 1, 9, 10)
    restored = restore(network, grey)
    assert restored.shape == grey.shape
    with torch.no_grad():
        padded = nn.functional.pad(grey.repeat(1, 3, 1, 1), (0, 6, 0, 7), mode="reflect")
        expected = network(padded)[..., :9, :10].mean(1, keepdim=True).clamp(0, 1)
    torch.testing.assert_close(restored, expected, rtol=1e-5, atol=1e-5)


def test_grey_images_stay_grey_for_a_grey_network():
    own, told = Recorder(inp_channels=1), Recorder()
    restore(own, images(1, 1, 8, 8))
    restore(told, images(1, 1, 8, 8), channels=1)
    assert own.calls[0][0] == told.calls[0][0] == (1, 1, 8, 8)


def test_grey_images_stay_grey_for_a_grey_guest():
    """It says nothing of channels: its first convolution does."""
    torch.manual_seed(0)
    network, image = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 1, 1)), images(1, 1, 8, 8)
    with torch.no_grad():
        expected = network(image).clamp(0, 1)
    assert torch.equal(restore(network, image), expected)


@pytest.mark.parametrize(("tile", "overlap"), [(8, 0), (16, 4), (16, 15), (13, 5), (64, 8)])
def test_tiles_of_an_identity_give_the_image_back(tile, overlap):
    image, recorder = images(1, 3, 29, 41), Recorder()
    restored = restore(recorder, image, multiple=1, tile=tile, overlap=overlap)
    torch.testing.assert_close(restored, image, rtol=1e-5, atol=1e-6)
    assert max(max(shape[-2:]) for shape, *_ in recorder.calls) <= tile


def test_tiles_equal_the_whole_image_for_a_local_network():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 1)
    image = images(2, 3, 37, 30)
    whole = restore(network, image)
    tiled = restore(network, image, tile=16, overlap=6)
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-6)


def test_tiles_blend_linearly():
    class Counter(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return torch.full_like(x, self.calls - 1.0)

    row = restore(Counter(), images(1, 3, 4, 12), multiple=1, tile=8, overlap=4)[0, 0, 0]
    expected = [0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1]
    np.testing.assert_allclose(row.numpy(), expected, atol=1e-6)


def test_tiles_of_grey_images(network):
    assert restore(network, images(1, 1, 20, 27), tile=16, overlap=8).shape == (1, 1, 20, 27)


@pytest.mark.parametrize(
    ("image", "arguments", "message"),
    [
        (images(3, 8, 8), {}, r"\(B, C, H, W\), none empty, got \(3, 8, 8\)"),
        (images(1, 3, 0, 8), {}, r"none empty, got \(1, 3, 0, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), {}, "floating-point.*uint8"),
        (images(1, 3, 8, 8), {"multiple": 0}, "multiple >= 1, got 0"),
        (images(1, 3, 8, 8), {"tile": 0}, "tile >= 1 and 0 <= overlap < tile, got 0 and 32"),
        (images(1, 3, 8, 8), {"tile": 8, "overlap": 8}, "got 8 and 8"),
        (images(1, 3, 8, 8), {"tile": 8, "overlap": -1}, "got 8 and -1"),
    ],
)
def test_bad_arguments(image, arguments, message):
    with pytest.raises(ValueError, match=message):
        restore(Recorder(), image, **arguments)


def test_a_network_that_changes_the_size():
    with pytest.raises(ValueError, match=r"keeps the size \(8, 8\), got \(16, 16\)"):
        restore(nn.Upsample(scale_factor=2), images(1, 3, 5, 7))


def test_a_network_that_answers_no_image():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(ValueError, match="returns images, got tuple"):
        restore(Pair(), images(1, 3, 8, 8))
