"""Opening the ratings that masks are trained on: pseudo-MOS made here, or a set of people's.

Photographs that are distorted and scored by metrics (`teachers`) or by what people say of each
kind and level on average (`calibrated`), or KADID-10k, TID2013, CSIQ, PIPAL and CSV files
(`people`), all as one `OpinionTable` with scores in [0, 1].
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from losses import extras
from losses.naming import nearest
from restoration.data import open_source
from restoration.data.images import image_size, read_rgb8
from restoration.degradations.distortions import DISTORTIONS, choose_kinds
from restoration.degradations.kadid import RATED
from restoration.metrics.fingerprint import Function, fingerprint
from restoration.opinion import calibrated
from restoration.opinion.calibrated import Calibration
from restoration.opinion.denoised import denoised_kinds
from restoration.opinion.distorted import LEVELS, probe_digest
from restoration.opinion.people import OpinionData
from restoration.opinion.people.table import listed
from restoration.opinion.table import ImageFiles, OpinionTable

ENSEMBLE, HELD_OUT_TEACHER = "ensemble", "held-out"
WITH_LEVELS = ("kadid10k", "tid2013", "csiq")  # names of files end in the level
LEVEL_OF = re.compile(r"[_.]0?([1-5])$")


def choose_teachers(names: Sequence[str] | str | None) -> dict[str, Function]:
    """Metrics that score, by name: those named, "ensemble" (None) or "held-out".

    "dists" and "lpips" (of VGG-16) may be named too, and "mae".

    Raises:
        ValueError: piq is not installed, or an unknown name.
    """
    try:
        from restoration.opinion.teachers import HELD_OUT_TEACHERS, LEARNED_TEACHERS, TEACHERS
    except ImportError as error:
        raise extras.missing("piq", "pseudo-MOS") from error
    if names is None:
        names = ENSEMBLE
    groups = {ENSEMBLE: TEACHERS, HELD_OUT_TEACHER: HELD_OUT_TEACHERS}
    known = {**TEACHERS, **HELD_OUT_TEACHERS, **LEARNED_TEACHERS, "mae": calibrated.mae}
    chosen: dict[str, Function] = {}
    for name in [names] if isinstance(names, str) else names:
        if name in groups:
            chosen |= groups[name]
        else:
            chosen[name] = known[_known(name, (*known, *groups))]
    if not chosen:
        raise ValueError(f"expected one of {', '.join((*known, *groups))}, got no name")
    return chosen


def _known(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise ValueError(f"expected one of {', '.join(names)}, got {name!r}{nearest(name, names)}")
    return name


def read_photographs(dataroots: Sequence[str], min_side: int) -> dict[str, np.ndarray]:
    """Read clean photographs, RGB (H, W, 3) uint8, by a name that no two share.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no photograph in it, or one with a side below `min_side`.
    """
    photographs = {}
    for dataroot in dataroots:
        source = open_source(dataroot)
        for number, name in enumerate(source.names):
            if min(source.size(number)) < min_side:
                raise ValueError(
                    f"expected sides of {min_side} or more (data.size), "
                    f"got {source.size(number)} in {dataroot}: {name}"
                )
            place = dataroot if ":" in dataroot else str(Path(dataroot).resolve())
            photographs[f"{place}/{name}"] = source.read(number)
    return photographs


def draw_opinions(
    photographs: dict[str, np.ndarray],
    num_references: int | None = None,
    num_versions: int = 12,
    size: int = 192,
    seed: int = 0,
    distortions: Sequence[str] | None = None,
    levels: Sequence[float] | None = None,
    teachers: Sequence[str] | str | None = None,
    cache: Path | None = None,
    on_progress: Callable[[], None] | None = None,
    by_people: Calibration | None = None,
    denoisers: Sequence[str] = (),
) -> OpinionTable:
    """Distort cuts of photographs and score them.

    By metrics alone, see `teachers.draw_table`, or by what people say of each kind and level on
    average, see `calibrated.draw_calibrated`.

    Args:
        photographs: from `read_photographs`.
        num_references: how many cuts; None for one of each photograph.
        num_versions: distorted versions of each.
        size: side of a cut.
        seed: of everything drawn.
        distortions: kinds or families; None for KADID-10k's 25, and the outputs of `denoisers`.
        levels: strengths to choose from; None for all from 1 to 5.
        teachers: see `choose_teachers`.
        cache: .npz file that keeps the table; one made with other arguments is an error.
        on_progress: called twice per reference, with `by_people` `Calibration.passes` times.
        by_people: how scores are calibrated by people's means; teachers then say how a version
            differs from its kind and level, by default "mae". None: they alone score.
        denoisers: names or checkpoints whose outputs are further kinds, see `denoised_kinds`.

    Raises:
        FileNotFoundError: there is no such denoiser.
        ValueError: an unknown name, a level outside 1..5, a cache of something else.
    """
    count = len(photographs) if num_references is None else num_references
    chosen: dict[str, Function] = {"mae": calibrated.mae}  # needs no piq
    if teachers is not None or by_people is None:
        chosen = choose_teachers(teachers)
    outputs = denoised_kinds(denoisers)
    among = {**(RATED if by_people else DISTORTIONS), **outputs}
    kinds = {kind: among[kind] for kind in choose_kinds(distortions, list(among))}
    if levels is not None and (not levels or not all(1 <= level <= 5 for level in levels)):
        raise ValueError(f"expected levels from 1 to 5, got {list(levels)}")
    about: dict[str, Any] = {
        "photographs": _digest(*photographs, *(i[::16, ::16] for i in photographs.values())),
        "num_references": count,
        "num_versions": num_versions,
        "size": size,
        "seed": seed,
        "distortions": {n: [probe_digest(n, k, v) for v in LEVELS] for n, k in kinds.items()},
        "levels": None if levels is None else list(levels),
        "teachers": fingerprints(chosen),
    }
    if by_people:
        about["people"] = _digest(calibrated.MEANS.read_text(), str(float(by_people.own_level)))
        about |= {
            name: value
            for name, value in asdict(by_people).items()
            if name != "own_level" and value != getattr(calibrated.DEFAULT, name)
        }
        if by_people.metrics_share:
            about["metrics"] = fingerprints(choose_teachers(ENSEMBLE))
    if cache is not None and cache.is_file():
        return OpinionTable.load(cache, about)
    if by_people:
        draw: Callable[..., OpinionTable] = partial(calibrated.draw_calibrated, how=by_people)
    else:
        from restoration.opinion.teachers import draw_table as draw  # needs piq, as chosen above
    table = draw(
        list(photographs.values()),
        count,
        num_versions,
        size,
        seed,
        chosen,
        kinds,
        levels,
        on_progress,
    )
    table.photographs = np.array(list(photographs))[table.photographs]
    if cache is not None:
        table.save(cache, about)
    return table


def fingerprints(teachers: dict[str, Function]) -> dict[str, str]:
    """What every teacher says of a fixed probe; another formula says something else."""
    return {name: fingerprint(teacher) for name, teacher in teachers.items()}


def _digest(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).data)
    return digest.hexdigest()[:12]


def table_of_people(
    data: OpinionData,
    num_references: int | None = None,
    distortions: Sequence[str] | None = None,
    levels: Sequence[int] | None = None,
    seed: int = 0,
) -> OpinionTable:
    """Turn a data set of people's ratings into the table that masks are trained on.

    Args:
        data: the set; its scores are mapped from its range to [0, 1].
        num_references: how many of its references, drawn by the seed; None for all. Fewer are
            always a part of more.
        distortions: categories of the set, or families of them; None for all.
        levels: of the distortions, where the names of files end in it (KADID-10k, TID2013, CSIQ).
        seed: of the choice of references.

    Raises:
        ValueError: an unknown category, levels that the set does not state, nothing left, an
            image of another size than its reference.
    """
    kinds = set(choose_kinds(distortions, list(dict.fromkeys(data.categories))))
    chosen_levels = None if levels is None else {int(level) for level in levels}
    rows = [
        number
        for number, (kind, name) in enumerate(zip(data.categories, data.distorted, strict=True))
        if kind in kinds and (chosen_levels is None or _level(data.name, name) in chosen_levels)
    ]
    names = sorted({data.references[row] for row in rows})
    count = len(names) if num_references is None else num_references
    if not 1 <= count <= len(names):
        raise ValueError(f"{data.name}: expected 1 to {len(names)} references, got {count}")
    order = np.random.default_rng(seed).permutation(len(names))
    kept = [names[number] for number in sorted(order[:count])]
    place = {name: number for number, name in enumerate(kept)}
    data = data.subset([row for row in rows if data.references[row] in place])
    references = [read_rgb8(data.root / name) for name in kept]
    row = np.array([place[name] for name in data.references])
    low, high = data.score_range
    return OpinionTable(
        references,
        _files(data, [references[number].shape[:2] for number in row]),
        row,
        np.array(data.categories),
        (data.scores - low) / (high - low),
        np.array([str((data.root / name).resolve()) for name in kept]),
    )


def _level(name: str, file: str) -> int:
    match = LEVEL_OF.search(Path(file).stem) if name in WITH_LEVELS else None
    if match is None:
        raise ValueError(f"{name}: its files do not name levels (got {file}): drop data.levels")
    return int(match[1])


def _files(data: OpinionData, shapes: Sequence[tuple[int, int]]) -> ImageFiles:
    """The distorted images, unread; the head of each file is checked for its size."""
    paths, unusable = [data.root / name for name in data.distorted], []
    for path, (height, width) in zip(paths, shapes, strict=True):
        try:
            size = image_size(path)
        except (OSError, ValueError):
            unusable.append(f"{path.name} (unreadable)")
            continue
        if size != (height, width):
            unusable.append(f"{path.name} ({size[1]}x{size[0]}, its reference {width}x{height})")
    if unusable:
        raise ValueError(f"{data.name}: {len(unusable)} images cannot be used: {listed(unusable)}")
    return ImageFiles(paths, shapes)
