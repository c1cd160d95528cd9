"""What is checked of test sets and metrics before the first image is measured."""

from collections.abc import Mapping

import torch
from torch import nn

from restoration.archs.probe import PROBE_SIDE, check_size
from restoration.data.known_sets import compare, manifest
from restoration.evaluate.sets import EvaluationSet
from restoration.metrics import Metrics

SHOWN = 5  # file names in one message
MOST_SIZES = 4  # of a set that a network is tried on


def check_set(name: str, test_set: EvaluationSet, digests: Mapping[str, str | None]) -> list[str]:
    """Check that the images can be read, and are those that the manifest knows under this name.

    Args:
        name: of the set, in the tables.
        test_set: the set.
        digests: checksum of the pixels by file name; None for what cannot be decoded.

    Returns:
        Notes on images that are not those of the manifest.

    Raises:
        ValueError: images cannot be read, or are missing from a set that the manifest knows.
    """
    broken = [picture for picture, digest in digests.items() if digest is None]
    if broken:
        raise ValueError(f"{name}: {len(broken)} images cannot be read: {_some(broken)}")
    entry = manifest().get(name)
    if entry is None or not entry.files:
        return []
    findings = compare(entry, digests)
    partial = test_set.max_images is not None
    recorded = len(entry.files)
    if len(test_set.source) < recorded or (findings.missing and not partial):
        gone = f", without {_some(findings.missing)}" if not partial else ""
        raise ValueError(
            f"{name}: expected its {recorded} images, got {len(test_set.source)}{gone}; a set "
            "of your own needs another name under `datasets`"
        )
    other = findings.altered + findings.extra
    return [f"{name}: not the recorded images: {_some(other)}"] if other else []


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def check_metrics(
    metrics: Metrics, sets: Mapping[str, EvaluationSet], device: torch.device
) -> None:
    """Try every metric on a flat image as small as the smallest one.

    Raises:
        ValueError: an image is too small for a metric.
    """
    for name, test_set in sets.items():
        source = test_set.source
        sizes = [(*source.size(index), index) for index in range(len(test_set))]
        height, width, smallest = min(sizes, key=lambda size: min(size[:2]))
        clean = torch.full((1, test_set.channels, height, width), 0.5, device=device)
        for metric in metrics.by_name.values():
            try:
                metric(clean * 0.9, clean)
            except ValueError as error:
                raise ValueError(f"{name}/{source.names[smallest]}: {error}") from error


def check_sizes(
    network: nn.Module,
    sets: Mapping[str, EvaluationSet],
    device: torch.device,
    tile: int | None = None,
    noise_map: bool = False,
) -> None:
    """Try a network on flat images that are cut as the images of every set are.

    A side is shortened to less than twice `PROBE_SIDE` pixels; what is left over beyond whole
    windows is as in the image.

    Args:
        network: on the device.
        sets: test sets by name.
        device: where to compute.
        tile: side of the tiles that networks see, or None for whole images.
        noise_map: whether the network takes the noise level as one more channel.

    Raises:
        ValueError: it fails on one, which is named.
    """
    for name, test_set in sets.items():
        named: dict[tuple[int, int], str] = {}
        for index in range(len(test_set)):
            height, width = (
                min(side, tile or side, PROBE_SIDE + side % PROBE_SIDE)
                for side in test_set.source.size(index)
            )
            named.setdefault((height, width), test_set.source.names[index])
        sizes = sorted(named)
        for size in sizes[:: -(-len(sizes) // MOST_SIZES)]:
            try:
                check_size(network, test_set.channels, size, device, True, noise_map)
            except ValueError as error:
                raise ValueError(f"{name}/{named[size]}: {error}") from error
