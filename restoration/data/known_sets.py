"""What the data sets of the experiments are: counts, sizes, checksums, source and licence.

Checksums are of decoded pixels, not of files: hosts re-encode PNG and rename files, and neither
changes what a network sees: `1.tif` of one host is `01.png` of another.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from losses.naming import nearest
from restoration.data.sources import Source

DIGEST_LENGTH = 16  # hex digits of SHA-256: enough against accidents, not against forgery


@dataclass(frozen=True)
class DataSet:
    """One entry of the manifest.

    Args:
        name: name of the set, and of its folder below the root; it may hold a "/".
        kind: "test" or "train".
        count: number of images; None for patches, whose number depends on how they are cut.
        sizes: width x height of the images, in words.
        source: where the images come from.
        licence: what their licence allows, as far as it is stated.
        digest: `set_digest` of all images; None where it is not recorded.
        files: (width x height, `pixel_digest`) by file name; empty where it is not recorded.
        parts: names of the sets that it is made of; none for a set of its own.
        url: address of the folder that its files can be fetched from, one by one; None where its
            images are not for everybody to download.
    """

    name: str
    kind: str
    count: int | None
    sizes: str
    source: str
    licence: str
    digest: str | None
    files: dict[str, tuple[str, str]]
    parts: tuple[str, ...] = ()
    url: str | None = None


@cache
def manifest() -> dict[str, DataSet]:
    """Read the manifest: every known data set by name."""
    text = Path(__file__).with_name("manifest.json").read_text(encoding="utf-8")
    entries: dict[str, DataSet] = {}
    for name, fields in json.loads(text).items():
        parts = [entries[part] for part in fields.get("parts", [])]  # parts stand before
        entries[name] = _entry(name, fields, parts)
    return entries


def find_entry(name: str) -> DataSet:
    """The entry of a name.

    Raises:
        ValueError: an unknown name.
    """
    if name not in manifest():
        hint = nearest(name, manifest())
        raise ValueError(f"expected a set of {', '.join(manifest())}, got {name!r}{hint}")
    return manifest()[name]


def _entry(name: str, fields: dict[str, Any], parts: Sequence[DataSet]) -> DataSet:
    files: dict[str, tuple[str, str]] = {}
    for file, line in fields.get("files", {}).items():
        size, digest = line.split()
        files[file] = (size, digest)
    if not fields.get("cut", False):  # patches are other images than those of the parts
        for part in parts:
            files |= part.files
    digests = [digest for _, digest in files.values()]
    return DataSet(
        name,
        fields["kind"],
        fields["count"],
        fields["sizes"],
        fields["source"],
        fields["licence"],
        set_digest(digests) if digests else None,
        files,
        tuple(part.name for part in parts),
        fields.get("url"),
    )


def pixel_digest(image: np.ndarray) -> str:
    """Checksum of a decoded image: of its shape, its depth and its pixels.

    Args:
        image: (H, W, 3) RGB as `read_image` decodes it, uint8 or uint16.

    Returns:
        The first 16 hexadecimal digits of a SHA-256.
    """
    height, width, channels = image.shape
    digest = hashlib.sha256(f"{height} {width} {channels} {image.dtype} ".encode())
    little = image.astype(image.dtype.newbyteorder("<"), copy=False)
    digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()[:DIGEST_LENGTH]


def set_digest(digests: Iterable[str]) -> str:
    """Checksum of a set of images from theirs, whatever their names and order."""
    text = "\n".join(sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


@dataclass
class Findings:
    """What is wrong with a data set on this machine; every list holds file names.

    Args:
        checked: number of images that were looked at.
        missing: recorded, and there is no image with these pixels.
        extra: not recorded.
        altered: the name is recorded, the pixels differ.
        unreadable: cannot be decoded.
        renamed: recorded pixels under another name, which is no mistake.
        recorded: whether the manifest holds checksums of this set.
        expected: number of images that the manifest records; None where it records none.
    """

    checked: int
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    recorded: bool = True
    expected: int | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong."""
        wrong = self.missing or self.extra or self.altered or self.unreadable
        return not wrong and self.expected in (None, self.checked)


def compare(entry: DataSet, digests: Mapping[str, str | None]) -> Findings:
    """Compare images with an entry of the manifest, by their pixels first, then by their names.

    Args:
        entry: of the manifest.
        digests: `pixel_digest` by file name; None for an image that cannot be decoded.
    """
    findings = Findings(len(digests), recorded=bool(entry.files), expected=entry.count)
    findings.unreadable = [name for name, digest in digests.items() if digest is None]
    if not entry.files:
        return findings
    wanted = {digest: name for name, (_, digest) in entry.files.items()}
    by_stem = {Path(name).stem: name for name in entry.files}
    rest = []
    for name, digest in digests.items():
        recorded = wanted.pop(digest, None) if digest else None
        if recorded is None:
            rest.append(name)
        elif Path(recorded).stem != Path(name).stem:
            findings.renamed.append(name)
    missing = set(wanted.values())
    for name in rest:
        recorded = by_stem.get(Path(name).stem)
        known = recorded in missing
        missing.discard(recorded)
        if digests[name] is not None:
            (findings.altered if known else findings.extra).append(name)
    findings.missing = [name for name in entry.files if name in missing]
    return findings


def digests_of(
    source: Source,
    on_progress: Callable[[int, int, str], None] | None = None,
    count: int | None = None,
) -> dict[str, str | None]:
    """Decode images and take their checksums, on all cores.

    Args:
        source: where the images are.
        on_progress: called with (images done, images in all, name of the last) after each.
        count: only the first `count` images, or None for all.

    Returns:
        `pixel_digest` by name, in the order of the source; None for an image that cannot be read.
    """

    def digest(index: int) -> str | None:
        try:
            return pixel_digest(source.decode(index))
        except (ValueError, OSError):
            return None

    digests: dict[str, str | None] = {}
    indices = range(len(source) if count is None else count)
    with ThreadPoolExecutor() as pool:  # decoding and hashing both let other threads run
        for index, checksum in zip(indices, pool.map(digest, indices), strict=True):
            digests[source.names[index]] = checksum
            if on_progress is not None:
                on_progress(len(digests), len(indices), source.names[index])
    return digests
