"""Checksums of files, tensors and plain values: SHA-256, as hexadecimal digits."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

CHUNK = 2**20  # bytes read at once


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def digest_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of named tensors: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers of a module, with their names; constants come last."""
    saved = module.state_dict().keys()
    buffers = sorted(module.named_buffers(), key=lambda named: named[0] not in saved)
    return digest_tensors(dict([*module.named_parameters(), *buffers]))


def plain_digest(content: Any) -> str:
    """SHA-256 of plain values, whatever the order of mappings."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
