"""Nearest names, and objects by import path."""

import sys

import pytest

from losses.naming import check_new_name, import_object, is_import_path, nearest


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module `guest_*.py` into a folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_nearest():
    assert nearest("charbonier", ["MAE", "Charbonnier"]) == "; did you mean 'Charbonnier'?"
    assert nearest("evgg", ["E-VGG", "VGG"]) == "; did you mean 'E-VGG'?"
    assert nearest("zzzz", ["MAE"]) == nearest("mae", []) == ""


def test_check_new_name():
    first, twin, other = (type(name, (), {"__module__": "a"}) for name in ("Own", "Own", "Other"))
    known = {"own": first}
    check_new_name("a loss", "new", other, known)
    check_new_name("a loss", "own", twin, known)  # its module was imported again
    with pytest.raises(ValueError, match="new name of a loss, got 'own', which is taken"):
        check_new_name("a loss", "own", other, known)


def test_is_import_path():
    assert is_import_path("package.module:Name")
    assert not is_import_path("E-VGG")


def test_import_object(module):
    from losses import MAE

    module("guest_loss", "class Sobel:\n    def run(self):\n        return 1\n")
    assert import_object("losses.pixel:MAE") is MAE
    assert import_object("guest_loss:Sobel") is sys.modules["guest_loss"].Sobel
    assert import_object("guest_loss:Sobel.run") is sys.modules["guest_loss"].Sobel.run


@pytest.mark.parametrize("path", ["Sobel", "a.b:", ":Sobel", "a/b.py:Sobel", "a..b:C", "a:b:c", ""])
def test_no_import_path(path):
    with pytest.raises(ValueError, match=r"expected an import path like 'package.module:Name'"):
        import_object(path)


def test_module_that_is_missing():
    with pytest.raises(ValueError, match="no module 'guest_nowhere': is its folder on the Python"):
        import_object("guest_nowhere:Sobel")
    with pytest.raises(ValueError, match="'losses.nowhere:A': no module 'losses.nowhere'"):
        import_object("losses.nowhere:A")


def test_module_that_fails(module):
    module("guest_broken", "1 / 0\n")
    with pytest.raises(ValueError, match="'guest_broken' fails to import: ZeroDivisionError: "):
        import_object("guest_broken:Sobel")
    module("guest_needy", "import guest_dependency\n")
    with pytest.raises(ValueError, match="'guest_needy' imports 'guest_dependency', which is not"):
        import_object("guest_needy:Sobel")


def test_name_that_is_missing(module):
    module("guest_names", "class Sobel:\n    pass\n")
    with pytest.raises(ValueError, match="'guest_names' has no 'Sobl'; did you mean 'Sobel'?"):
        import_object("guest_names:Sobl")
    with pytest.raises(ValueError, match="'Sobel' has no 'strength'$"):
        import_object("guest_names:Sobel.strength")
