"""Which files are denoised, and where each result goes: decided before any work starts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restoration.data.images import NOT_READ
from restoration.photo import foreign
from restoration.photo.reading import EXTENSIONS
from restoration.photo.writing import suffix_of

KNOWN = (*EXTENSIONS, *foreign.HEIF, *foreign.RAW)
UNKNOWN_IMAGES = tuple(suffix for suffix in NOT_READ if suffix not in KNOWN)


@dataclass(frozen=True)
class Job:
    """One file, where its result goes, and why it is left out, if it is."""

    source: Path
    target: Path
    refusal: str | None = None


@dataclass(frozen=True)
class Plan:
    """All jobs, and how many other files, which are no images, lie in the folders."""

    jobs: list[Job]
    others: int


def plan(inputs: Sequence[Path], out: Path, force: bool = False) -> Plan:
    """Find the photographs of files and folders, and where each result goes.

    Args:
        inputs: files, and folders, which are searched with all that lie in them.
        out: folder of the results. Files keep their names; those of a folder their places in it.
        force: whether results may replace files that are there.

    Returns:
        What is to do, in the order of the inputs and of names.

    Raises:
        FileNotFoundError: an input is not there.
        ValueError: there is no image among them.
    """
    jobs: list[Job] = []
    others = 0
    taken: dict[Path, Path] = {}
    for source, place in _found(inputs, out):
        suffix = source.suffix.lower()
        if suffix not in (*KNOWN, *UNKNOWN_IMAGES) and source not in inputs:
            others += 1
            continue
        target = (out / place).with_suffix(suffix_of(source))
        refusal: str | None = None
        if suffix not in KNOWN:
            refusal = f"{source.suffix or 'such'} files are not read here"
        elif target in taken:
            refusal = f"{target} is the result of {taken[target]} already"
        elif target.exists() and not force:
            refusal = f"{target} exists: --force replaces it"
        taken.setdefault(target, source)
        jobs.append(Job(source, target, refusal))
    if not jobs:
        raise ValueError(
            f"expected images ({', '.join(KNOWN)}), got none in {', '.join(map(str, inputs))}"
        )
    return Plan(jobs, others)


def _found(inputs: Iterable[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Every file, and its place under the folder of the results; results are no inputs."""
    results = out.resolve()
    for given in inputs:
        if given.is_file():
            yield given, Path(given.name)
        elif given.is_dir():
            inside = given.resolve() != results
            for path in sorted(given.rglob("*")):
                if path.is_file() and not (inside and results in path.resolve().parents):
                    yield path, path.relative_to(given)
        else:
            raise FileNotFoundError(f"expected a file or folder, got {given}, which is neither")
