"""`restoration score` with maps, mask files and orders, and what it says of mistakes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import losses
from restoration.cli import main
from restoration.data import write_png


@pytest.fixture
def pair(tmp_path):
    generator = np.random.default_rng(0)
    reference = generator.integers(60, 190, (16, 20, 3), dtype=np.uint8)
    noise = generator.integers(-20, 21, reference.shape)
    for folder in ("", "other"):
        write_png(tmp_path / folder / "noisy.png", (reference + noise).astype(np.uint8))
    write_png(tmp_path / "reference.png", reference)
    return str(tmp_path / "reference.png"), str(tmp_path / "noisy.png")


@pytest.fixture
def masks(tmp_path):
    """A mask file with a scaler network, as the authors' files have."""
    torch.manual_seed(0)
    state = losses.MaskBank((3,)).state_dict()
    state |= {f"scaler_network.{k}": v for k, v in losses.ScalerNetwork().state_dict().items()}
    save_file(state, tmp_path / "masks.safetensors")
    return str(tmp_path / "masks.safetensors")


@pytest.fixture
def bare_masks(tmp_path):
    """A mask file without a scaler network: its maps are errors."""
    torch.manual_seed(1)
    save_file(losses.MaskBank((3,)).state_dict(), tmp_path / "bare.safetensors")
    return str(tmp_path / "bare.safetensors")


def refused(arguments, message, capsys):
    assert main(["score", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_maps(pair, bare_masks, tmp_path, capsys):
    other = str(tmp_path / "other" / "noisy.png")
    out = tmp_path / "maps"
    metrics = ["--metrics", "mae,e-mae,vgg,psnr", "--maps", str(out), "--json"]
    metrics += ["--weights", f"e-mae={bare_masks}"]
    assert main(["score", *pair, other, *metrics]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [set(row) for row in rows] == [{"image", "mae", "e-mae", "vgg", "psnr"}] * 2
    assert sorted(path.name for path in out.glob("*.png")) == ["noisy_1.png", "noisy_2.png"]
    assert f"maps: {out / 'noisy_1.png'}" in printed.err
    stored = np.load(out / "noisy_1" / "maps.npz")
    assert stored["mae_error"].mean() == pytest.approx(rows[0]["mae"], rel=1e-5)
    assert stored["mae_enhanced"].mean() == pytest.approx(rows[0]["e-mae"], rel=1e-5)
    assert {"vgg_tap1_error", "psnr_error", "mae_mask"} <= set(stored)


def test_each_mask_is_made_once(pair, tmp_path, capsys, monkeypatch):
    metrics = ["--metrics", "mae,e-mae,e-mse,e-psnr,e-ssim,e-flip,e-vgg", "--json"]
    assert main(["score", *pair, *metrics]) == 0
    expected = json.loads(capsys.readouterr().out)
    made, mask = [], losses.MaskBank.mask

    def counted(bank, k, *given):
        made.append((bank, k))
        return mask(bank, k, *given)

    monkeypatch.setattr(losses.MaskBank, "mask", counted)
    assert main(["score", *pair, *metrics, "--maps", str(tmp_path / "maps")]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    assert len(made) == len(set(made)) == 5 + 3  # the embedded backbone has three taps


def test_weights_and_order(pair, masks, capsys):
    values = []
    for extra in ([], [f"--weights=E_MAE={masks}"], [f"--weights=e-mae={masks}"]):
        order = ["--order=e-mae=distorted_first"] if extra and "E_MAE" in extra[0] else []
        assert main(["score", *pair, "--metrics", "e-mae", "--json", *extra, *order]) == 0
        values.append(json.loads(capsys.readouterr().out)["e-mae"])
    assert len(set(values)) == 3


def test_scalers(pair, masks, bare_masks, tmp_path, capsys):
    """Two scaler networks draw ratings; where one of them is missing, the maps are errors."""
    drawn = {}
    for name, extra in {
        "both": ["--weights", f"e-mae={masks}", "--weights", f"mae={masks}"],
        "bare": ["--weights", f"e-mae={bare_masks}"],
        "enhanced alone": ["--weights", f"e-mae={masks}"],
        "shipped": [],
        "named": ["--weights", "e-mae=pixel_mask_e_mae"],
    }.items():
        out = tmp_path / name
        metrics = ["--metrics", "mae,e-mae", "--maps", str(out), *extra]
        assert main(["score", *pair, *metrics]) == 0
        drawn[name] = np.load(out / "noisy" / "maps.npz")
    plain = {name: maps["mae_error"] for name, maps in drawn.items()}
    assert not np.allclose(plain["both"], plain["bare"])
    for name in ("enhanced alone", "shipped", "named"):
        np.testing.assert_array_equal(plain[name], plain["bare"])
    np.testing.assert_array_equal(drawn["shipped"]["mae_mask"], drawn["named"]["mae_mask"])
    capsys.readouterr()
    refused([*pair, "--metrics", "mae", "--weights", f"mae={bare_masks}"], "no scaler", capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "e-mae"], "--weights: expected NAME=VALUE, got 'e-mae'"),
        (["--weights", "ssim=x"], "expected one of mae, e-mae, backbone, got 'ssim'"),
        (["--weights", "e-mae=a", "--weights", "e-mae=b"], "e-mae is given twice"),
        (["--weights", "e-mae=gone.pth"], "e-mae: weights file gone.pth does not exist"),
        (["--weights", "e-mae=gone.pth"], "here: --weights e-mae=FILE; or leave e-mae out"),
        (["--order", "e-mae=sideways"], "expected order in"),
        (["--order", "mae=distorted_first"], "unknown argument 'order' of loss MAE"),
        (["--metrics", "charbonnier", "--maps", "maps"], "none of charbonnier has maps"),
        (["--metrics", "milo"], "run `restoration weights fetch MILO`, or put MILO.pth"),
        (
            ["--metrics", "e-dists", "--weights", "e-dists=gone.pth"],
            "here: --weights e-dists=FILE or --weights backbone=FILE; or leave e-dists out",
        ),
    ],
)
def test_mistakes(pair, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    metrics = [] if "--metrics" in arguments else ["--metrics", "mae,e-mae"]
    refused([*pair, *metrics, *arguments], message, capsys)
    assert not (tmp_path / "maps").exists()
