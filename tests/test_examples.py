"""The losses in other people's loops: each example trains two steps."""

import importlib.util
import math
import re
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
NAMES = {"plain_pytorch", "lightning_module", "accelerate_loop"}


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == NAMES


def test_the_page_runs_and_names_every_example():
    page = (EXAMPLES.parent / "tutorials" / "your_own_loop.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "your_own_loop.md", "exec"), {})  # noqa: S102
    assert set(re.findall(r"\.\./examples/(\w+)\.py", page)) == NAMES


def test_plain_pytorch():
    first, second = load("plain_pytorch").train()
    assert 0 < second < first


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightning(tmp_path, precision):
    pytest.importorskip("lightning", reason="pip install lightning")
    module = load("lightning_module")
    trainer = module.train(
        accelerator="cpu", precision=precision, default_root_dir=tmp_path, logger=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    logged = trainer.logged_metrics
    assert trainer.global_step == 2
    assert set(logged) == {"train/total", "train/MAE", "train/E-VGG"}
    assert all(math.isfinite(value) and value > 0 for value in logged.values())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=False)["state_dict"]
    assert {name.split(".")[0] for name in saved} == {"network"}, "no backbone in the checkpoint"


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate(precision):
    accelerate = pytest.importorskip("accelerate", reason="pip install accelerate")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    first, second = load("accelerate_loop").train(cpu=True, mixed_precision=precision)
    assert 0 < second < first
