"""The factory of architectures: names, arguments, and errors that help."""

import subprocess
import sys

import pytest
import torch

from restoration.archs import ARCHS, Restormer, build, build_network, register_arch, spandrel
from restoration.common import basicsr


@pytest.fixture
def found(monkeypatch):
    """A stand-in for BasicSR's registry: what is put into it is found; `asked` lists the names."""
    registry = {"asked": []}

    def find_arch(name):
        registry["asked"].append(name)
        return registry.get(name)

    monkeypatch.setattr(basicsr, "find_arch", find_arch)
    monkeypatch.setattr(
        basicsr, "known_archs", lambda: [name for name in registry if name[0] < "a"]
    )
    monkeypatch.setattr(basicsr, "failed_imports", dict)
    monkeypatch.setattr(spandrel, "failed_imports", list)
    return registry


@pytest.fixture
def archs(monkeypatch):
    """The known architectures, as they were again afterwards."""
    known = dict(ARCHS)
    yield ARCHS
    ARCHS.clear()
    ARCHS.update(known)


class Foreign(torch.nn.Module):
    def __init__(self, width, depth=2):
        super().__init__()
        self.width, self.depth = width, depth


class TakesAny(torch.nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.kwargs = kwargs


def test_known_names():
    assert set(ARCHS) == {"FFDNet", "Restormer", "restormer_s", "restormer_xs"}


@pytest.mark.parametrize("name", ["Restormer", "restormer_s", "restormer_xs"])
def test_build(name, found):
    with torch.device("meta"):
        network = build(name, dim=8, heads=[1, 2, 4, 8])
    assert isinstance(network, Restormer)
    assert network.patch_embed.proj.out_channels == 8
    assert found["asked"] == []


def test_build_takes_the_option_dictionary():
    with torch.device("meta"):
        network = build(**{"type": "restormer_xs", "inp_channels": 1, "out_channels": 1})
    assert network.inp_channels == 1


def test_unknown_type(found):
    message = "Restormer, restormer_s, restormer_xs.*got 'Restomer'; did you mean 'Restormer'"
    with pytest.raises(ValueError, match=message):
        build("Restomer")
    assert found["asked"] == ["Restomer"]


def test_unknown_type_like_none_gives_no_hint(found):
    with pytest.raises(ValueError, match="got 'zzz'$"):
        build("zzz")


@pytest.mark.parametrize("name", ["Restormer", "restormer_xs"])
def test_unknown_argument(name):
    message = f"arguments of {name} among .*got 'num_block'; did you mean 'num_blocks'"
    with pytest.raises(ValueError, match=message):
        build(name, num_block=[1, 1, 1, 1])


def test_foreign_architecture(found):
    found["Foreign"] = Foreign
    network = build("Foreign", width=4)
    assert (network.width, network.depth) == (4, 2)
    with pytest.raises(ValueError, match="got 'widht'; did you mean 'width'"):
        build("Foreign", widht=4)
    with pytest.raises(ValueError, match="arguments that Foreign needs.*'width'"):
        build("Foreign", depth=3)


def test_foreign_architecture_that_takes_any_argument(found):
    found["TakesAny"] = TakesAny
    assert build("TakesAny", anything=1).kwargs == {"anything": 1}


def test_unknown_type_names_the_nearest_of_all(found):
    found["Foreign"] = Foreign
    with pytest.raises(ValueError, match="got 'Foregin'; did you mean 'Foreign'"):
        build("Foregin")


def test_unknown_type_says_what_was_not_searched(found, monkeypatch):
    monkeypatch.setattr(basicsr, "failed_imports", lambda: {"basicsr": "BasicSR is not there"})
    monkeypatch.setattr(spandrel, "failed_imports", lambda: ["spandrel neither"])
    with pytest.raises(
        ValueError, match="got 'zzz'; basicsr: BasicSR is not there; spandrel neither$"
    ):
        build("zzz")


class OneLayer(torch.nn.Conv2d):
    def __init__(self, channels=3):
        super().__init__(channels, channels, 3, padding=1)


def test_register(archs):
    assert register_arch("OneLayer")(OneLayer) is OneLayer
    assert isinstance(build("OneLayer"), OneLayer)
    assert register_arch("OneLayer")(OneLayer) is OneLayer  # a module that is imported again
    with pytest.raises(ValueError, match="new name of an architecture, got 'Restormer'"):
        register_arch("Restormer")(OneLayer)


def test_import_path(monkeypatch, tmp_path):
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Conv2d):\n"
        "    def __init__(self, channels=3):\n"
        "        super().__init__(channels, channels, 3, padding=1)\n"
        "def text(): return 'no network'\n"
        "NUMBER = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    network = build_network({"type": "own_networks:Own", "channels": 4})
    assert network.in_channels == 4
    with pytest.raises(ValueError, match="among channels, got 'chanels'; did you mean 'channels'"):
        build("own_networks:Own", chanels=4)
    with pytest.raises(ValueError, match="has no 'Ow'; did you mean 'Own'"):
        build("own_networks:Ow")
    with pytest.raises(ValueError, match="expected a class or function, got 3"):
        build("own_networks:NUMBER")
    with pytest.raises(ValueError, match="expected a torch.nn.Module, got 'no network'"):
        build("own_networks:text")


def test_import_and_build_import_no_guest():
    code = (
        "import sys, restoration.archs as a; a.build('restormer_xs', dim=8);"
        "sys.exit(any(n.split('.')[0] in ('basicsr', 'spandrel') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
