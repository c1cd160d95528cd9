"""Every problem of an installation is found, and its cure named."""

import re
import shutil
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from losses import weights
from restoration.cli import main
from restoration.common import checkup, installation


@pytest.fixture
def packages(monkeypatch):
    """Versions of what is installed, by name, for the test to change."""
    here = {"perceptual-restoration": "0.1.0", "torch": "2.14.1", "opencv-python-headless": "5.0"}

    def version(name):
        if name not in here:
            raise PackageNotFoundError(name)
        return here[name]

    monkeypatch.setattr(checkup, "version", version)
    monkeypatch.setattr(installation, "version", version)
    monkeypatch.setattr(
        checkup, "requires", lambda name: ["torch>=2.4", 'rich>=13.7; extra == "train"', "piq"]
    )
    return here


def only(problems):
    (problem,) = problems
    return problem


def test_nothing_is_wrong(packages):
    assert list(checkup.package_problems()) == []
    assert checkup.requirements() == [("rich", "13.7"), ("torch", "2.4")]


@pytest.mark.parametrize(
    ("changes", "what", "cure"),
    [
        ({"rich": "13.6.9"}, "expected rich >= 13.7, got 13.6.9", "pip install -U 'rich'"),
        ({"torch": "2.3.1+cu121"}, "expected torch >= 2.4, got 2.3.1", "pip install -U 'torch'"),
        (
            {"opencv-python": "4.9"},
            "opencv-python-headless and opencv-python are installed",
            "pip uninstall -y opencv-python-headless opencv-python && pip install opencv-python-h",
        ),
        ({"restoration": "0.2.1"}, "files take the place of ours", "--no-deps perceptual-rest"),
        (
            {"tensorboard": "2.21", "tb-nightly": "2.22"},
            "TensorBoard cannot start here",
            "pip uninstall -y tb-nightly tensorboard && pip install tensorboard",
        ),
    ],
)
def test_packages(packages, changes, what, cure):
    packages |= changes
    problem = only(checkup.package_problems())
    assert what in problem.what and cure in problem.cure


def test_a_python_that_is_too_new(packages, monkeypatch):
    monkeypatch.setattr(checkup.sys, "version_info", (3, 14, 0))
    assert "newer than 3.13" in only(checkup.package_problems()).what


def test_a_source_tree_that_is_not_installed(packages, monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(checkup, "requires", absent)
    assert checkup.requirements() == []
    del packages["perceptual-restoration"]
    assert checkup.reinstall_command() == "pip install -e . in the source tree"
    assert checkup.reinstall_command("lpips").endswith(" lpips")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2.14.1+cu130", (2, 14, 1)), ("5.0.0.93", (5, 0, 0, 93)), ("1.0rc1", (1, 0)), ("x", ())],
)
def test_numbers(text, expected):
    assert checkup.numbers(text) == expected


def test_torchvision_of_another_torch(packages, monkeypatch):
    def fail(name):
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(checkup, "find_spec", lambda name: name)
    monkeypatch.setattr(checkup.importlib, "import_module", fail)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    problem = only(checkup.torch_problems())
    assert problem.what.endswith("operator torchvision::nms does not exist")
    assert "pip install --force-reinstall torch torchvision" in problem.cure


def test_a_gpu_that_torch_does_not_find(packages, monkeypatch):
    monkeypatch.setattr(checkup, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    problem = only(checkup.torch_problems())
    assert "the CPU build" in problem.what and "driver" in problem.cure


@pytest.fixture
def one_file(monkeypatch, tmp_path):
    """A manifest of the smallest file that ships, in a folder of its own."""
    entry = weights.MANIFEST["pixel_mask_e_mae"]
    monkeypatch.setattr(weights.manifest, "PRETRAINED", tmp_path)
    monkeypatch.setattr(checkup.weights, "MANIFEST", {"pixel_mask_e_mae": entry})
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path / "cache/deep"))
    return tmp_path / entry.file, entry.find


def test_weights(one_file, packages):
    path, _ = one_file
    problem = only(checkup.weight_problems())
    assert problem.what == f"weights pixel_mask_e_mae should ship, but {path} is missing"
    assert problem.cure.endswith("--no-deps perceptual-restoration")
    path.write_bytes(b"altered")
    assert "does not have the recorded checksum" in only(checkup.weight_problems()).what


def test_a_cache_that_cannot_be_written(one_file, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file in its place")
    monkeypatch.setattr(checkup.weights, "MANIFEST", {})
    assert "RESTORATION_WEIGHTS" in only(checkup.weight_problems()).cure


def test_extras(monkeypatch):
    absent = ("piq", "basicsr")
    monkeypatch.setattr(checkup, "find_spec", lambda name: None if name in absent else name)
    monkeypatch.setattr(checkup.sys, "version_info", (3, 12, 1))
    lines = checkup.extra_lines()
    assert lines[0] == "train: installed"
    assert "masks: without piq; pip install 'perceptual-restoration[masks]'" in lines
    assert any(line.endswith("--no-build-isolation basicsr==1.4.2") for line in lines)
    assert len(lines) == len({*lines})
    monkeypatch.setattr(checkup.sys, "version_info", (3, 13, 0))
    assert "basicsr: not for Python 3.13 and later" in checkup.extra_lines()


def test_an_extra_without_much(monkeypatch):
    monkeypatch.setattr(checkup, "find_spec", lambda name: None)
    assert re.match(r"train: without PIL, cv2, \w+, \w+ and 15 more; ", checkup.extra_lines()[0])


# ------------------------------------------------------------------------ the command


def test_doctor(tmp_path, monkeypatch, capsys, pictures):
    for name in ("package_problems", "torch_problems", "weight_problems"):
        monkeypatch.setattr(checkup, name, lambda: iter(()))
    arguments = ["doctor", "--root", str(tmp_path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("perceptual-restoration ")
    assert f"none in {tmp_path}; `restoration data list` says" in printed
    assert printed.endswith("no problem found\n")
    (tmp_path / "Kodak24").symlink_to(pictures(2, side=24))
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "  Kodak24: 2 of 24\n" in printed
    assert "expected 24 images, got 2\n  fix: restoration data verify Kodak24 --root" in printed
