"""Option files that ship: found from any folder, copied with their bases."""

from pathlib import Path

import pytest

from restoration.cli import main
from restoration.compare.plan import load_comparison
from restoration.options import shipped
from restoration.options.load import load_options, read_mapping
from restoration.options.shipped import copy_options, find_option_file, shipped_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_names():
    files = sorted((ROOT / "options").rglob("*.yml"))
    assert shipped_names() == [one.relative_to(ROOT).as_posix() for one in files]


def test_found_from_any_folder():
    assert find_option_file("options/demo.yml") == ROOT / "options/demo.yml"
    assert load_options("options/demo.yml").name == "demo"
    plan = load_comparison("options/compare/vgg_vs_evgg.yml")  # its recipes have bases
    assert plan == load_comparison(ROOT / "options/compare/vgg_vs_evgg.yml")


@pytest.mark.parametrize("size", ["restormer", "restormer_xs"])
def test_half_vgg_half_evgg_has_half_of_both_weights(size):
    def weights(recipe: str) -> dict[str, float]:
        options = load_options(f"options/train/{size}_blind_color_{recipe}.yml")
        return options.train.weights()

    whole = weights("mae_vgg") | weights("mae_evgg")
    half = {name: weight / 2 for name, weight in whole.items() if name != "MAE"}
    assert weights("mae_half_vgg_half_evgg") == pytest.approx({"MAE": 1.0, **half})


def test_found_inside_the_package(tmp_path, monkeypatch):
    """As in a wheel, where `files` lies beside the module."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/demo.yml").touch()
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "shipped.py"))
    assert shipped_names() == ["options/demo.yml"]
    assert find_option_file("options/demo.yml") == tmp_path / "files/demo.yml"


def test_a_file_in_the_working_directory_is_nearer(tmp_path):
    (tmp_path / "options").mkdir()
    (tmp_path / "options/demo.yml").write_text("name: mine")
    assert read_mapping(Path("options/demo.yml")) == {"name": "mine"}


def test_a_base_that_ships(tmp_path):
    (tmp_path / "mine.yml").write_text("base: options/demo.yml\nname: mine")
    assert load_options("mine.yml").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.yml", "gone.yml does not exist$"),
        ("demo.yml", "demo.yml does not exist$"),
        ("options/dmo.yml", "did you mean 'options/demo.yml'.*`restoration options list`"),
        ("/options/demo.yml", "does not exist$"),
    ],
)
def test_not_found(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        find_option_file(name)


def test_copied_with_their_bases(tmp_path):
    copied = copy_options(["options/compare/front_small.yml"], Path("options"))
    names = [one.as_posix() for one in copied]
    assert names == [f"options/{n}.yml" for n in ("compare/front_small", "compare/quick", "demo")]
    for name in names:
        assert Path(name).read_bytes() == (ROOT / name).read_bytes()
    assert find_option_file("options/demo.yml") == tmp_path / "options/demo.yml"
    with pytest.raises(FileExistsError, match="expected new files, got options/demo.yml"):
        copy_options(["options/demo.yml"], Path("options"))
    assert copy_options(["options/demo.yml"], Path("options"), force=True)


def test_all_are_copied(tmp_path):
    assert len(copy_options([], tmp_path / "mine")) == len(shipped_names())
    assert load_comparison(tmp_path / "mine/compare/vgg_vs_evgg.yml").recipes


def test_copy_of_an_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="got 'options/dem.yml'; did you mean 'options/demo.yml'"):
        copy_options(["options/dem.yml"], tmp_path)


# ------------------------------------------------------------------- the command line


def test_list(capsys):
    assert main(["options", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == shipped_names()
    after = lines[lines.index("options/demo.yml") + 1]
    assert (
        after == "    A small blind denoiser in a few minutes on two cores, from photographs inside"
    )
    assert max(map(len, lines)) <= 88


def test_copy_then_use(tmp_path, capsys):
    assert main(["options", "copy", "options/compare/quick.yml"]) == 0
    assert capsys.readouterr().out == "options/compare/quick.yml\noptions/demo.yml\n"
    assert main(["options", "copy", "options/demo.yml"]) == 2
    assert "--force replaces them" in capsys.readouterr().err
    assert main(["options", "copy", "options/demo.yml", "--out", "mine"]) == 0
    assert (tmp_path / "mine/demo.yml").is_file()


@pytest.mark.parametrize("action", ["list", "keys"])
def test_names_are_for_copy(action, capsys):
    assert main(["options", action, "options/demo.yml"]) == 2
    assert f"expected no names after `{action}`" in capsys.readouterr().err
