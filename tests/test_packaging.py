"""What the distribution says of itself: packages by extra, files in the wheel, the core install."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from test_imports import FILES, imports

import restoration
from losses import extras
from losses.extras import DISTRIBUTION, EXTRAS, MissingExtra

ROOT = Path(__file__).parents[1]
TRAIN = f"pip install '{DISTRIBUTION}[train]'"
CORE = {"filelock", "numpy", "safetensors", "torch"}
NAMES = {  # on the index, where it is not the name that is imported
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "huggingface_hub": "timm",  # which requires it
    "pillow_heif": "pillow-heif",
    "pycvvdp": "cvvdp",
    "pydantic_core": "pydantic",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
WITHOUT_EXTRAS = f"""
import sys

class WithoutExtras:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        absent = name.partition(".")[0] in {set(EXTRAS)!r}
        return None if absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(WithoutExtras, sys.meta_path)
"""


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names_of(requirements):
    return {re.split(r"[\s<>=;\[]", one)[0] for one in requirements}


NO_WEIGHTS = str(ROOT / "tests")


def without_extras(code, **environment):
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", WITHOUT_EXTRAS + code],
        cwd=ROOT,
        env={**os.environ, "RESTORATION_WEIGHTS": NO_WEIGHTS, "TORCH_HOME": NO_WEIGHTS}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


# ------------------------------------------------------------------------------- metadata


def test_every_import_has_an_extra():
    third_party = {
        name.split(".")[0]
        for path in FILES
        for name, _ in imports(path)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "losses", "restoration", "test"}
    }
    assert third_party - CORE <= set(EXTRAS)


def test_every_extra_brings_what_it_promises(project):
    assert project["project"]["name"] == DISTRIBUTION
    assert names_of(project["project"]["dependencies"]) == CORE
    optional = project["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(optional)
    for module, extra in EXTRAS.items():
        assert NAMES.get(module, module) in names_of(optional[extra]), module
    every = names_of(one for requirements in optional.values() for one in requirements)
    assert "opencv-python" not in every, "it and the headless one overwrite each other"
    assert {"docs", "dev", "export", "test"} <= set(optional)
    page = (ROOT / "docs/installation.md").read_text(encoding="utf-8")
    former = {"export", "test"}
    assert all(f"`[{extra}]`" in page for extra in set(optional) - former)


def test_every_file_of_the_packages_is_in_the_wheel(project):
    data = project["tool"]["setuptools"]["package-data"]
    listed = subprocess.run(
        ["git", "ls-files", "losses", "restoration"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split():
        patterns = [
            f"{package.replace('.', '/')}/{one}" for package, ones in data.items() for one in ones
        ]
        assert name.endswith(".py") or any(fnmatch(name, one) for one in patterns), name


# ------------------------------------------------------------------------ the core install


def test_losses_run_without_extras(tmp_path):
    done = without_extras(
        "import torch, losses\n"
        "term = losses.build([{'type': 'E-VGG', 'weight': 1, 'backbone': 'embedded'}])\n"
        "total, _ = term(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))\n"
        "assert total > 0\n"
        "backbone = losses.build_backbone('vgg16', weights='random')\n"
        "assert len(backbone(torch.rand(1, 3, 32, 32))) == 5\n"
        "try:\n    losses.build_backbone('vgg16')\n"
        "except FileNotFoundError as error:\n    print(error)\n",
        RESTORATION_WEIGHTS=str(tmp_path),
        TORCH_HOME=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "weights fetch vgg16" in done.stdout


def test_vgg_from_a_file_runs_without_extras():
    done = without_extras(
        "import torch, losses\n"
        "term = losses.build([{'type': 'VGG', 'weights': 'random', 'taps': ['relu1_2']}])\n"
        "total, _ = term(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))\n"
        "print(total > 0)\n"
    )
    assert (done.returncode, done.stdout) == (0, "tensor(True)\n"), done.stderr


def test_commands_name_the_extra():
    done = without_extras(
        "import restoration\nfrom restoration.cli import main\n"
        "for command in ['train', '-opt', 'x.yml'], ['score', 'a', 'b']:\n"
        "    assert main(command) == 2\n"
        "assert main(['doctor']) in (0, 1)\n"
        "for name in ('train', 'denoise'):\n"
        "    try:\n        getattr(restoration, name)('x')\n"
        "    except ModuleNotFoundError as error:\n        print(error)\n"
    )
    for line, command in zip(done.stderr.splitlines(), ("train", "score"), strict=True):
        assert line.startswith(f"restoration: error: `restoration {command}` needs ")
        assert line.endswith(f"which is not installed: {TRAIN}")
    assert re.search(r"\n  looking for them needs \w+, which is not installed: ", done.stdout)
    for line, name in zip(done.stdout.splitlines()[-2:], ("train", "denoise"), strict=True):
        assert line.startswith(f"restoration.{name} needs ") and line.endswith("[train]'")


def test_name_extra_leaves_other_modules_alone():
    other = ModuleNotFoundError("No module named 'mine'", name="mine")
    assert extras.name_extra(other, "this") is other
    ours = extras.missing("piq.psnr", "this")
    assert str(ours).startswith("this needs piq, ") and str(ours).endswith("[masks]'")
    assert extras.name_extra(ours, "that") is ours
    with pytest.raises(ModuleNotFoundError, match="mine_is_missing"):
        extras.import_named("mine_is_missing", "this")
    assert issubclass(MissingExtra, ValueError)
    assert callable(restoration.train)
