import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from restoration.cli import build_parser, main
from restoration.compare.plan import load_comparison
from restoration.masks.options import MaskOptions, load_ablation
from restoration.options.load import load_options

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    joined = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


def test_readme_python_runs(capsys):
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert "MAE" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_readme_commands_are_real(command):
    if command[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert command[1] in targets
        return
    if command[0] == "torchrun":
        module = command[command.index("-m") + 1]
        command = ["restoration", module.split(".")[1], *command[command.index("-m") + 2 :]]
    assert command[0] == "restoration"
    parsed = build_parser().parse_args(command[1:])
    if hasattr(parsed, "opt"):
        load = load_comparison if parsed.command == "compare" else load_options
        if parsed.command == "masks":
            ablation = parsed.masks_command == "ablate"
            load = load_ablation if ablation else partial(load_options, model=MaskOptions)
        load(ROOT / parsed.opt, parsed.force_yml)


def test_readme_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_option_reference_is_current(capsys):
    assert main(["options"]) == 0
    assert capsys.readouterr().out == (ROOT / "options/REFERENCE.md").read_text(encoding="utf-8")


def test_every_option_has_a_meaning():
    assert "| None |" not in (ROOT / "options/REFERENCE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted((ROOT / "losses/pretrained").glob("*.safetensors")))
def test_every_weight_file_has_a_card(file):
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert "icence" in card
    if file.with_suffix(".LICENSE").is_file():  # trained by others
        assert "Source" in card and "ImageNet" in card
        return
    assert "BSDS500" in card
    assert "restoration masks train -opt" in card or "python -m restoration." in card
