"""What masks learn from, as an option file names it: ratings made here, or those of people."""

from restoration.common.progress import Progress, no_progress
from restoration.masks.options import OF_CALIBRATED, MaskData
from restoration.opinion.calibrated import Calibration
from restoration.opinion.open import draw_opinions, read_photographs, table_of_people
from restoration.opinion.people import open_opinions
from restoration.opinion.table import OpinionTable


def open_table(data: MaskData, seed: int, progress: Progress = no_progress) -> OpinionTable:
    """Distort and score photographs, or read a data set of ratings.

    Args:
        data: section of the option file.
        seed: of everything drawn.
        progress: shows how far distorting and scoring are.

    Returns:
        The same table on every device: distortions and scores are computed on the CPU.

    Raises:
        FileNotFoundError: photographs or files of the data set are missing.
        ValueError: an unknown name, or images that are of no use.
    """
    if not data.drawn_here:
        low_high = None if data.score_range is None else (data.score_range[0], data.score_range[1])
        ratings = open_opinions(f"{data.type}:{data.dataroots[0]}", data.direction, low_high)
        return table_of_people(ratings, data.num_references, data.distortions, data.levels, seed)
    photographs = read_photographs(data.dataroots, data.size)
    count = len(photographs) if data.num_references is None else data.num_references
    by_people, passes = None, 2
    if data.type == "calibrated":
        by_people = Calibration(**{name: getattr(data, name) for name in OF_CALIBRATED})
        passes = by_people.passes
    with progress("distorting and scoring", passes * count) as advance:
        return draw_opinions(
            photographs,
            count,
            data.num_versions,
            data.size,
            seed,
            data.distortions,
            data.levels,
            data.teachers,
            data.table,
            advance,
            by_people,
            data.denoisers,
        )


def describe(table: OpinionTable) -> str:
    """Size of a table in words."""
    photographs = len(set(table.photographs.tolist()))
    return f"{len(table)} pairs, {len(table.references)} references of {photographs} photographs"
