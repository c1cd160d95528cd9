"""Data sets of users' own."""

from collections.abc import Mapping
from typing import Any

from restoration.common.names import DATASETS
from restoration.data.grey import in_channels
from restoration.data.paired import PairedSource
from restoration.data.sources import Source


def open_custom(type: str, dataroot: str, arguments: Mapping[str, Any], channels: int) -> Source:
    """Open a data set that a user registered, or that an import path names.

    Args:
        type: its name, see `restoration.common.names.register_dataset`.
        dataroot: `dataroot_gt` of the option file.
        arguments: its further arguments.
        channels: 3 for colour, 1 for grey.

    Returns:
        Clean images, or pairs.

    Raises:
        ValueError: there is no such data set, it does not take the arguments, or what it returns
            is no Source.
    """
    build = DATASETS.find(type)
    try:
        source = build(dataroot, **arguments)
    except TypeError as error:
        raise ValueError(f"data set {type}: {error}") from error
    if not isinstance(source, Source):
        raise ValueError(f"expected a Source from data set {type}, got {source!r}")
    if isinstance(source, PairedSource):
        clean, degraded = (
            in_channels(source.clean, channels),
            in_channels(source.degraded, channels),
        )
        return PairedSource(clean, degraded)
    return in_channels(source, channels)
