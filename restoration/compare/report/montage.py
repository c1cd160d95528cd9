"""Crops of two recipes beside noisy input and reference, as PNG files for papers and pages.

Dark and smooth crops are where plain perceptual losses are said to leave noise, and enhanced ones
not to (arXiv:2305.19858, figure 6). All are chosen by the report's rules.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restoration.compare.fronts import curves_of
from restoration.compare.judges import canonical
from restoration.compare.report.crops import WIN, Crop
from restoration.compare.report.pictures import ZOOM, captions, focus, shown_rows, to_picture
from restoration.compare.report.restorer import Restorer
from restoration.compare.result import Record
from restoration.evaluate.measure import NOISY
from restoration.evaluate.rows import condition_text

GAP, LINE, TEXT = 6, 24, 17  # pixels between tiles, of a line of text, of its letters
OVERVIEW_WINS = 2  # the first: of either recipe in the first ranking
INK, PAPER = "#1c2127", "#ffffff"


def pairs(record: Record) -> dict[str, tuple[str, str]]:
    """Which two recipes are shown, by name of the file: those of the report, and in grids two more.

    Those two are of different curves, and their mean LPIPS differs least.
    """
    challenger, reference = focus(record)
    found = {"crops": (reference, challenger)}
    matched = _matched(record)
    if matched is not None and matched != found["crops"]:
        found["crops_matched_lpips"] = matched
    return found


def _matched(record: Record) -> tuple[str, str] | None:
    """The recipes of the first two curves of several points whose mean LPIPS differs least."""
    metric = next((m for m, c in record.columns.items() if canonical(c.label) == "lpips"), None)
    curves = [labels for labels in curves_of(record.plan.recipes).values() if len(labels) > 1]
    if metric is None or len(curves) < 2:
        return None
    shown = [r for r in shown_rows(record) if r.condition == record.plan.picture_condition]
    means = {
        name: fmean(row.values[metric] for row in shown if row.run == name)
        for labels in curves[:2]
        for name in labels
    }
    every = [(one, other) for one in curves[0] for other in curves[1]]
    return min(every, key=lambda pair: abs(means[pair[0]] - means[pair[1]]))


def montages(
    record: Record, chosen: Sequence[Crop], dark: Sequence[Crop]
) -> dict[str, tuple[list[str], list[Crop]]]:
    """What each file shows, by name: recipes, and crops as rows.

    The dark and smooth crops for all of `pairs`; for the first pair also an overview: one of them,
    and where either recipe is ahead most.
    """
    shown = {name: (list(dict.fromkeys(pair)), list(dark)) for name, pair in pairs(record).items()}
    wins = [crop for crop in chosen if crop.kind == WIN][:OVERVIEW_WINS]
    if wins:
        shown["crops_overview"] = (shown["crops"][0], [*dark[:1], *wins])
    return {name: found for name, found in shown.items() if found[1]}


def write_montages(
    record: Record,
    restorer: Restorer,
    chosen: Sequence[Crop],
    dark: Sequence[Crop],
    folder: Path,
) -> list[Path]:
    """Write a file for each of `montages`, crops at three times their size.

    Args:
        record: the comparison.
        restorer: of its test images.
        chosen: crops of the report.
        dark: dark and smooth crops.
        folder: made if it is not there.

    Returns:
        The files; none without crops.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (recipes, crops) in montages(record, chosen, dark).items():
        runs = [NOISY, *recipes]
        rows = [_row(restorer, crop, runs) for crop in crops]
        texts = [_texts(record, crop, runs) for crop in crops]
        titles = [crop.title for crop in crops]
        files.append(folder / f"{name}.png")
        _paste([*runs, "reference"], titles, rows, texts).save(files[-1], optimize=True)
    return files


def _row(restorer: Restorer, crop: Crop, runs: Sequence[str]) -> list[Image.Image]:
    """Tiles of one crop: every run, then the reference."""
    parts = [restorer.cut(run, crop) for run in runs]
    return [_tile(image) for image in (*(part.restored for part in parts), parts[0].clean)]


def _tile(image: np.ndarray) -> Image.Image:
    """Enlarge an (H, W, 3) or (H, W) image in [0, 1], pixel by pixel."""
    tile = to_picture(image).convert("RGB")
    return tile.resize((ZOOM * tile.width, ZOOM * tile.height), Image.Resampling.NEAREST)


def _texts(record: Record, crop: Crop, runs: Sequence[str]) -> list[str]:
    values = captions(record, crop.condition)
    where = f"{crop.image}, {condition_text(crop.condition)}"
    of_runs = [values.get((run, crop.set, crop.image), "") for run in runs[1:]]
    return [where, *of_runs, ""]


def _paste(
    headings: Sequence[str],
    titles: Sequence[str],
    rows: Sequence[Sequence[Image.Image]],
    texts: Sequence[Sequence[str]],
) -> Image.Image:
    """Put rows of tiles below each other, each with a title above and a text below each tile."""
    width = max(tile.width for row in rows for tile in row) + GAP
    heights = [LINE + max(tile.height for tile in row) + LINE + GAP for row in rows]
    canvas = Image.new("RGB", (width * len(headings) - GAP, LINE + sum(heights)), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for column, heading in enumerate(headings):
        draw.text((column * width, 0), heading, INK, font)
    for number, (title, row, words) in enumerate(zip(titles, rows, texts, strict=True)):
        top = LINE + sum(heights[:number])
        draw.text((0, top), title, INK, font)
        for column, (tile, text) in enumerate(zip(row, words, strict=True)):
            canvas.paste(tile, (column * width, top + LINE))
            draw.text((column * width, top + LINE + tile.height + 2), text, INK, font)
    return canvas
