"""Weights of backbones, metrics and masks: a manifest, the files here, and how to fetch others."""

from losses.weights.fetching import fetch
from losses.weights.local import find_entry, git_blob_id, load_state_dict, resolve, verify
from losses.weights.manifest import (
    MANIFEST,
    NO_LICENCE,
    PRETRAINED,
    Source,
    Weights,
    cache_dir,
    megabytes,
)

__all__ = [
    "MANIFEST",
    "NO_LICENCE",
    "PRETRAINED",
    "Source",
    "Weights",
    "cache_dir",
    "fetch",
    "find_entry",
    "git_blob_id",
    "load_state_dict",
    "megabytes",
    "resolve",
    "verify",
]
