"""DISTS, E-DISTS and E-LPIPS: what masks of ones give, which files they take, what they say."""

import pytest
import torch
from loss_inputs import VGG16, make_pair, ones
from safetensors.torch import save_file

import losses
from losses.dists import load_channel_weights, shipped_channel_weights
from losses.features.pooling import l2_pool2d
from losses.lpips import UnitFeatureLoss, load_linear_weights, unit_length


@pytest.fixture(scope="module")
def vgg(files):
    return files / "vgg16.safetensors"


def test_dists_parity_with_torchmetrics(vgg, monkeypatch):
    """The whole of it: torchmetrics' own network with our VGG-16 in the place of a download."""
    import torchvision
    from torchmetrics.functional.image import dists

    def ours(weights):
        with torch.device("meta"):
            network = torchvision.models.vgg16()
        state = losses.weights.load_state_dict(vgg)
        network.features = network.features[:30].to_empty(device="cpu")
        network.features.load_state_dict({k.removeprefix("features."): v for k, v in state.items()})
        for layer in network.features:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False
        return network

    monkeypatch.setattr(dists, "vgg16", ours)
    x, y = make_pair(side=37)
    expected = dists.DISTSNetwork()(x, y)
    found = losses.DISTS(vgg, reduction="none")(x, y)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_masks_of_one_give_dists(vgg, tmp_path):
    save_file(ones((3, *VGG16)), tmp_path / "ones.safetensors")
    x, y = make_pair(side=16)
    assert torch.equal(
        losses.EDISTS(vgg, tmp_path / "ones.safetensors")(x, y), losses.DISTS(vgg)(x, y)
    )


def test_masks_of_one_give_lpips(vgg, tmp_path):
    save_file(ones(VGG16), tmp_path / "ones.safetensors")
    x, y = make_pair(side=33)
    expected = losses.LPIPS("vgg", vgg, reduction="none")(x, y)
    found = losses.ELPIPS(vgg, tmp_path / "ones.safetensors", reduction="none")(x, y)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("term", [losses.EDISTS, losses.ELPIPS])
def test_order_is_an_argument(files, vgg, term):
    masks = files / ("dists_masks" if term is losses.EDISTS else "vgg16_masks")
    x, y = make_pair(side=16)
    first, second = (
        term(vgg, masks.with_suffix(".safetensors"), order=order)(x, y)
        for order in ("reference_first", "distorted_first")
    )
    assert not torch.allclose(first, second, rtol=1e-4)
    assert term(vgg, masks.with_suffix(".safetensors")).masks.order == "reference_first"


def test_masks_for_something_else(files, vgg):
    with pytest.raises(ValueError, match=r"taps with \(3, 64, .*got masks for \(64, 128"):
        losses.EDISTS(vgg, files / "vgg16_masks.safetensors")
    with pytest.raises(ValueError, match=r"taps with \(64, 128.*got masks for \(3, 64"):
        losses.ELPIPS(vgg, files / "dists_masks.safetensors")


@pytest.mark.parametrize(("term", "name"), [(losses.EDISTS, "E_DISTS"), (losses.ELPIPS, "E_LPIPS")])
def test_authors_masks_not_fetched(term, name):
    with pytest.raises(FileNotFoundError, match=f"run `restoration weights fetch {name}`"):
        term(masks=name)


@pytest.mark.parametrize(
    ("term", "channels"), [(losses.EDISTS, (3, *VGG16)), (losses.ELPIPS, VGG16)]
)
def test_masks_that_ship(term, channels):
    found = term("random")
    assert (found.masks.channels, found.masks.order) == (channels, "reference_first")
    x, y = make_pair(side=32)
    assert found(x, x) == 0 and found(x, y) > 0


def test_channel_weights(tmp_path, monkeypatch):
    alpha, beta = load_channel_weights(shipped_channel_weights(), 1475)
    assert (alpha.sum() + beta.sum()).item() == pytest.approx(1)
    assert min(alpha.min(), beta.min()) >= 0
    torch.save({"alpha": torch.ones(2)}, tmp_path / "half.pth")
    with pytest.raises(ValueError, match=r"expected alpha and beta of 1475 .*\{'alpha': 2\}"):
        load_channel_weights(tmp_path / "half.pth", 1475)
    monkeypatch.setattr("losses.weights.manifest.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="install torchmetrics, or give a file"):
        shipped_channel_weights()


def test_linear_weights(tmp_path, monkeypatch):
    assert [len(w) for w in load_linear_weights()] == list(VGG16)
    torch.save({"a": torch.ones(2)}, tmp_path / "no.pth")
    with pytest.raises(ValueError, match="expected LPIPS weights"):
        load_linear_weights(tmp_path / "no.pth")
    monkeypatch.setattr("losses.weights.manifest.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="lpips package"):
        load_linear_weights()


def test_linear_weights_for_other_taps(vgg):
    backbone = losses.build_backbone("vgg16", ["relu1_2"], vgg)
    with pytest.raises(ValueError, match=r"expected channel weights for \(64,\), got \(64, 128"):
        UnitFeatureLoss(backbone, load_linear_weights())


@pytest.mark.parametrize("function", [unit_length, l2_pool2d])
def test_gradients_at_zero(function):
    x = torch.zeros(1, 4, 6, 6, requires_grad=True)
    function(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_l2_pooling_parity(side):
    """Against a loop over pixels in NumPy: Hann window, zeros outside."""
    x = torch.rand(
        1, 2, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    line = torch.tensor([0.5, 1.0, 0.5], dtype=torch.float64) / 2
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    for row in range((side + 1) // 2):
        for column in range((side + 1) // 2):
            tile = padded[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected = (tile.square() * line[:, None] * line[None, :]).sum((1, 2)).sqrt()
            torch.testing.assert_close(l2_pool2d(x)[0, :, row, column], expected)


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("name", ["DISTS", "E-LPIPS"])
def test_flat_images(files, vgg, name, level):
    masks = {"masks": files / "vgg16_masks.safetensors"} if name == "E-LPIPS" else {}
    y = torch.full((1, 3, 16, 16), level)
    x = y.clone().requires_grad_()
    value = losses.build_term(name, weights=vgg, **masks)(x, y)
    value.backward()
    assert value == 0
    assert x.grad.isfinite().all()
