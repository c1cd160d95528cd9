"""E-VGG on VGG-16 with masks in the layout of the authors' E_VGG.pth, and its relation to VGG."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import embedded_masks, make_pair, random_masks
from safetensors.torch import save_file

from losses import EVGG, VGG, FeatureLoss, MaskBank, build_backbone, load_masks
from losses.weights import MANIFEST, git_blob_id

CHANNELS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def mask_file(tmp_path_factory):
    """Random masks under the name and with the keys of the authors' file, scaler included."""
    file = tmp_path_factory.mktemp("authors") / "E_VGG.pth"
    scaler = {
        f"scaler_network.model.{k}.{kind}": torch.zeros(1) for k in (0, 2, 4) for kind in ("w", "b")
    }
    torch.save(random_masks(CHANNELS, gain=2.0) | scaler, file)
    return file


@pytest.fixture(scope="module")
def term(mask_file):
    torch.manual_seed(0)
    return EVGG("vgg16", weights="random", masks=mask_file, reduction="none")


def by_hand(term, mask_file, prediction, target, swap):
    """The formula with torch's functional calls on the tensors of the two state dicts."""
    layers = list(term.backbone.body.state_dict().items())
    convs = list(zip(layers[::2], layers[1::2], strict=True))
    masks = torch.load(mask_file, weights_only=True)
    total, x, y = 0.0, prediction, target
    for k, count in enumerate((2, 2, 3, 3, 3), start=1):
        if k > 1:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        for (_, weight), (_, bias) in convs[:count]:
            x, y = (F.relu(F.conv2d(z, weight, bias, padding=1)) for z in (x, y))
        convs = convs[count:]
        m = torch.cat([x, y] if swap else [y, x], dim=1)
        for n in (1, 2, 3):
            name = f"mask_finder_{k}.conv{n}.0"
            m = F.conv2d(m, masks[f"{name}.weight"], masks[f"{name}.bias"], padding=1)
            m = m.sigmoid() if n == 3 else m.relu()
        total = total + (m * (x - y).abs()).mean((2, 3)).sum(1)
    return total / 1472


def test_parity_by_hand(term, mask_file):
    x, y = make_pair(side=32)
    torch.testing.assert_close(
        term(x, y), by_hand(term, mask_file, x, y, swap=True), rtol=1e-4, atol=0
    )


def test_order_follows_the_file(term, mask_file, tmp_path):
    assert term.masks.order == "distorted_first"
    save_file(random_masks((64,)), tmp_path / "own.safetensors")
    arguments = {"taps": ["relu1_2"], "weights": "random", "masks": tmp_path / "own.safetensors"}
    assert EVGG(**arguments).masks.order == "reference_first"
    assert EVGG(**arguments, order="distorted_first").masks.order == "distorted_first"


def test_order_is_an_argument(term, mask_file):
    x, y = make_pair(side=32)
    straight = FeatureLoss(
        term.backbone, load_masks(mask_file, CHANNELS, "reference_first"), reduction="none"
    )
    expected = by_hand(term, mask_file, x, y, swap=False)
    torch.testing.assert_close(straight(x, y), expected, rtol=1e-4, atol=0)
    assert not torch.allclose(straight(x, y), term(x, y), rtol=1e-4)


def test_a_bank_of_ones_is_plain_vgg(term, tmp_path):
    ones = {name: torch.zeros_like(value) for name, value in random_masks(CHANNELS).items()}
    ones |= {f"mask_finder_{k}.conv3.0.bias": torch.full((1,), 40.0) for k in range(1, 6)}
    torch.save(ones, tmp_path / "E_VGG.pth")
    x, y = make_pair(side=16)
    masked = FeatureLoss(term.backbone, load_masks(tmp_path / "E_VGG.pth", CHANNELS))
    assert torch.equal(masked(x, y), FeatureLoss(term.backbone)(x, y))


def test_masks_only_take_away(term):
    x, y = make_pair(side=16)
    assert (term(x, y) < FeatureLoss(term.backbone, reduction="none")(x, y)).all()


def test_error_map(term):
    x, y = make_pair(side=16)
    maps = term.error_map(x, y)
    assert [error.shape for error, _ in maps] == [(2, 1, s, s) for s in (16, 8, 4, 2, 1)]
    assert all(0 <= mask.min() and mask.max() <= 1 for _, mask in maps)
    value = sum(c * error.mean((1, 2, 3)) for c, (error, _) in zip(CHANNELS, maps, strict=True))
    torch.testing.assert_close(value / 1472, term(x, y))
    with torch.autocast("cpu", torch.bfloat16):
        assert term.error_map(x, y)[0][0].dtype == torch.float32
    plain = FeatureLoss(term.backbone).error_map(x, y)
    assert all(mask is None for _, mask in plain)
    for (error, mask), (unmasked, _) in zip(maps, plain, strict=True):
        torch.testing.assert_close(error, mask * unmasked)


def test_number_of_parameters_as_published(term):
    assert sum(b.numel() for b in term.masks.buffers()) == 1_883_589


def test_masks_of_another_backbone(mask_file, tmp_path):
    with pytest.raises(
        ValueError, match=r"taps with \(24, 48, 96\).* got masks for \(64, 128, 256"
    ):
        EVGG("embedded", weights="random", masks=mask_file)
    file = tmp_path / "embedded.safetensors"
    save_file(embedded_masks(), file)
    with pytest.raises(ValueError, match=r"taps with \(64, 128\).*got masks for \(24, 48, 96\)"):
        EVGG("vgg16", ["relu1_2", "relu2_2"], "random", file)
    with pytest.raises(ValueError, match=r"expected masks for taps with .*24.*got \(3,\)"):
        FeatureLoss(build_backbone("embedded", weights="random"), MaskBank((3,)))


def test_not_a_mask_file(tmp_path):
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="a file without mask_finder"):
        load_masks(file, (3,))
    state = random_masks((3,))
    del state["mask_finder_1.conv2.0.bias"]
    save_file(state, file)
    with pytest.raises(ValueError, match="not a mask file of this kind"):
        load_masks(file, (3,))
    with pytest.raises(ValueError, match="expected order in .* got 'both'"):
        MaskBank((3,), "both")


def test_authors_masks_not_fetched():
    with pytest.raises(FileNotFoundError, match="run `restoration weights fetch E_VGG`"):
        EVGG("vgg16", masks="E_VGG")


def test_authors_masks_in_the_cache(mask_file, tmp_path, monkeypatch):
    cut = {k: v for k, v in torch.load(mask_file).items() if k.startswith("mask_finder_1.")}
    torch.save(cut, tmp_path / "E_VGG.pth")
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match="E_VGG.pth is not the recorded file"):
        EVGG("vgg16", taps=["relu1_2"], weights="random", masks="E_VGG")
    blob = git_blob_id((tmp_path / "E_VGG.pth").read_bytes())
    monkeypatch.setitem(MANIFEST, "E_VGG", replace(MANIFEST["E_VGG"], git_blob=blob))
    term = EVGG("vgg16", taps=["relu1_2"], weights="random", masks="E_VGG")
    assert term.masks.order == "distorted_first"
    assert torch.equal(
        term.masks.mask_finder_1.conv1[0].weight, cut["mask_finder_1.conv1.0.weight"]
    )


def test_shipped_masks_of_vgg19_choose_the_taps():
    term = EVGG("vgg19", weights="random")
    assert term.backbone.taps == ("relu1_2", "relu2_2", "relu3_4")
    assert term.masks.channels == (64, 128, 256)
    with pytest.raises(ValueError, match="expected"):
        EVGG("vgg19", taps=["relu1_2"], weights="random")


def test_backbone_without_masks(files):
    with pytest.raises(ValueError, match="expected `masks: FILE` for alexnet"):
        EVGG("alexnet", weights="random")
    assert VGG("alexnet", weights=files / "alexnet.pth").backbone.taps[0] == "relu1"


def test_unknown_backbone():
    for term in (VGG, EVGG):
        with pytest.raises(ValueError, match="unknown backbone 'vgg6'.*did you mean 'vgg16'"):
            term("vgg6")


def test_shipped_masks_of_vgg16_have_five_taps():
    term = EVGG("vgg16", weights="random")
    assert term.masks.channels == CHANNELS
    assert term.masks.order == "reference_first"
    x, y = make_pair(side=32)
    assert term(x, x) == 0 and term(x, y) > 0
