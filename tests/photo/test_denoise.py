"""Denoising: tiles, strength and detail, checkpoints that say what they are, and the command."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from identity import Shift
from PIL import Image
from safetensors.torch import save_file
from tiny import TINY
from torch import nn

import restoration
from restoration.archs import build_network, restore
from restoration.cli import main
from restoration.photo import memory
from restoration.photo.detail import returned_detail
from restoration.photo.files import plan
from restoration.photo.model import load_denoiser
from restoration.photo.tiles import OVERLAP, Denoiser, denoise_pixels

CPU = torch.device("cpu")


def picture(height, width, channels=3, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random((height, width, channels))
    return (values * (np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1)).astype(dtype)


# -------------------------------------------------------------------------------------------- tiles


class Blur(nn.Module):
    """Looks seven pixels far, so that tiles without enough overlap would show."""

    inp_channels = 3
    multiple = 4

    def forward(self, image):
        padded = nn.functional.pad(image, (7, 7, 7, 7), mode="replicate")
        return nn.functional.avg_pool2d(padded, 15, stride=1)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 64), (65, 200), (300, 97)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pictures_of_any_size_come_back_exactly(shape, dtype):
    pixels = picture(*shape, dtype=dtype)
    found = denoise_pixels(Denoiser(Shift(), CPU, 64), pixels)
    assert found.dtype == dtype and found.shape == pixels.shape
    assert np.allclose(found, pixels, rtol=0, atol=1e-6 if dtype == np.float32 else 0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels(channels):
    pixels = picture(40, 100, channels)
    assert np.array_equal(denoise_pixels(Denoiser(Shift(), CPU, 64), pixels), pixels)
    grey = Shift()
    grey.inp_channels = 1
    assert np.array_equal(denoise_pixels(Denoiser(grey, CPU, 64), pixels), pixels)
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        denoise_pixels(Denoiser(Shift(), CPU, 64), picture(4, 4, 2))


def test_tiles_blend_into_the_whole():
    """Seams are no larger than what the network sees beyond a tile's edge, faded out."""
    y, x = np.mgrid[:190, :230]
    pixels = np.stack([0.5 + 0.4 * np.sin(x / 9 + c) * np.cos(y / 11) for c in range(3)], axis=2)
    pixels = pixels.astype(np.float32)
    whole = denoise_pixels(Denoiser(Blur(), CPU, 4096), pixels)
    tiled = denoise_pixels(Denoiser(Blur(), CPU, 96), pixels)
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    direct = restore(Blur(), batch)[0].permute(1, 2, 0).numpy()
    assert np.allclose(whole, direct, atol=1e-6)
    inside = (slice(16, -16), slice(16, -16))
    assert np.abs(tiled - whole)[inside].max() < 0.02
    steps = np.abs(np.diff(tiled, axis=1)).max()
    assert steps <= np.abs(np.diff(whole, axis=1)).max() * 1.2


def test_tiles_are_even_and_told_of():
    told = []
    pixels = picture(100, 250)
    denoise_pixels(Denoiser(Shift(), CPU, 96), pixels, lambda *done: told.append(done))
    assert told == [(number, 8) for number in range(1, 9)]  # 2 x 4 of 72 x 88


def test_inks_are_shown_as_light():
    """Bare paper is white for the network: what brightens it takes ink away."""
    inks = np.full((20, 30, 4), 100, np.uint8)
    found = denoise_pixels(Denoiser(Shift(20 / 255), CPU, 64), inks)
    assert np.array_equal(np.unique(found), [80])


@pytest.mark.parametrize("name", ["strength", "detail"])
@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"expected {name} in"):
        Denoiser(Shift(), CPU, 64, **{name: value})
    with pytest.raises(ValueError, match="tiles of more than"):
        Denoiser(Shift(), CPU, OVERLAP)


def test_strength_blends():
    pixels = np.full((20, 30, 3), 100, np.uint8)
    for strength, expected in ((0, 100), (0.5, 110), (1, 120)):
        denoiser = Denoiser(Shift(20 / 255), CPU, 64, strength=strength)
        assert np.array_equal(np.unique(denoise_pixels(denoiser, pixels)), [expected])


# ------------------------------------------------------------------------------------------- detail


def test_detail_gives_back_texture_and_no_noise():
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(1, 3, 96, 96, generator=generator)
    texture = torch.zeros(1, 3, 96, 96)
    texture[:, :, 40:48, 40:60] = 0.3
    restored = torch.full_like(noise, 0.5)
    of_noise = returned_detail(restored + noise, restored)
    assert of_noise.shape == (1, 1, 96, 96)
    assert of_noise.square().mean() < 0.005 * noise.square().mean()
    found = returned_detail(restored + noise + texture, restored)
    patch = found[..., 42:46, 44:56].mean()
    assert 0.15 < patch < 0.3
    found[..., 36:52, 36:64] = 0
    assert found.abs().mean() < 0.005
    assert torch.equal(returned_detail(restored, restored), torch.zeros(1, 1, 96, 96))


def test_detail_of_a_picture():
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[30:34, 10:50] = 200
    flat = Blur()
    without = denoise_pixels(Denoiser(flat, CPU, 128), pixels)
    half = denoise_pixels(Denoiser(flat, CPU, 128, detail=0.5), pixels)
    whole = denoise_pixels(Denoiser(flat, CPU, 128, detail=1), pixels)
    assert without[32, 30, 0] < half[32, 30, 0] < whole[32, 30, 0] <= 200


# ------------------------------------------------------------------------------------------- memory


def test_sides_of_tiles_follow_the_memory(monkeypatch):
    network = build_network(TINY).eval()
    sides = []
    for free in (2**20, 2**28, 2**40):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        sides.append(memory.tile_side(network, CPU))
    assert sides[0] == memory.SMALLEST < sides[1] < sides[2] <= memory.LARGEST
    assert all(side % memory.STEP == 0 for side in sides)


def test_live_tensors_are_counted():
    class Wide(nn.Module):
        inp_channels = 3

        def forward(self, image):
            wide = image.repeat(1, 10, 1, 1)  # 30 floats a pixel
            return wide[:, :3] + 0

    assert 120 <= memory.bytes_per_pixel(Wide(), CPU) <= 120 + 4 * 12
    assert memory.free_bytes(CPU) > 2**20


def test_counting_tensors_loads_no_compiler():
    """It would take 150 MB and a second of every photograph."""
    script = (
        "import sys, torch\n"
        "from restoration.common.tensor_memory import LiveTensors\n"
        "with LiveTensors() as live: torch.zeros(8) + 1\n"
        "assert live.peak >= 32 and 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603


# ----------------------------------------------------------------------------------------- networks


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(TINY)


def same(found, expected):
    state = expected.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in found.state_dict().items())


def test_checkpoints_that_say_what_they_are(tmp_path, network):
    torch.save({"params": network.state_dict(), "network_g": TINY}, tmp_path / "a.pth")
    found = load_denoiser(tmp_path / "a.pth")
    assert same(found, network) and not found.training
    path = tmp_path / "a.safetensors"
    save_file(network.state_dict(), path, {"network_g": json.dumps(TINY)})
    assert same(load_denoiser(str(path)), network)


def test_averaged_weights_come_first(tmp_path, network):
    other = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    content = {"params": other, "params_ema": network.state_dict(), "network_g": TINY}
    torch.save(content, tmp_path / "a.pth")
    assert same(load_denoiser(tmp_path / "a.pth"), network)


def test_options_of_the_run_beside_it(tmp_path, network):
    (tmp_path / "models").mkdir()
    (tmp_path / "options.yml").write_text(yaml.safe_dump({"network_g": TINY}))
    for path in (tmp_path / "models/a.pth", tmp_path / "b.pth"):
        torch.save({"params": network.state_dict()}, path)
        assert same(load_denoiser(path), network)


def test_networks_that_the_caller_names(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "a.pth")
    for name, content in (("own", TINY), ("whole", {"name": "x", "network_g": TINY})):
        file = tmp_path / f"{name}.yml"
        file.write_text(yaml.safe_dump(content))
        assert same(load_denoiser(tmp_path / "a.pth", file), network)
    assert same(load_denoiser(tmp_path / "a.pth", TINY), network)
    (tmp_path / "no.yml").write_text("name: x")
    with pytest.raises(ValueError, match="expected `network_g` with a `type`"):
        load_denoiser(tmp_path / "a.pth", tmp_path / "no.yml")


def test_a_checkpoint_runs_no_code_of_its_own(tmp_path):
    path = tmp_path / "a.pth"
    network_g = {"type": "identity:Shift"}
    torch.save({"params": Shift(0.5).state_dict(), "network_g": network_g}, path)
    with pytest.raises(ValueError, match="if you trust it, give --network identity:Shift"):
        load_denoiser(path)
    assert float(load_denoiser(path, "identity:Shift").shift) == 0.5


def test_nobody_says_what_the_network_is(tmp_path):
    torch.save({"params": {"what": torch.zeros(3)}}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="give --network TYPE or --network FILE.yml"):
        load_denoiser(tmp_path / "a.pth")


def test_foreign_networks_are_recognised(tmp_path):
    pytest.importorskip("spandrel")
    stages = {"enc_blk_nums": [1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1]}
    foreign = build_network({"type": "NAFNet", "width": 4, **stages})
    torch.save({"params": foreign.state_dict()}, tmp_path / "a.pth")
    found = load_denoiser(tmp_path / "a.pth")
    assert type(found).__name__ == "NAFNet" and same(found, foreign)
    pixels = picture(70, 90)
    assert denoise_pixels(Denoiser(found, CPU, 64), pixels).shape == pixels.shape


def test_networks_for_other_images(tmp_path):
    network_g = TINY | {"inp_channels": 4, "out_channels": 4}
    weights = build_network(network_g).state_dict()
    torch.save({"params": weights, "network_g": network_g}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="got one for 4"):
        load_denoiser(tmp_path / "a.pth")


def test_missing_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="got no file at gone.pth"):
        load_denoiser("gone.pth")
    with pytest.raises(FileNotFoundError, match="did you mean 'denoise_color_xs'"):
        load_denoiser("denoise_color_x")
    with pytest.raises(FileNotFoundError, match="weights fetch restormer_real.*Licence: academic"):
        load_denoiser("restormer_real")


# ---------------------------------------------------------------------------------------- in Python


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_arrays(dtype):
    for pixels in (picture(20, 30, dtype=dtype), picture(20, 30, 1, dtype=dtype)[:, :, 0]):
        found = restoration.denoise(pixels, model=Shift(), device="cpu", tile=64)
        assert found.dtype == dtype and found.shape == pixels.shape
        assert np.allclose(found, pixels, atol=1e-6)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.int32)])
def test_other_arrays(image):
    with pytest.raises(ValueError, match="expected an array"):
        restoration.denoise(image, model=Shift())


def test_paths(tmp_path):
    pixels = picture(20, 30, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = restoration.denoise(tmp_path / "a.png", Shift(), out=tmp_path / "b" / "c.png")
    assert np.array_equal(found, pixels[:, :, :3])
    with Image.open(tmp_path / "b" / "c.png") as written:
        assert np.array_equal(np.asarray(written), pixels)
    with pytest.raises(ValueError, match="with an array"):
        restoration.denoise(pixels[:, :, :3], Shift(), out=tmp_path / "c.png")


# ------------------------------------------------------------------------------------- the command


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with photographs, a bad one, one of another format, a text, and a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in/below").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    Image.fromarray(picture(20, 30)).save("in/a.png")
    Image.fromarray(picture(30, 20)).save("in/below/b.jpg")
    (tmp_path / "in/bad.png").write_bytes(b"no picture")
    (tmp_path / "in/other.gif").write_bytes(b"GIF89a")
    (tmp_path / "in/notes.txt").write_text("x")
    content = {"params": build_network(TINY).state_dict(), "network_g": TINY}
    torch.save(content, tmp_path / "net.pth")
    return tmp_path


def command(*arguments):
    return main(["denoise", *map(str, arguments), "--model", "net.pth", "--device", "cpu"])


def test_a_folder_with_bad_files(place, capsys):
    assert command("in") == 1
    said = capsys.readouterr().out
    assert "2 of 4 denoised, in denoised; 2 not:" in said
    assert "in/bad.png: cannot be decoded" in said.splitlines()[-3].strip()
    assert "in/other.gif: .gif files are not read here" in said
    assert "files in the folders that are not images: 1" in said
    out = place / "denoised"
    written = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    assert written == {"a.png", "below/b.jpg"}


def test_good_files_alone(place, capsys):
    assert command("in/a.png", "in/below", "--out", "x", "--tile", 64, "--strength", 0) == 0
    assert "2 of 2 denoised, in x" in capsys.readouterr().out
    with Image.open("x/a.png") as found:
        assert np.array_equal(np.asarray(found), picture(20, 30))


def test_nothing_is_overwritten(place, capsys):
    (place / "x").mkdir()
    (place / "x/a.png").write_bytes(b"mine")
    assert command("in/a.png", "--out", "x") == 1
    assert "x/a.png exists: --force replaces it" in capsys.readouterr().out
    assert (place / "x/a.png").read_bytes() == b"mine"
    assert command("in/a.png", "--out", "x", "--force") == 0
    assert (place / "x/a.png").read_bytes() != b"mine"


def test_a_file_that_is_named_is_never_skipped(place, capsys):
    assert command("in/a.png", "in/notes.txt") == 1
    said = capsys.readouterr().out
    assert "1 of 2 denoised" in said and "in/notes.txt: .txt files are not read here" in said


def test_weights_that_answer_nan(place, capsys):
    state = {name: tensor * torch.nan for name, tensor in build_network(TINY).state_dict().items()}
    torch.save({"params": state, "network_g": TINY}, place / "net.pth")
    assert command("in/a.png") == 1
    assert "the network is NaN" in capsys.readouterr().out and not (place / "denoised").exists()


def test_two_of_one_name(place, capsys):
    (place / "second").mkdir()
    Image.fromarray(picture(9, 9)).save("second/a.png")
    assert command("in/a.png", "second/a.png", "--force") == 1
    assert "is the result of in/a.png already" in capsys.readouterr().out


def test_results_are_no_inputs(place):
    (place / "denoised").mkdir()
    Image.fromarray(picture(9, 9)).save("denoised/old.png")
    jobs = plan([place], place / "denoised").jobs
    assert not [job for job in jobs if job.source.name == "old.png"]
    assert [job for job in jobs if job.source.name == "a.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in/a.png", "--tile", "big"], "--tile: expected auto or a number of pixels, got 'big'"),
        (["in/a.png", "--strength", "2"], "expected strength in [0, 1], got 2"),
        (["gone"], "expected a file or folder, got gone"),
        (["empty"], "expected images (.jpg"),
    ],
)
def test_mistakes(place, arguments, message, capsys):
    assert command(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not (place / "denoised").exists()


def test_a_training_writes_what_the_command_needs(place, pictures):
    from tiny import tiny_options

    options = tiny_options(pictures(2, side=24)) | {
        "name": "run",
        "train": {"total_iter": 1, "losses": [{"type": "MAE"}]},
        "datasets": {"train": tiny_options(pictures(2, side=24))["datasets"]["train"]},
        "logger": {"use_tb_logger": False},
    }
    checkpoint = restoration.train(options)
    assert torch.load(checkpoint, weights_only=True)["network_g"] == TINY
    checkpoint.rename(place / "net.pth")
    assert command("in/a.png") == 0
