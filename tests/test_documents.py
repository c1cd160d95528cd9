"""README and docs/: commands, option files, code, links and quoted errors are real."""

import ast
import re
import shlex
from functools import cache, partial
from pathlib import Path

import pytest

from restoration.cli import build_parser, main
from restoration.compare.plan import load_comparison
from restoration.masks.options import MaskOptions, load_ablation
from restoration.options.load import load_options

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT) for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
)
OF_RESTORMER = "Denoising/Options/GaussianColorDenoising_Restormer.yml"  # its own repository's
RUN = ("README.md", "docs/quick_start.md", "docs/tutorials/compare_losses.md")  # first Python block


@cache
def text(page) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(page), flags=re.DOTALL)


def commands() -> list[list[str]]:
    joined = "\n".join(block for page in PAGES for block in blocks(page, "bash"))
    lines = joined.replace("\\\n", " ").splitlines()
    return list(filter(None, (shlex.split(line, comments=True) for line in dict.fromkeys(lines))))


@pytest.mark.parametrize("page", RUN)
def test_python_runs(page, capsys):
    code = blocks(page, "python")[0]
    exec(compile(code, str(page), "exec"), {})  # noqa: S102


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_python_is_python(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


def test_readme_is_short():
    assert len(text("README.md").splitlines()) <= 120


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_are_real(command):
    if command[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert command[1] in targets
        return
    if "pip" in command:  # of this package: an extra that there is
        for extra in re.findall(r"perceptual-restoration\[(\w+)\]", " ".join(command)):
            assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
        return
    command = [Path(command[0]).name, *command[1:]]  # .venv/bin/restoration
    if command[0] == "torchrun":
        after = command[command.index("-m") + 1 :]
        command = [*after[0].split("."), *after[1:]]
    assert command[0] == "restoration"
    parsed = build_parser().parse_args(command[1:])
    if hasattr(parsed, "opt") and (ROOT / parsed.opt).is_file():  # else one that the page shows
        load = load_comparison if parsed.command == "compare" else load_options
        if parsed.command == "masks":
            ablation = parsed.masks_command == "ablate"
            load = load_ablation if ablation else partial(load_options, model=MaskOptions)
        load(ROOT / parsed.opt, parsed.force_yml)


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs/tutorials").glob("*.md")), ids=lambda p: p.stem
)
def test_option_files_of_the_tutorials_load(page, tmp_path):
    (tmp_path / "mine.py").write_text("")
    theirs = tmp_path / "theirs.yml"  # names its loss as Restormer's files do
    base = ROOT / "options/train/restormer_blind_color.yml"
    theirs.write_text(f"base: {base}\ntrain: {{pixel_opt: {{type: L1Loss, loss_weight: 1}}}}\n")
    for block in blocks(page, "yaml"):
        file = tmp_path / "shown.yml"
        shown = block.replace("base: options/", f"base: {ROOT}/options/")
        file.write_text(shown.replace(f"base: {OF_RESTORMER}", f"base: {theirs}"))
        compared = re.search(r"^(recipes|grid):", block, flags=re.MULTILINE)
        (load_comparison if compared else load_options)(file, [])


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_exist(page):
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", prose):
        folder = (ROOT / page).parent
        assert target.startswith("http") or (folder / target).exists(), target


def test_references_are_current(capsys):
    for action, file in ([], "options/REFERENCE.md"), (["types"], "docs/reference/types.md"):
        assert main(["options", *action]) == 0
        assert capsys.readouterr().out == text(file)


def test_everything_in_the_references_has_a_meaning():
    assert "| None |" not in text("options/REFERENCE.md")
    assert "|  |" not in text("docs/reference/types.md")


def messages() -> str:
    """All text in the code, one constant a line."""
    found = []
    for path in [*(ROOT / "losses").rglob("*.py"), *(ROOT / "restoration").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(" ".join(node.value.split()))
    return "\n".join(found)


def test_errors_with_a_cure_are_those_of_the_code():
    page = re.sub(r"^## Installation\n.*", "", text("docs/errors.md"), flags=re.S | re.M)
    quoted = [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")]
    said = messages()
    others = ("Extra inputs are not permitted", "Out of memory on a GPU")  # of pydantic, of torch
    assert len(quoted) > 20
    assert [one for one in quoted if one not in said and one not in others] == []


@pytest.mark.parametrize("file", sorted((ROOT / "losses/pretrained").glob("*.safetensors")))
def test_every_weight_file_has_a_card(file):
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert "icence" in card
    if file.with_suffix(".LICENSE").is_file():  # trained by others
        assert "Source" in card and "ImageNet" in card
        return
    assert "BSDS500" in card
    assert "restoration masks train -opt" in card or "python -m restoration." in card
