"""Readers of the data sets of people's ratings, in the layouts that their authors distribute.

KADID-10k (Lin et al. 2019), TID2013 (Ponomarenko et al. 2015), CSIQ (Larson and Chandler 2010) and
PIPAL (Gu et al. 2020, arXiv:2007.12142), and a CSV file for anything else. Every reader states the
range and the direction of the scores of its set.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from restoration.degradations.distortions import DISTORTIONS
from restoration.opinion.people.files import Files, Rows, find_entry, number
from restoration.opinion.people.table import OpinionData

KADID10K_CATEGORIES = tuple(DISTORTIONS)  # in the order of the set's numbers 01..25
TID2013_CATEGORIES = (
    "white_noise",
    "white_noise_color",
    "correlated_noise",
    "masked_noise",
    "high_frequency_noise",
    "impulse_noise",
    "quantization_noise",
    "gaussian_blur",
    "denoise",
    "jpeg",
    "jpeg2000",
    "jpeg_errors",
    "jpeg2000_errors",
    "pattern_noise",
    "blocks",
    "mean_shift",
    "contrast_change",
    "saturation",
    "multiplicative_noise",
    "comfort_noise",
    "lossy_noisy",
    "color_quantization",
    "chromatic_aberration",
    "sparse_sampling",
)
CSIQ_CATEGORIES = {
    "awgn": "white_noise",
    "blur": "blur",
    "contrast": "contrast",
    "fnoise": "pink_noise",
    "jpeg": "jpeg",
    "jpeg2000": "jpeg2000",
}
CSIQ_SHEET_NAMES = {"noise": "awgn", "jpeg 2000": "jpeg2000"}  # where they differ from the files'
CSIQ_LABELS = ("csiq.DMOS.xlsx", "csiq.txt", "csiq_dmos.txt", "csiq_label.txt")
CSIQ_ROW = re.compile(r"(\S+)\s+\d+\s+(\S.*?)\s+(\d)\s+[\d.eE+-]+\s+([\d.eE+-]+)")
CSIQ_LABEL = re.compile(r"([^\s,]+)\.(\w+)\.(\d)(?:\.png)?[\s,]+([\d.eE+-]+)", re.IGNORECASE)
CSV_COLUMNS = ("distorted", "reference", "category", "score")
PIPAL_RANGE = (500.0, 2500.0)  # Elo scores have no ends; those of the set lie near 860..1860


def read_kadid10k(root: str | Path) -> OpinionData:
    """KADID-10k: `dmos.csv` and `images/`.

    Its column `dmos` runs from 1 (very annoying) to 5 (imperceptible): higher is better, so it is
    a MOS in spite of its name.

    Raises:
        FileNotFoundError: the list or an image is missing.
        ValueError: a line of another form, a score outside [1, 5].
    """
    root = Path(root)
    labels = find_entry(root, ["dmos.csv"], "KADID-10k")
    files = Files([find_entry(root, ["images", "distorted_images"], "KADID-10k"), root])
    rows = Rows("kadid10k", root)
    for where, row in _csv_rows(labels, ("dist_img", "ref_img", "dmos")):
        name, reference = row["dist_img"], row["ref_img"]
        kind = _kind_of(name, KADID10K_CATEGORIES, where)
        score = number(row["dmos"], where)
        rows.add((reference, files.find(reference)), (name, files.find(name)), kind, score)
    return rows.table((1.0, 5.0), "MOS")


def read_tid2013(root: str | Path) -> OpinionData:
    """TID2013: `mos_with_names.txt`, `distorted_images/` and `reference_images/`; MOS in [0, 9].

    Raises:
        FileNotFoundError: the list or an image is missing.
        ValueError: a line of another form, a score outside [0, 9].
    """
    root = Path(root)
    labels = find_entry(root, ["mos_with_names.txt"], "TID2013")
    of_distorted = Files([find_entry(root, ["distorted_images"], "TID2013")])
    of_references = Files([find_entry(root, ["reference_images"], "TID2013")])
    rows = Rows("tid2013", root)
    for where, line in _lines(labels):
        parts = line.split()
        if len(parts) != 2:
            raise ValueError(f"{where}: expected 'score name', got {line!r}")
        name = parts[1]
        reference = name.split("_")[0] + Path(name).suffix
        kind = _kind_of(name, TID2013_CATEGORIES, where)
        distorted, original = of_distorted.find(name), of_references.find(reference)
        rows.add((reference, original), (name, distorted), kind, number(parts[0], where))
    return rows.table((0.0, 9.0), "MOS")


def read_csiq(root: str | Path) -> OpinionData:
    """CSIQ: `csiq.DMOS.xlsx` or its text exports, `src_imgs/` and `dst_imgs/<kind>/`.

    DMOS in [0, 1], 0 for no visible difference; turned into 1 - DMOS. Text exports are lines
    `image dst_idx dst_type dst_lev dmos_std dmos`, as in the sheet (`csiq.txt`), or
    `1600.AWGN.1.png 0.062` (`csiq_label.txt`).

    Raises:
        FileNotFoundError: the list or an image is missing.
        ValueError: a line of another form, a score outside [0, 1], openpyxl is not installed.
    """
    root = Path(root)
    labels = find_entry(root, CSIQ_LABELS, "CSIQ")
    of_distorted = Files([find_entry(root, ["dst_imgs", "dst_imgs_all"], "CSIQ")])
    of_references = Files([find_entry(root, ["src_imgs"], "CSIQ")])
    rows = Rows("csiq", root)
    sheet = labels.suffix.lower() == ".xlsx"
    for where, image, kind, level, score in (_csiq_sheet if sheet else _csiq_text)(labels):
        kind = CSIQ_SHEET_NAMES.get(kind.lower(), kind.lower())
        if kind not in CSIQ_CATEGORIES:
            raise ValueError(f"{where}: expected one of {list(CSIQ_CATEGORIES)}, got {kind!r}")
        name, reference = f"{image}.{kind}.{level}.png", f"{image}.png"
        original, distorted = of_references.find(reference), of_distorted.find(name)
        rows.add((reference, original), (name, distorted), CSIQ_CATEGORIES[kind], score)
    return rows.table((0.0, 1.0), "DMOS")


def read_pipal(root: str | Path) -> OpinionData:
    """PIPAL, its public training part: `Train_Label/*.txt`, `Train_Ref/` and the distorted images.

    These lie in `Distortion_1` .. `Distortion_4`, or in one folder (`Train_Dist`). Scores are Elo
    ratings, higher is better. The category is the number of the sub-type in the file name.

    Raises:
        FileNotFoundError: a list or an image is missing.
        ValueError: a line of another form, a score outside `PIPAL_RANGE`.
    """
    root = Path(root)
    labels = sorted(find_entry(root, ["Train_Label", "Train_Labels"], "PIPAL").glob("*.txt"))
    of_references = find_entry(root, ["Train_Ref"], "PIPAL")
    elsewhere = [p for p in sorted(root.iterdir()) if p.is_dir() and p != of_references]
    references, distorted = Files([of_references]), Files(elsewhere)
    rows = Rows("pipal", root)
    for path in labels:
        for where, line in _lines(path):
            name, comma, score = (part.strip() for part in line.partition(","))
            parts = Path(name).stem.split("_")
            if not comma or len(parts) != 3:
                raise ValueError(f"{where}: expected 'A0000_00_00.bmp,score', got {line!r}")
            reference = parts[0] + Path(name).suffix
            original, file = references.find(reference), distorted.find(name)
            kind = f"type_{parts[1]}"
            rows.add((reference, original), (name, file), kind, number(score, where))
    return rows.table(PIPAL_RANGE, "MOS")


def read_csv(
    file: str | Path,
    direction: str | None = None,
    score_range: tuple[float, float] | None = None,
) -> OpinionData:
    """Any ratings as a CSV file with the columns distorted, reference, category, score.

    Args:
        file: the list; image paths in it are absolute or relative to its folder.
        direction: "MOS" where higher scores are better, "DMOS" where they are worse.
        score_range: lowest and highest score of the scale.

    Raises:
        FileNotFoundError: the list or an image is missing.
        ValueError: direction or range are not stated, a column is missing, a bad score.
    """
    file = Path(file)
    if direction is None or score_range is None:
        raise ValueError(f"{file}: state the direction (MOS or DMOS) and the range of its scores")
    if not score_range[0] < score_range[1]:
        raise ValueError(f"{file}: expected a range LOW < HIGH, got {score_range}")
    rows = Rows(file.stem, file.parent)
    for where, row in _csv_rows(file, CSV_COLUMNS):
        reference, distorted = (_beside(file, row[c]) for c in ("reference", "distorted"))
        rows.add(reference, distorted, row["category"], number(row["score"], where))
    return rows.table(score_range, direction.upper())


def _beside(file: Path, name: str) -> tuple[str, Path | None]:
    """A name and its path, absolute or relative to the folder of a file; None where it is not."""
    path = file.parent / name
    return name, path if path.is_file() else None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines that are not empty, each with the place to name in an error."""
    for count, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.strip():
            yield f"{path.name} line {count}", line.strip()


def _csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file with these columns, each with the place to name in an error."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a CSV file, got {path}, which is not one")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            heads = [head.strip() for head in reader.fieldnames or ()]
            reader.fieldnames = heads
            if lacking := [column for column in columns if column not in heads]:
                raise ValueError(
                    f"{path}: expected columns {', '.join(columns)}, got no {lacking[0]}"
                )
            for row in reader:
                where = f"{path.name} line {reader.line_num}"
                if any(row[column] is None for column in columns):
                    raise ValueError(f"{where}: expected {len(heads)} values, got fewer")
                yield where, {column: row[column].strip() for column in columns}
        except csv.Error as error:
            raise ValueError(f"{path.name} line {reader.line_num}: no CSV: {error}") from error


def _kind_of(name: str, categories: tuple[str, ...], where: str) -> str:
    """Category of `I01_07_3.bmp` by its middle number, counted from 1."""
    parts = Path(name).stem.split("_")
    if len(parts) == 3 and parts[1].isdigit() and 1 <= int(parts[1]) <= len(categories):
        return categories[int(parts[1]) - 1]
    raise ValueError(
        f"{where}: expected a name such as I01_01_1 with a middle number of 1 to "
        f"{len(categories)}, got {name!r}"
    )


def _whole(text: object, where: str) -> int:
    value = number(text, where)
    if not value.is_integer():  # infinity is none either
        raise ValueError(f"{where}: expected a whole number, got {text!r}")
    return int(value)


CsiqRow = tuple[str, str, str, int, float]


def _csiq_text(path: Path) -> Iterator[CsiqRow]:
    """(place, image, kind, level, DMOS) of a text export."""
    for where, line in _lines(path):
        if line.lower().startswith("image"):
            continue
        if match := CSIQ_LABEL.fullmatch(line) or CSIQ_ROW.fullmatch(line):
            image, kind, level, score = match.groups()
            yield where, image, kind, int(level), number(score, where)
        else:
            raise ValueError(
                f"{where}: expected 'image dst_idx dst_type dst_lev dmos_std dmos' or "
                f"'1600.AWGN.1.png dmos', got {line!r}"
            )


def _csiq_sheet(path: Path) -> Iterator[CsiqRow]:
    """(place, image, kind, level, DMOS) of the sheet `all_by_image`, below its line of headings."""
    try:
        import openpyxl
    except ImportError as error:
        raise ValueError(
            f"{path.name} needs openpyxl: pip install openpyxl, or export it as csiq.txt"
        ) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises whatever a damaged file leads it to
        raise ValueError(f"{path.name}: expected an Excel sheet: {error}") from error
    try:
        if "all_by_image" not in book.sheetnames:
            raise ValueError(f"{path.name}: expected a sheet all_by_image, got {book.sheetnames}")
        lines = list(book["all_by_image"].iter_rows(values_only=True))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"{path.name}: expected a whole Excel sheet: {error}") from error
    finally:
        book.close()
    heads = ("image", "dst_type", "dst_lev", "dmos")
    start = next((i for i, line in enumerate(lines) if set(heads) <= set(line)), None)
    if start is None:
        raise ValueError(f"{path.name}: expected headings {', '.join(heads)}, got none")
    places = [lines[start].index(head) for head in heads]
    for count, line in enumerate(lines[start + 1 :], start=start + 2):
        if len(line) <= max(places):
            raise ValueError(f"{path.name} line {count}: expected {len(lines[start])} cells")
        image, kind, level, score = (line[place] for place in places)
        where = f"{path.name} line {count}"
        if image is not None:  # a name such as 1600 is a number in the sheet
            stem = str(int(image)) if isinstance(image, float) else str(image)
            yield where, stem, str(kind), _whole(level, where), number(score, where)
