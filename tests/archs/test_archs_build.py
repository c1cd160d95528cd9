"""The factory of architectures: names, arguments, and errors that help."""

import subprocess
import sys
import types

import pytest
import torch

from restoration.archs import ARCHS, Restormer, build


@pytest.fixture
def found(monkeypatch):
    """A stand-in for BasicSR's registry: what is put into it is found; `asked` lists the names."""
    registry, module = {}, types.ModuleType("restoration.common.basicsr")
    registry["asked"] = []

    def find_arch(name):
        registry["asked"].append(name)
        return registry.get(name)

    module.find_arch = find_arch
    monkeypatch.setitem(sys.modules, "restoration.common.basicsr", module)
    return registry


class Foreign(torch.nn.Module):
    def __init__(self, width, depth=2):
        super().__init__()
        self.width, self.depth = width, depth


class TakesAny(torch.nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.kwargs = kwargs


def test_known_names():
    assert set(ARCHS) == {"Restormer", "restormer_s", "restormer_xs"}


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


def test_import_and_build_never_import_basicsr():
    code = (
        "import sys, restoration.archs as a; a.build('restormer_xs', dim=8);"
        "sys.exit(any(n.split('.')[0] == 'basicsr' for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
