"""Architectures of spandrel: by name, and recognised from a checkpoint; trained, refused."""

import sys

import pytest
import torch
from tiny import tiny_options

import restoration
from restoration.archs import build, build_network, protocol, restore
from restoration.archs import spandrel as door
from restoration.options.load import validate

spandrel = pytest.importorskip("spandrel", reason="spandrel (the extra `archs`) is not installed")

STAGES = {"enc_blk_nums": [1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1]}
WINDOWS = {"upscale": 1, "img_size": 16, "window_size": 8, "depths": [2], "num_heads": [2]}
ARCHS = {
    "NAFNet": {"width": 4, **STAGES},
    "KBNet_s": {"width": 4, **STAGES},
    "SCUNet": {"dim": 64, "config": [1] * 7},
    "DRUNet": {"in_nc": 3, "out_nc": 3, "nc": [4, 4, 8, 8], "nb": 2},
    "DnCNN": {"in_nc": 3, "out_nc": 3, "nc": 4, "nb": 8, "act_mode": "R"},
    "SwinIR": {**WINDOWS, "embed_dim": 8, "mlp_ratio": 2, "upsampler": ""},
    "HAT": {**WINDOWS, "embed_dim": 12, "squeeze_factor": 4, "upsampler": "pixelshuffle"},
    "RetinexFormer": {"n_feat": 8, "stage": 1, "num_blocks": [1, 1, 1]},
    "FFTformer": {"dim": 8, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1},
    "Uformer": {"img_size": 128, "embed_dim": 4, "depths": [1] * 9, "num_heads": [1] * 9},
    "FBCNN": {"in_nc": 3, "out_nc": 3, "nc": [4, 4, 8, 512], "nb": 2},
}
SIZES = {  # multiple, minimum, square
    "NAFNet": (1, 1, False),
    "SCUNet": (1, 40, False),
    "DRUNet": (8, 1, False),
    "HAT": (1, 16, False),
    "FFTformer": (32, 1, False),
    "Uformer": (128, 1, True),
}
every_arch = pytest.mark.parametrize("name", ARCHS)


def make(name, **arguments):
    """A network of spandrel, whatever else knows the name."""
    torch.manual_seed(0)
    return door.find_arch(name)(**{**ARCHS.get(name, {}), **arguments})


def is_equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.fixture
def checkpoint(tmp_path):
    """Save a network: `checkpoint(network, key)`; bare where the key is None."""

    def save(network, key="params", name="net.pth"):
        state = network.state_dict()
        torch.save(state if key is None else {key: state}, tmp_path / name)
        return tmp_path / name

    return save


@every_arch
def test_restores_images_of_any_size(name):
    image = torch.rand(1, 3, 13, 21)
    restored = restore(make(name), image)
    assert restored.shape == image.shape and restored.isfinite().all()


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_what_the_descriptor_says(name):
    network = make(name)
    sizes = (protocol.size_multiple(network), protocol.smallest_side(network))
    assert (*sizes, protocol.takes_squares(network)) == SIZES[name]


@every_arch
def test_recognised_from_a_checkpoint(name, checkpoint):
    network = make(name)
    loaded = build_network({"type": "spandrel", "file": str(checkpoint(network))})
    assert type(loaded) is type(network) and is_equal(loaded, network)
    assert protocol.size_multiple(loaded) == protocol.size_multiple(network)
    assert protocol.image_channels(loaded) == 3
    image = torch.rand(1, 3, 16, 24)
    assert torch.equal(restore(loaded, image), restore(network, image))


@pytest.mark.slow
@every_arch
def test_trains_three_steps_and_is_tested(name, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    side = {"Uformer": 128, "SCUNet": 64}.get(name, 32)
    options = tiny_options(pictures(2, side=side)) | {"name": name, "logger": {"print_freq": 1}}
    options["datasets"]["train"]["gt_size"] = side
    options["train"] = {"total_iter": 3, "losses": [{"type": "MAE"}]}
    options["val"] = {"metrics": ["psnr"]}
    start = tmp_path / "start.pth"
    torch.save({"params": make(name).state_dict()}, start)
    options["network_g"] = {"type": "spandrel", "file": str(start)}
    trained = restoration.train(options)
    before, after = (torch.load(path, weights_only=True)["params"] for path in (start, trained))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[n], after[n]) for n in before)
    options["network_g"]["file"] = str(trained)
    alone = restoration.test(options, folder="alone")
    options["network_g"]["file"] = str(start)
    over = restoration.test(options, path={"pretrain_network_g": trained}, folder="over")
    assert [row.values for row in alone.rows] == [row.values for row in over.rows]


def test_options_of_nafnet_train(pictures, tmp_path, monkeypatch):
    """The network of its authors' file for real photographs, narrower and flatter."""
    monkeypatch.chdir(tmp_path)
    options = tiny_options(pictures(2, side=24)) | {"name": "nafnet"}
    network = {"enc_blk_nums": [1, 1, 1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1]}
    options["network_g"] = {"type": "NAFNet", "width": 4, **network}
    options["train"] = {"total_iter": 3, "losses": [{"type": "MAE"}], "checkpointing": "none"}
    trained = restoration.train(options)
    weights = torch.load(trained, weights_only=True)["params"]
    assert weights["intro.weight"].shape == (4, 3, 3, 3)  # names as its authors' files have them
    report = restoration.test(options, path={"pretrain_network_g": trained}, folder="tested")
    assert {row.run for row in report.rows} == {"noisy", "nafnet"}
    with pytest.raises(ValueError, match="checkpointing none for NAFNet"):
        restoration.train(options, train={"checkpointing": "all"}, name="other")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("DRUNet", {"in_nc": 4}), ("DnCNN", {"in_nc": 4, "mode": "FDnCNN"})],
)
def test_trains_with_the_noise_level_as_input(name, arguments, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = tiny_options(pictures(2, side=24)) | {"name": "told"}
    for images in options["datasets"].values():
        images["noise_map"] = True
    options["network_g"] = {"type": name, **ARCHS[name], **arguments}
    options["train"] = {"total_iter": 3, "losses": [{"type": "MAE"}]}
    trained = restoration.train(options)
    options["network_g"] = {"type": "spandrel", "file": str(trained)}
    report = restoration.test(options, folder="tested")
    assert {row.run for row in report.rows} == {"noisy", "told"}


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_come_from_the_constructor(channels, checkpoint):
    network = build("NAFNet", img_channel=channels, width=4, **STAGES)
    loaded = build("spandrel", file=checkpoint(network))
    assert protocol.image_channels(network) == protocol.image_channels(loaded) == channels


def test_a_grey_network_trains_and_is_tested(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = tiny_options(pictures(2, side=24)) | {"name": "grey"}
    for images in options["datasets"].values():
        images["in_ch"] = 1
    options["network_g"] = {"type": "NAFNet", "img_channel": 1, "width": 4, **STAGES}
    options["train"] = {"total_iter": 3, "losses": [{"type": "MAE"}]}
    options["val"] = {"metrics": ["psnr"]}
    trained = restoration.train(options)
    options["network_g"] = {"type": "spandrel", "file": str(trained)}
    assert len(restoration.test(options, folder="tested").rows) == 4
    options["datasets"]["val"]["in_ch"] = 3
    with pytest.raises(ValueError, match="for images of 3 channels.*got one for 1"):
        restoration.test(options, folder="colour")


def test_a_channel_of_the_noise_level_counts(checkpoint):
    """The descriptor leaves it out: spandrel gives DRUNet a constant one."""
    network = make("DRUNet", in_nc=4)
    loaded = build("spandrel", file=checkpoint(network))
    assert protocol.image_channels(network) == protocol.image_channels(loaded) == 4


@pytest.mark.parametrize("key", [None, "params_ema", "state_dict"])
def test_where_the_weights_lie(key, checkpoint):
    network = make("NAFNet")
    path = checkpoint(network, key)
    assert is_equal(build("spandrel", file=path), network)
    if key is not None:
        assert is_equal(build("spandrel", file=path, key=key), network)
        with pytest.raises(ValueError, match="weights under 'params' in"):
            build("spandrel", file=path, key="params")


def test_plain_weights_come_before_averaged_ones(tmp_path):
    plain, average = make("NAFNet"), make("NAFNet", width=6)
    states = {"params": plain.state_dict(), "params_ema": average.state_dict()}
    torch.save(states, tmp_path / "net.pth")
    options = {"name": "x", "network_g": {"type": "spandrel", "file": str(tmp_path / "net.pth")}}
    for key, network in (("params", plain), ("params_ema", average)):
        (run,) = validate({**options, "path": {"param_key_g": key}}).checkpoints("x").values()
        assert run.pretrain_network_g == tmp_path / "net.pth"
        assert is_equal(build_network(run.network_g), network)


def test_the_file_of_a_run_is_its_checkpoint(tmp_path):
    network = {"type": "spandrel", "file": "theirs.pth"}
    options = validate({"name": "x", "runs": {"theirs": {"network_g": network}}})
    assert str(options.checkpoints("x")["theirs"].pretrain_network_g) == "theirs.pth"


def test_code_in_a_file_is_refused(tmp_path):
    torch.save({"params": torch.nn.Linear(2, 2)}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"objects of torch\.nn"):
        build("spandrel", file=tmp_path / "net.pth")


def test_files_that_are_not_recognised(tmp_path, checkpoint):
    with pytest.raises(FileNotFoundError, match="got no file at"):
        build("spandrel", file=tmp_path / "absent.pth")
    with pytest.raises(ValueError, match=r"an architecture that spandrel 0\.\S+ knows, got .*net"):
        build("spandrel", file=checkpoint(torch.nn.Linear(2, 2)))
    network = make("NAFNet")
    del network.decoders[0][0].conv5
    with pytest.raises(
        ValueError, match="expected a checkpoint that spandrel loads, got .*Missing key"
    ):
        build("spandrel", file=checkpoint(network))
    with pytest.raises(ValueError, match="all arguments that spandrel needs.*'file'"):
        build("spandrel")


def test_networks_that_change_the_size_are_refused(checkpoint):
    with pytest.raises(ValueError, match="keeps the size, got SwinIR of scale 2"):
        make("SwinIR", upscale=2, upsampler="pixelshuffledirect")
    with pytest.raises(ValueError, match="takes an image and restores it, got GFPGAN"):
        door.find_arch("GFPGAN")()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="of NAFNet among img_channel, width.*mean 'width'"):
        build("NAFNet", widht=8)
    with pytest.raises(ValueError, match="got 'NAFnet'; did you mean 'NAFNet'"):
        build("NAFnet")


def test_answers_that_are_no_images_are_made_images():
    image = torch.rand(1, 3, 64, 64)
    network = make("MixDehazeNet", embed_dims=[8] * 5, depths=[1] * 5)
    torch.testing.assert_close(network(image), network.forward(image) * 0.5 + 0.5)
    network = make("FBCNN")
    torch.testing.assert_close(network(image), network.forward(image)[0])


def test_sizes_that_spandrel_cannot_tell_are_warned_of(caplog, monkeypatch):
    monkeypatch.setattr(door.logger, "propagate", True)
    network = make("DRUNet", nb=1)  # its tensors have other names, which spandrel does not know
    assert "cannot tell which sizes this DRUNet takes" in caplog.text
    assert protocol.size_multiple(network) == 8


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    assert door.known_archs() == []
    with pytest.raises(ValueError, match="got 'NAFNet'.*spandrel.*is not installed: `pip"):
        build("NAFNet")
    with pytest.raises(ValueError, match="is not installed: `pip"):
        build("spandrel", file="net.pth")
