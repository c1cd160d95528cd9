"""Brings what the pages link to outside of docs/ into the site, so that every link works anywhere.

A page links to files of the repository as it does on a forge, `../options/demo.yml`. In the site
the same link leads to a copy below `files/`: pages stay pages, sources become pages with their
text, a folder becomes a list of its files, all else is copied.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
SHOWN = (".md", ".yml", ".py", ".json", ".csv", ".png", ".jpg", ".LICENSE")  # of a folder
LANGUAGES = {".yml": "yaml", ".py": "python", ".sbatch": "bash", ".toml": "toml", "": "text"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a copy of everything that pages link to, and that these copies link to."""
    waiting = [page.src_uri for page in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        source = _source_of(page)
        text = _listing(source) if source.is_dir() else source.read_text(encoding="utf-8")
        for target in LINK.findall(text):
            address = _address_of(target, page)
            if address is None or files.get_file_from_path(address) is not None:
                continue
            files.append(_copy(address, config))
            if address.endswith(".md") and not _is_code(_source_of(address)):
                waiting.append(address)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links out of docs/ at their copies."""
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        address = _address_of(found[1], here)
        return found[1] if address is None else relpath(address, PurePosixPath(here).parent)

    return LINK.sub(moved, markdown)


def _copy(address: str, config: MkDocsConfig) -> File:
    """The file of the site that stands for a file or folder of the repository."""
    source = _source_of(address)
    if source.is_dir():
        return File.generated(config, address, content=_hidden(_listing(source)))
    if _is_code(source):
        title = f"# {source.relative_to(ROOT).as_posix()}\n\n"
        text = source.read_text(encoding="utf-8")
        code = f"~~~~{LANGUAGES[source.suffix]}\n{text}\n~~~~\n"
        return File.generated(config, address, content=_hidden(title + code))
    return File.generated(config, address, abs_src_path=str(source))


def _listing(folder: Path) -> str:
    shown = [p for p in folder.iterdir() if p.is_file() and p.suffix in SHOWN]
    names = sorted(p.name for p in shown)
    links = "\n".join(f"- [{name}]({name})" for name in names)
    return f"# {folder.relative_to(ROOT).as_posix()}/\n\n{links}\n"


def _hidden(markdown: str) -> str:
    """A page that the search leaves out."""
    return f"---\nsearch:\n  exclude: true\n---\n{markdown}"


def _is_code(source: Path) -> bool:
    return source.is_file() and source.suffix in LANGUAGES


def _address_of(target: str, page: str) -> str | None:
    """Where a link of a page leads in the site; None where the link is right as it is."""
    if re.match(r"[a-z]+:|/", target):
        return None
    below = _source_of(page)
    folder = below if below.is_dir() else below.parent
    path = normpath((folder.relative_to(ROOT) / target).as_posix())
    if path.startswith("docs/"):
        return path.removeprefix("docs/") if page.startswith("files/") else None
    source = ROOT / path
    if source.is_dir():
        return f"files/{path}/index.md"
    if not source.is_file():
        return None  # mkdocs says that it is missing
    return f"files/{path}.md" if _is_code(source) else f"files/{path}"


def _source_of(address: str) -> Path:
    """The file or folder of the repository that an address in the site stands for."""
    if not address.startswith("files/"):
        return ROOT / "docs" / address
    path = ROOT / address.removeprefix("files/")
    if path.exists():
        return path
    return path.parent if path.name == "index.md" else path.with_suffix("")
