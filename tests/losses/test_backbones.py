"""Backbones: VGG taps against a NumPy stack, weights from files and caches, clear errors."""

import numpy as np
import pytest
import reference
import torch
from loss_inputs import make_pair
from safetensors.torch import save_file

from losses import VGG, build_backbone
from losses.features.embedded import EmbeddedBackbone
from losses.weights import load_state_dict

MEAN, STD = (  # as float32 holds them
    np.float32(v).astype(float)[:, None, None]
    for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
)
CONVS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def conv_layers(name, levels):
    """[[index of a convolution in torchvision's `features`, ...] per level]."""
    found, index = [], 0
    for count in CONVS[name][:levels]:
        found.append([index + 2 * n for n in range(count)])
        index += 2 * count + 1
    return found


def vgg_state(name, levels, seed=0):
    """Random weights of the first levels of a VGG with torchvision's names."""
    generator = torch.Generator().manual_seed(seed)
    state, channels = {}, 3
    for indices, width in zip(conv_layers(name, levels), WIDTHS, strict=False):
        for index in indices:
            weight = torch.randn(width, channels, 3, 3, generator=generator)
            state[f"features.{index}.weight"] = weight / (4.5 * channels) ** 0.5
            state[f"features.{index}.bias"] = 0.1 * torch.randn(width, generator=generator)
            channels = width
    return state


@pytest.fixture(scope="module")
def vgg16_file(tmp_path_factory):
    """Two levels of a VGG-16, and a layer of its classifier as real files have."""
    file = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file(vgg_state("vgg16", 2) | {"classifier.6.bias": torch.zeros(9)}, file)
    return file


def numpy_taps(name, state, image, pooling):
    levels = [
        [(state[f"features.{i}.weight"].numpy(), state[f"features.{i}.bias"].numpy()) for i in k]
        for k in conv_layers(name, 5)
        if f"features.{k[-1]}.weight" in state
    ]
    return reference.conv_levels(image, levels, pooling)


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_vgg16_parity(vgg16_file, pooling, normalize):
    x, _ = make_pair(batch=1, side=8, dtype=torch.float64)
    backbone = build_backbone("vgg16", None, vgg16_file, pooling, normalize).double()
    image = x[0].numpy()
    if normalize:
        image = (image - MEAN) / STD
    expected = numpy_taps("vgg16", load_state_dict(vgg16_file), image, pooling)
    taps = backbone(x)
    assert backbone.channels == (64, 128)
    assert [tap.shape[1:] for tap in taps] == [(64, 8, 8), (128, 4, 4)]
    for tap, truth in zip(taps, expected, strict=True):
        np.testing.assert_allclose(tap[0].numpy(), truth, rtol=1e-9, atol=1e-9)


def test_original_vgg19_has_three_taps_and_parity(vgg19_file):
    x, _ = make_pair(batch=1, side=8, dtype=torch.float64)
    backbone = build_backbone("vgg19", weights=vgg19_file)
    assert backbone.channels == (64, 128, 256)
    image = (x[0].numpy() - MEAN) / STD
    expected = numpy_taps("vgg19", load_state_dict(vgg19_file), image, "max")
    for tap, truth in zip(backbone.double()(x), expected, strict=True):
        np.testing.assert_allclose(tap[0].numpy(), truth, rtol=1e-9, atol=1e-6)


def test_all_taps_of_an_untrained_vgg():
    torch.manual_seed(0)
    backbone = build_backbone("vgg16", weights="random")
    taps = backbone(torch.rand(1, 3, 32, 32))
    assert backbone.channels == tuple(tap.shape[1] for tap in taps) == WIDTHS
    assert [tap.shape[-1] for tap in taps] == [32, 16, 8, 4, 2]
    assert all(tap.isfinite().all() and 1e-3 < tap.std() < 10 for tap in taps)
    with pytest.raises(ValueError, match="expected at least 16x16 pixels .* got 15x16"):
        backbone(torch.rand(1, 3, 15, 16))


def test_taps_come_in_the_order_of_depth(vgg16_file):
    backbone = build_backbone("vgg16", ["relu2_2", "relu1_2"], vgg16_file)
    assert backbone.channels == (64, 128)
    assert build_backbone("vgg16", ["relu2_2"], vgg16_file).channels == (128,)


def test_frozen(vgg16_file):
    backbone = build_backbone("vgg16", weights=vgg16_file).train()
    assert not any(m.training for m in backbone.modules())
    assert not list(backbone.requires_grad_(True).parameters())
    assert all(name.startswith("body.") for name in backbone.state_dict())


def test_embedded_from_the_package_and_from_a_file(tmp_path):
    torch.manual_seed(1)
    state = EmbeddedBackbone().state_dict()
    save_file(state, tmp_path / "own.safetensors")
    backbone = build_backbone("embedded", weights=tmp_path / "own.safetensors")
    assert torch.equal(backbone.body.levels[0][0].weight, state["levels.0.0.weight"])
    with pytest.raises(ValueError, match="expected at least 4x4 pixels"):
        backbone(torch.rand(1, 3, 3, 8))


def test_too_few_layers_in_the_file(vgg16_file):
    with pytest.raises(ValueError, match=r"6 missing.*features\.10\.weight.*choose fewer taps"):
        build_backbone("vgg16", ["relu1_2", "relu3_3"], vgg16_file)


def test_layer_of_another_shape(tmp_path):
    state = vgg_state("vgg16", 1)
    state["features.2.weight"] = torch.zeros(64, 64, 5, 5)
    save_file(state, tmp_path / "wrong.safetensors")
    with pytest.raises(ValueError, match=r"1 of another shape, first features\.2\.weight"):
        build_backbone("vgg16", weights=tmp_path / "wrong.safetensors")


def test_file_of_another_vgg(vgg19_file):
    with pytest.raises(ValueError, match=r"expected weights of vgg16.*features\.16\.weight"):
        build_backbone("vgg16", weights=vgg19_file)


def test_file_without_a_vgg(tmp_path):
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="expected VGG weights .* got none"):
        build_backbone("vgg16", weights=tmp_path / "other.safetensors")
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "short.safetensors")
    with pytest.raises(ValueError, match="one tap or more of vgg16, got fewer"):
        build_backbone("vgg16", weights=tmp_path / "short.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "vgg17"},
            "unknown backbone 'vgg17'; known: vgg16, vgg19, embedded, alexnet; did",
        ),
        ({"taps": ["relu5_4"]}, "unknown tap 'relu5_4'.*did you mean 'relu5_3'"),
        ({"taps": []}, "expected one tap or more"),
        ({"taps": ["relu1_2", "relu1_2"]}, "each once"),
        (
            {"pooling": "average"},
            "unknown pooling 'average'; known: max, avg, l2; did you mean",
        ),
        ({"name": "embedded", "pooling": "max"}, "fixed taps, pooling and normalisation"),
        ({"name": "embedded", "taps": ["tap1"]}, "fixed taps, pooling and normalisation"),
        ({"name": "alexnet", "pooling": "avg"}, "alexnet has fixed taps and pooling"),
    ],
)
def test_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_backbone(**{"weights": "random", **arguments})


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pth does not exist"):
        build_backbone("vgg16", weights=tmp_path / "nowhere.pth")


@pytest.fixture
def hub(tmp_path, monkeypatch, closed_url):
    """An empty Hugging Face cache whose server does not answer."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", closed_url)
    return tmp_path / "hub"


def test_published_weights_from_the_cache(hub):
    snapshot = hub / "models--timm--vgg16.tv_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    state = vgg_state("vgg16", 1, seed=5)
    save_file(state | {"head.fc.bias": torch.zeros(3)}, snapshot / "model.safetensors")
    term = VGG(taps=["relu1_2"])
    loaded = term.backbone.body.state_dict()
    assert {name.replace("features_", "features."): v.sum() for name, v in loaded.items()} == {
        name: v.sum() for name, v in state.items()
    }


def test_published_weights_are_downloaded(hub, monkeypatch, server, vgg16_file):
    import huggingface_hub

    asked = []

    def download(*what):
        asked.append(what)
        return str(vgg16_file)

    server.pages["/"] = b"here"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url + "/")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert build_backbone("vgg16", ["relu2_2"]).channels == (128,)
    assert asked == [("timm/vgg16.tv_in1k", "model.safetensors")]


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_published_weights_offline(hub, name):
    with pytest.raises(
        FileNotFoundError, match=f"weights {name} .*restoration weights fetch {name}.*your own"
    ):
        build_backbone(name)
