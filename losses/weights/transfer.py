"""Transfers that go on where they broke off."""

import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

CHUNK = 1 << 20
OnProgress = Callable[[int, int], None]  # bytes that are here, bytes of all


def part_of(path: Path) -> Path:
    """Where a file is kept while it is not whole."""
    return path.with_name(f"{path.name}.part")


def download(
    url: str,
    path: Path,
    open_url: Callable[..., http.client.HTTPResponse] | None = None,
    timeout: float = 30.0,
    on_progress: OnProgress | None = None,
) -> Path:
    """Download a file beside its place; a later call goes on where this one broke off.

    Args:
        url: its address.
        path: where it is to be.
        open_url: opens a request; None for `urllib.request.urlopen`.
        timeout: seconds to wait for the server.
        on_progress: told the bytes that are here and those of the whole file, 0 if not known.

    Returns:
        The path of what was downloaded, `part_of(path)`, for its checksum to be checked.

    Raises:
        OSError, HTTPException: the server cannot be reached, or no more of the file comes.
    """
    part = part_of(path)
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _append(url, part, before, open_url or urllib.request.urlopen, timeout, on_progress)
            return part
        except (OSError, http.client.HTTPException):
            now = part.stat().st_size if part.is_file() else 0
            if now <= before:  # as long as something comes, it is asked for the rest
                raise


def _append(
    url: str,
    part: Path,
    start: int,
    open_url: Callable[..., http.client.HTTPResponse],
    timeout: float,
    on_progress: OnProgress | None,
) -> None:
    """Ask for what is missing; a server that sends the whole file again overwrites it."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = open_url(urllib.request.Request(url, headers=headers), timeout=timeout)  # noqa: S310
    except HTTPError as error:
        if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # it is whole already
        raise
    with response:
        goes_on = getattr(response, "status", None) == http.client.PARTIAL_CONTENT
        done = start if goes_on else 0
        total = done + int(response.headers.get("Content-Length") or 0)
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, max(total, done))
    if done < total:
        raise ConnectionError(f"the transfer ended after {done} of {total} bytes")
