"""What a person who joins meets first: workflows, templates, citation, changelog, pre-commit."""

import re
from pathlib import Path

import pytest
import yaml

from losses.extras import DISTRIBUTION
from restoration import __version__

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
CHECKS = ("ruff", "ruff format", "mypy")


def read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", sorted(GITHUB.glob("workflows/*.yml")), ids=lambda f: f.stem)
def test_workflows_run_what_there_is(file):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE)
    commands = [step["run"] for step in steps(read(file)) if "run" in step]
    assert commands
    for command in commands:
        make, target = command.split()
        assert make == "make" and target in targets
    for step in steps(read(file)):
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


def test_every_python_is_tested():
    matrix = read(".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", project)
    oldest = (GITHUB / "oldest.txt").read_text(encoding="utf-8")
    for name, least in re.findall(r'"(torch|torchvision)>=([\d.]+)"', project):
        assert f"{name}=={least}.0" in oldest


def test_issue_forms():
    for form in map(read, sorted(GITHUB.glob("ISSUE_TEMPLATE/[!c]*.yml"))):
        assert {"name", "description", "body"} <= set(form)
        for part in form["body"]:
            assert part["type"] == "textarea" and part["attributes"]["label"] and part["id"]


def test_pre_commit_checks_what_make_test_checks():
    hooks = [
        hook
        for repository in read(".pre-commit-config.yaml")["repos"]
        for hook in repository["hooks"]
    ]
    assert [hook["name"] for hook in hooks] == list(CHECKS)
    assert all(hook["entry"].startswith(f"python -m {hook['name']}") for hook in hooks)


def test_citation():
    citation = read("CITATION.cff")
    assert citation["version"] == __version__
    assert citation["title"].startswith(f"{DISTRIBUTION}: ")
    assert citation["license"] == "Apache-2.0"


def test_changelog_is_kept():
    """As keepachangelog.com has it: a version, and below it kinds of changes."""
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    kinds = [line for line in lines if line.startswith("### ")]
    known = [
        "### Added",
        "### Changed",
        "### Deprecated",
        "### Removed",
        "### Fixed",
        "### Security",
    ]
    assert kinds[: len(versions)] and set(kinds) <= set(known)
