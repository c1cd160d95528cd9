"""What a benchmark tests: baselines and checkpoints, each with what its results depend on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from losses import weights
from restoration.archs import build_network, load_network
from restoration.archs.checkpoint import AVERAGED, weight_keys
from restoration.archs.denoisers import FFDNET_COLOR, find_file
from restoration.archs.described import describe
from restoration.archs.probe import PROBE_SIDE, check_network
from restoration.archs.protocol import offer
from restoration.common.digests import file_digest, weights_digest
from restoration.evaluate.baselines import BASELINES, NLM, PROTOCOLS
from restoration.evaluate.ffdnet import FFDNET
from restoration.evaluate.measure import PROTOCOL, Denoise, denoiser_of
from restoration.metrics import Metric
from restoration.options.schema import Options, TestRun, checkpoint_of


@dataclass(frozen=True)
class TestedRun:
    """One row of a table.

    Args:
        denoise: restores one image.
        identity: what its results depend on, beside the images: plain values.
        network: the network of a checkpoint; None for a baseline.
        note: what a reader of its values must know; empty for nothing.
    """

    __test__ = False  # not a test case, whatever its name suggests to pytest

    denoise: Denoise
    identity: dict[str, Any]
    network: nn.Module | None = None
    note: str = ""


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
    channels = sorted({test_set.in_ch for test_set in options.datasets.test.values()})
    if FFDNET in options.baselines and channels != [3]:
        raise ValueError(f"the baseline {FFDNET} is for colour, and a test set has one channel")
    runs: dict[str, TestedRun] = {name: baseline(name) for name in options.baselines}
    for name, checkpoint in options.checkpoints(run_name).items():
        if name in runs:
            raise ValueError(f"expected a name other than those of the baselines, got {name!r}")
        try:
            runs[name] = load_run(checkpoint, options, device)
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"{name}: {error}" if options.runs.by_name else str(error)) from error
    if not runs:
        raise ValueError("nothing to test: give `runs`, `baselines` or `path.pretrain_network_g`")
    return runs


def load_run(checkpoint: TestRun, options: Options, device: torch.device) -> TestedRun:
    """Build the network of a checkpoint, load its weights, and try it.

    Args:
        checkpoint: with nothing left to inherit.
        options: which test sets it is made for, and how they are cut into tiles.
        device: where to compute.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the checkpoint does not fit the network, or the network not the images.
    """
    name = checkpoint.pretrain_network_g
    path, network_g = find_file(name), checkpoint.network_g or {}
    key, note = choose_weights(path, checkpoint.param_key_g)
    assert checkpoint.strict_load_g is not None
    if "type" not in network_g:
        network_g = describe(name) | network_g
    if name == checkpoint_of(network_g) and key == AVERAGED:
        network_g = {"key": key, **network_g}
    network = build_network(network_g)
    if options.val.window_size is not None:
        offer(network, window_size=options.val.window_size)
    if name != checkpoint_of(network_g):  # else it brings its weights
        load_network(network, path, key, checkpoint.strict_load_g)
    network.to(device)
    for channels in sorted({test_set.in_ch for test_set in options.datasets.test.values()}):
        check_network(network, channels, PROBE_SIDE, device, True, options.datasets.noise_map)
    identity = {
        "file": str(name),
        "sha256": file_digest(path),
        "key": key,
        "network": network_g,
    }
    denoise = denoiser_of(
        network, options.val.tile, options.val.tile_overlap, options.datasets.noise_map
    )
    return TestedRun(denoise, identity, network, note)


def choose_weights(path: Path, asked: str | None) -> tuple[str, str]:
    """Choose which weights of a checkpoint are tested: those that validations use, unless asked.

    Args:
        path: of the checkpoint.
        asked: `param_key_g`, or None.

    Returns:
        The key, and a note where the file holds averaged weights beside others.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the file is no checkpoint of tensors.
    """
    kept = weight_keys(path)
    key = asked or (AVERAGED if AVERAGED in kept else "params")
    if AVERAGED not in kept or len(kept) < 2:
        return key, ""
    if key == AVERAGED:
        return key, f"its averaged weights ({AVERAGED}), which validations use too"
    return key, f"`{key}`, as asked; the averaged weights that validations use are `{AVERAGED}`"


def baseline(name: str) -> TestedRun:
    """What is measured beside networks, by its name in `BASELINES`.

    Raises:
        FileNotFoundError: its weights are not here.
    """
    identity = {"baseline": name}
    if name == NLM:
        identity["opencv"] = cv2.__version__
    if name == FFDNET:
        identity["sha256"] = file_digest(weights.resolve(FFDNET_COLOR))
    return TestedRun(BASELINES[name], identity)


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
    parts += [text for baseline, text in PROTOCOLS.items() if baseline in names]
    if options.val.tile is not None:
        tile = options.val.tile
        parts.append(f"networks see tiles of {tile} pixels, overlap {options.val.tile_overlap}")
    return "; ".join(parts)
