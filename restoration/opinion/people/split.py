"""Splits of opinion data by reference image, never by pair.

A mask that saw one distorted version of a photograph has seen the photograph: a split by pairs
would measure memory.
"""

from collections.abc import Mapping

import numpy as np

from restoration.opinion.people.table import OpinionData, listed


def split_by_reference(
    data: OpinionData, fractions: Mapping[str, float], seed: int
) -> dict[str, OpinionData]:
    """Share the reference images out at random, and every pair with its reference.

    Args:
        data: the table.
        fractions: share of the references of each part, as in {"train": 0.8, "val": 0.2}; they
            sum to 1.
        seed: of the shuffle; with the same references and seed the parts are the same, whatever
            the order of the rows.

    Returns:
        A table per part, rows in the order of `data`.

    Raises:
        ValueError: fractions that do not sum to 1, or too few references for every part.
    """
    shares = np.array(list(fractions.values()), float)
    if not fractions or (shares <= 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise ValueError(f"expected positive fractions that sum to 1, got {dict(fractions)}")
    references = sorted(set(data.references))
    ends = np.round(shares.cumsum() * len(references)).astype(int)
    counts = np.diff(ends, prepend=0)
    if (counts == 0).any():
        raise ValueError(
            f"expected a reference in every part, got {len(references)} for {dict(fractions)}"
        )
    order = np.random.default_rng(seed).permutation(len(references))
    part_of = {
        references[number]: name
        for name, part in zip(fractions, np.split(order, ends[:-1]), strict=True)
        for number in part
    }
    splits = {
        name: data.subset([i for i, ref in enumerate(data.references) if part_of[ref] == name])
        for name in fractions
    }
    check_splits(splits)
    return splits


def check_splits(splits: Mapping[str, OpinionData]) -> None:
    """Raise ValueError if a reference image is in two parts.

    Args:
        splits: tables by the name of the part.
    """
    seen: dict[str, str] = {}
    shared = []
    for name, data in splits.items():
        for reference in sorted({str((data.root / r).resolve()) for r in data.references}):
            if reference in seen:
                shared.append(f"{reference} in {seen[reference]} and {name}")
            seen.setdefault(reference, name)
    if shared:
        raise ValueError(f"expected every reference in one part, got {listed(shared)}")
