"""The documentation site builds, strictly: no broken link, no missing anchor, no warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
for needed in ("mkdocs", "material", "mkdocstrings"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: the extra [docs] has it")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)', page.read_text()
        )
        assert loaded == [], page


def test_what_pages_link_to_in_the_repository_is_in_the_site(site):
    pages = (
        "losses/pretrained/pixel_mask_e_mae",
        "options/compare/quick.yml",
        "losses/pretrained/index",
    )
    for page, words in zip(
        pages, ("4,873 weights", "seeds: [0, 1, 2]", "alexnet_features.md"), strict=True
    ):
        shown = re.sub(r"<[^>]+>", "", (site / f"files/{page}.html").read_text(encoding="utf-8"))
        assert words in shown
