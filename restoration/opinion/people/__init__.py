"""Data sets of people's ratings as one typed table."""

import difflib
from collections.abc import Callable
from pathlib import Path

from restoration.opinion.people.readers import (
    read_csiq,
    read_csv,
    read_kadid10k,
    read_pipal,
    read_tid2013,
)
from restoration.opinion.people.table import OpinionData, Pairs, image_problems, listed, turn

__all__ = [
    "READERS",
    "OpinionData",
    "Pairs",
    "image_problems",
    "listed",
    "open_opinions",
    "read_csiq",
    "read_csv",
    "read_kadid10k",
    "read_pipal",
    "read_tid2013",
    "turn",
]

READERS: dict[str, Callable[..., OpinionData]] = {
    "kadid10k": read_kadid10k,
    "tid2013": read_tid2013,
    "csiq": read_csiq,
    "pipal": read_pipal,
    "csv": read_csv,
}


def open_opinions(
    spec: str,
    direction: str | None = None,
    score_range: tuple[float, float] | None = None,
) -> OpinionData:
    """Open a data set of ratings by `KIND:PATH`, as in "kadid10k:DIR" or "csv:FILE".

    Args:
        spec: a key of `READERS` and the folder, or the file of "csv".
        direction: "MOS" or "DMOS", for "csv" alone.
        score_range: lowest and highest score, for "csv" alone.

    Raises:
        FileNotFoundError: the list or images are missing.
        ValueError: an unknown kind, or what its reader raises.
    """
    kind, colon, path = spec.partition(":")
    if kind not in READERS or not colon or not path:
        near = difflib.get_close_matches(kind.lower(), READERS, n=1)
        hint = f"; did you mean {near[0]}:{path or 'PATH'}?" if near and near[0] != kind else ""
        raise ValueError(f"expected KIND:PATH with KIND of {', '.join(READERS)}, got {spec}{hint}")
    place = Path(path).expanduser()
    if kind == "csv":
        return read_csv(place, direction, score_range)
    if direction is not None or score_range is not None:
        raise ValueError(f"{kind} states the direction and range of its scores itself")
    return READERS[kind](place)
