"""Loading of weights: what is accepted, and what the errors say."""

import re
from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from restoration.archs import build, load_network, restormer_xs


def network(seed=0, **kwargs):
    torch.manual_seed(seed)
    return restormer_xs(**{"dim": 8, **kwargs})


def is_equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.fixture
def saved():
    return network(seed=1)


def test_params_file(tmp_path, saved):
    path, loaded = tmp_path / "net.pth", network()
    torch.save({"params": saved.state_dict()}, path)
    assert not is_equal(loaded, saved)
    assert load_network(loaded, path) == "params"
    assert is_equal(loaded, saved)
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded(image), saved(image))


def test_key_selects(tmp_path, saved):
    path, average, loaded = tmp_path / "net.pth", network(seed=2), network()
    torch.save({"params": saved.state_dict(), "params_ema": average.state_dict()}, path)
    assert load_network(loaded, str(path), key="params_ema") == "params_ema"
    assert is_equal(loaded, average)
    load_network(loaded, path)
    assert is_equal(loaded, saved)


def test_key_that_is_not_there(tmp_path, saved):
    path = tmp_path / "net.pth"
    torch.save({"params": saved.state_dict()}, path)
    with pytest.raises(ValueError, match="weights under 'params_ema' in .*got keys params$"):
        load_network(network(), path, key="params_ema")


@pytest.mark.parametrize("key", ["params", "params_ema"])
def test_bare_state_dict(tmp_path, saved, key):
    path, loaded = tmp_path / "net.pth", network()
    torch.save(saved.state_dict(), path)
    assert load_network(loaded, path, key=key) is None
    assert is_equal(loaded, saved)


def test_safetensors(tmp_path, saved):
    path, loaded = tmp_path / "net.safetensors", network()
    save_file(saved.state_dict(), path)
    assert load_network(loaded, path) is None
    assert is_equal(loaded, saved)


def test_prefix_of_data_parallel_training(tmp_path, saved):
    path, loaded = tmp_path / "net.pth", network()
    torch.save({"params": torch.nn.DataParallel(saved).state_dict()}, path)
    load_network(loaded, path)
    assert is_equal(loaded, saved)


def test_prefix_is_kept_where_the_network_has_it(tmp_path, saved):
    path, loaded = tmp_path / "net.pth", torch.nn.DataParallel(network())
    torch.save(torch.nn.DataParallel(saved).state_dict(), path)
    load_network(loaded, path)
    assert is_equal(loaded.module, saved)


def test_names_that_do_not_fit(tmp_path, saved):
    path = tmp_path / "net.pth"
    state = saved.state_dict()
    state["extra"] = state.pop("output.weight")
    torch.save({"params": state}, path)
    num = len(state)
    message = (
        f"the {num} tensors of the network, got {num} in {path}: "
        "1 missing: output.weight; 1 unexpected: extra"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        load_network(network(), path)


def test_shapes_that_do_not_fit(tmp_path, saved):
    path = tmp_path / "net.pth"
    torch.save({"params": saved.state_dict()}, path)
    message = re.escape("of another size: patch_embed.proj.weight (16, 3, 3, 3) is (8, 3, 3, 3)")
    with pytest.raises(ValueError, match=message + ".* and [0-9]+ more"):
        load_network(network(dim=16), path)


def test_from_three_channels_to_one(tmp_path, saved, caplog, monkeypatch):
    """`strict_load_g: false` starts a grey network from a colour one, but for its ends."""
    path = tmp_path / "net.pth"
    torch.save({"params": saved.state_dict()}, path)
    caplog.set_level("WARNING", "restoration")
    monkeypatch.setattr("restoration.archs.checkpoint.logger.propagate", True)
    grey = network(1, inp_channels=1, out_channels=1)
    fresh = network(1, inp_channels=1, out_channels=1)
    load_network(grey, path, strict=False)
    (said,) = set(caplog.messages)
    assert "2 of another size: patch_embed.proj.weight (8, 1, 3, 3) is (8, 3, 3, 3), out" in said
    for name, tensor in grey.state_dict().items():
        ends = name in ("patch_embed.proj.weight", "output.weight")
        assert torch.equal(tensor, (fresh if ends else saved).state_dict()[name])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "it fits `network_g: {type: restormer_xs}`"),
        (
            {"inp_channels": 1, "out_channels": 1, "LayerNorm_type": "WithBias"},
            "{type: restormer_xs, inp_channels: 1, out_channels: 1, LayerNorm_type: WithBias}",
        ),
    ],
)
def test_another_preset_is_named(tmp_path, arguments, said):
    path = tmp_path / "net.pth"
    with torch.device("meta"):
        other = build("restormer_xs", **arguments)
    torch.save({"params": other.to_empty(device="cpu").state_dict()}, path)
    with pytest.raises(ValueError, match=re.escape(said)):
        load_network(network(), path)


def test_the_network_that_a_file_carries_is_named(tmp_path, saved):
    path = tmp_path / "net.pth"
    carried = {"type": "restormer_xs", "dim": 8}
    torch.save({"params": saved.state_dict(), "network_g": carried}, path)
    said = "the file says that it is of `network_g: {type: restormer_xs, dim: 8}`"
    with pytest.raises(ValueError, match=re.escape(said)):
        load_network(network(dim=16), path)


def test_a_mismatch_leaves_the_network_as_it_was(tmp_path, saved):
    path, loaded = tmp_path / "net.pth", network()
    state = saved.state_dict()
    del state["output.weight"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="1 missing"):
        load_network(loaded, path)
    assert is_equal(loaded, network())


def test_not_strict_loads_what_is_there(tmp_path, saved, caplog, monkeypatch):
    path, loaded = tmp_path / "net.pth", network()
    torch.save({"params": {"output.weight": saved.output.weight.data, "x": torch.ones(1)}}, path)
    caplog.set_level("WARNING", "restoration")
    monkeypatch.setattr("restoration.archs.checkpoint.logger.propagate", True)
    assert load_network(loaded, path, strict=False) == "params"
    (said,) = set(caplog.messages)
    assert re.search(
        r"1 of the network's (\d+) tensors loaded; \d+ missing: patch_embed.*; 1 unexpected: x",
        said,
    )
    assert torch.equal(loaded.output.weight, saved.output.weight)
    assert torch.equal(loaded.patch_embed.proj.weight, network().patch_embed.proj.weight)


def test_not_strict_still_wants_something_in_common(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"params": {"x": torch.ones(1)}}, path)
    with pytest.raises(ValueError, match="1 unexpected: x"):
        load_network(network(), path, strict=False)


@pytest.mark.parametrize("name", ["absent.pth", "."])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="got no file at"):
        load_network(network(), tmp_path / name)


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04" + bytes(100)])
def test_unreadable_file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"expected a checkpoint of tensors, got .*{name}: ."):
        load_network(network(), path)


def test_code_in_a_file_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"params": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(ValueError, match="expected a checkpoint of tensors"):
        load_network(network(), path)


@pytest.mark.parametrize("content", [[torch.ones(1)], {}, torch.ones(2)])
def test_file_without_a_state_dict(tmp_path, content):
    path = tmp_path / "net.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match="expected a state dict in"):
        load_network(network(), path)


def test_keys_that_hold_no_weights_are_named(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"iter": 5, "epoch": 1}, path)
    with pytest.raises(ValueError, match="got keys iter, epoch$"):
        load_network(network(), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"params": {}, "args": Namespace(x=1)}, "objects of argparse.Namespace"),
        (nn.Linear(2, 2), "objects of torch.nn.modules.linear.Linear"),
        (None, "not written by torch.save"),
    ],
)
def test_error_says_what_the_file_holds(tmp_path, content, message):
    """And never that the file should be loaded with its code."""
    path = tmp_path / "theirs.pth"
    if content is None:
        path.write_text("<!DOCTYPE html>")
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        load_network(nn.Linear(2, 2), path)
    assert "weights_only" not in str(caught.value) and "\x1b" not in str(caught.value)
