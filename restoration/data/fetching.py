"""Fetching of the image sets that anybody may download: file by file, checked by its pixels."""

import http.client
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote

from losses.weights.transfer import download
from restoration.data.images import read_image
from restoration.data.known_sets import DataSet, pixel_digest

NOT_HAD = (OSError, http.client.HTTPException)


def fetch(
    entry: DataSet,
    root: Path,
    on_progress: Callable[[int, int, str], None] | None = None,
    timeout: float = 30.0,
) -> Path:
    """Bring the images of a set that are not here yet; a later call goes on.

    Args:
        entry: of the manifest.
        root: folder that holds one folder per set.
        on_progress: called with (images done, images in all, name of the last) after each.
        timeout: seconds to wait for the server.

    Returns:
        The folder of the set.

    Raises:
        ValueError: the set is not fetched from here, or an image that came is not the recorded one.
        ConnectionError: the server cannot be reached.
    """
    folder = root / entry.name
    if entry.url is None:
        raise ValueError(
            f"{entry.name} is not fetched: {entry.source}. Licence: {entry.licence}. Its place is "
            f"{folder}"
        )
    for number, (name, (_, digest)) in enumerate(entry.files.items(), start=1):
        path = folder / name
        if not (path.is_file() and _has(path, digest)):
            _bring(entry, path, digest, timeout)
        if on_progress is not None:
            on_progress(number, len(entry.files), name)
    return folder


def _bring(entry: DataSet, path: Path, digest: str, timeout: float) -> None:
    """Download one image, and keep it if it is the recorded one."""
    assert entry.url is not None
    url = f"{entry.url}/{quote(path.name)}"
    try:
        part = download(url, path, timeout=timeout)
    except NOT_HAD as error:
        why = error.reason if type(error) is URLError else error
        raise ConnectionError(
            f"cannot fetch {url}: {why}; the same command goes on later, or put the images of "
            f"{entry.source} into {path.parent} by hand"
        ) from error
    if not _has(part, digest):
        part.unlink()
        raise ValueError(f"{url} is not the recorded image: its pixels have another checksum")
    part.replace(path)


def _has(path: Path, digest: str) -> bool:
    """Whether a file is an image of these pixels, whatever its name."""
    try:
        return pixel_digest(read_image(path.read_bytes(), name=path.name)) == digest
    except ValueError:
        return False
