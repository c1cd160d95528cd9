"""What a benchmark tests: baselines and checkpoints, each with what its results depend on."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from restoration.evaluate.baselines import BASELINES, NLM, NLM_PROTOCOL
from restoration.evaluate.measure import PROTOCOL, Denoise, denoiser_of
from restoration.evaluate.sets import load_checkpoint
from restoration.metrics import Metric
from restoration.options.schema import Options

CHUNK = 2**20  # bytes read at once


@dataclass(frozen=True)
class TestedRun:
    """One row of a table.

    Args:
        denoise: restores one image.
        identity: what its results depend on, beside the images: plain values.
        network: the network of a checkpoint; None for a baseline.
    """

    __test__ = False  # not a test case, whatever its name suggests to pytest

    denoise: Denoise
    identity: dict[str, Any]
    network: nn.Module | None = None


def load_runs(options: Options, device: torch.device, run_name: str) -> dict[str, TestedRun]:
    """Load everything that the options want tested, baselines first.

    Args:
        options: a whole option file.
        device: where to compute.
        run_name: name of the rows of `path.pretrain_network_g`, where there are no `runs`.

    Raises:
        FileNotFoundError: a checkpoint is missing.
        ValueError: a checkpoint does not fit its network, or a network not the images.
    """
    runs = {name: _baseline(name) for name in options.baselines}
    channels = sorted({one.in_ch for one in options.datasets.test.values()})
    for name, run in options.checkpoints(run_name).items():
        if name in runs:
            raise ValueError(f"expected a name other than those of the baselines, got {name!r}")
        try:
            network = load_checkpoint(run, channels, device)
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"{name}: {error}" if options.runs.by_name else str(error)) from error
        identity = {
            "file": str(run.pretrain_network_g),
            "sha256": file_digest(run.pretrain_network_g),
            "key": run.param_key_g,
            "network": run.network_g,
        }
        denoise = denoiser_of(network, options.val.tile, options.val.tile_overlap)
        runs[name] = TestedRun(denoise, identity, network)
    if not runs:
        raise ValueError("nothing to test: give `runs`, `baselines` or `path.pretrain_network_g`")
    return runs


def _baseline(name: str) -> TestedRun:
    identity = {"baseline": name}
    return TestedRun(
        BASELINES[name], identity | ({"opencv": cv2.__version__} if name == NLM else {})
    )


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
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers of a module, with their names; constants come last."""
    saved = module.state_dict().keys()
    buffers = sorted(module.named_buffers(), key=lambda named: named[0] not in saved)
    return digest_tensors(dict([*module.named_parameters(), *buffers]))


def plain_digest(content: Any) -> str:
    """SHA-256 of plain values, whatever the order of mappings."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def describe_metrics(metrics: Mapping[str, Metric]) -> dict[str, dict[str, Any]]:
    """What the values of every metric depend on: its protocol and its weights."""
    return {
        name: {
            "label": metric.label,
            "scale": metric.scale,
            "weights": None if metric.module is None else weights_digest(metric.module),
        }
        for name, metric in metrics.items()
    }


def protocol_of(options: Options, names: Iterable[str]) -> str:
    """The protocol in words, of the runs that take part."""
    parts = [PROTOCOL]
    if NLM in names:
        parts.append(NLM_PROTOCOL)
    if options.val.tile is not None:
        tile = options.val.tile
        parts.append(f"networks see tiles of {tile} pixels, overlap {options.val.tile_overlap}")
    return "; ".join(parts)
