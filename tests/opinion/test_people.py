from pathlib import Path

import numpy as np
import pytest

from restoration.data import write_png
from restoration.degradations.distortions import DISTORTIONS
from restoration.opinion.people import (
    OpinionData,
    image_problems,
    open_opinions,
    read_csiq,
    read_csv,
    read_kadid10k,
    read_pipal,
    read_tid2013,
    turn,
)

PICTURE = np.full((12, 16, 3), 90, np.uint8)


def put(path, picture=PICTURE):
    """Write a picture under any name (the decoder looks at the content)."""
    written = path.with_suffix(".png")
    write_png(written, picture)
    written.rename(path)


@pytest.fixture
def kadid(tmp_path):
    lines = ["dist_img,ref_img,dmos,var"]
    for reference in ("I01", "I02"):
        put(tmp_path / "images" / f"{reference}.png")
        for kind, score in ((1, 4.57), (10, 3.2), (25, 1.0)):
            name = f"{reference}_{kind:02d}_03.png"
            put(tmp_path / "images" / name)
            lines.append(f"{name},{reference}.png,{score},0.496")
    (tmp_path / "dmos.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def tid(tmp_path):
    for folder in ("distorted_images", "reference_images"):
        (tmp_path / folder).mkdir()
    put(tmp_path / "reference_images" / "I01.BMP")
    put(tmp_path / "reference_images" / "i25.bmp")
    lines = []
    for name, score in (("I01_01_1.bmp", 5.51429), ("I01_24_5.bmp", 0.5), ("i25_08_2.bmp", 4.0)):
        put(tmp_path / "distorted_images" / name.lower())
        lines.append(f"{score} {name}")
    (tmp_path / "mos_with_names.txt").write_text("\r\n".join(lines) + "\r\n")
    return tmp_path


CSIQ_ROWS = [  # image, number, kind in the sheet, level, standard deviation, DMOS, file
    (1600, 1, "noise", 1, 0.061, 0.062, "awgn/1600.AWGN.1.png"),
    (1600, 2, "blur", 5, 0.1, 0.9, "blur/1600.BLUR.5.png"),
    ("boston", 3, "contrast", 2, 0.1, 0.2, "contrast/boston.contrast.2.png"),
    ("boston", 4, "fnoise", 3, 0.1, 0.4, "fnoise/boston.fnoise.3.png"),
    ("boston", 5, "jpeg", 4, 0.1, 0.6, "jpeg/boston.JPEG.4.png"),
    ("boston", 6, "jpeg 2000", 4, 0.1, 1.0, "jpeg2000/boston.jpeg2000.4.png"),
]


@pytest.fixture
def csiq(tmp_path):
    for name in ("1600", "boston"):
        put(tmp_path / "src_imgs" / f"{name}.png")
    for row in CSIQ_ROWS:
        write_png(tmp_path / "dst_imgs" / row[-1], PICTURE)
    return tmp_path


def csiq_sheet(root):
    """Headings in line 4 from column D, as the authors' workbook has them."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "all_by_image"
    sheet["A1"] = "CSIQ"
    heads = ("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")
    for line, row in enumerate([heads, *[r[:6] for r in CSIQ_ROWS]], start=4):
        for column, value in enumerate(row, start=4):
            sheet.cell(line, column, value)
    book.save(root / "csiq.DMOS.xlsx")


def csiq_tabs(root):
    lines = ["\t".join(map(str, row[:6])) for row in CSIQ_ROWS]
    (root / "csiq.txt").write_text("\n".join(lines) + "\n")


def csiq_labels(root):
    lines = [f"{row[-1].split('/')[1]} {row[5]}" for row in CSIQ_ROWS]
    (root / "csiq_label.txt").write_text("\n".join(lines))


def csiq_labels_without_extension(root):
    lines = [f"{row[-1].split('/')[1].removesuffix('.png')} {row[5]}" for row in CSIQ_ROWS]
    (root / "csiq_label.txt").write_text("\n".join(lines))


@pytest.fixture
def pipal(tmp_path):
    (tmp_path / "Train_Label").mkdir()
    for number, reference in enumerate(("A0000", "A0001")):
        (tmp_path / "Train_Ref").mkdir(exist_ok=True)
        put(tmp_path / "Train_Ref" / f"{reference}.bmp")
        folder = tmp_path / f"Distortion_{number + 1}"
        folder.mkdir()
        lines = []
        for kind, score in (("00_00", 1455.57), ("06_03", 1290.1)):
            put(folder / f"{reference}_{kind}.bmp")
            lines.append(f"{reference}_{kind}.bmp,{score}")
        (tmp_path / "Train_Label" / f"{reference}.txt").write_text("\n".join(lines))
    return tmp_path


# ------------------------------------------------------------------ readers


def test_kadid10k_scores_are_a_mos_in_spite_of_their_name(kadid):
    data = read_kadid10k(kadid)
    assert data.direction == "MOS" and data.score_range == (1, 5)
    np.testing.assert_array_equal(data.scores, [4.57, 3.2, 1.0] * 2)
    assert data.categories[:3] == ("gaussian_blur", "jpeg", "contrast_change")
    assert data.references[:1] == ("images/I01.png",)
    assert data.read_distorted(0).shape == (12, 16, 3)


def test_kadid10k_numbers_are_the_order_of_the_distortions():
    """The list of the publication, numbers 01 to 25."""
    order = (
        "gaussian_blur lens_blur motion_blur color_diffusion color_shift color_quantization "
        "saturation_hsv saturation_lab jpeg2000 jpeg white_noise white_noise_color impulse_noise "
        "multiplicative_noise denoise brighten darken mean_shift jitter patch_displacement "
        "pixelate quantization color_block sharpen contrast_change"
    )
    assert list(DISTORTIONS) == order.split()


def test_tid2013_whatever_the_case_of_names(tid):
    data = read_tid2013(tid)
    assert data.references == (
        "reference_images/I01.BMP",
        "reference_images/I01.BMP",
        "reference_images/i25.bmp",
    )
    assert data.categories == ("white_noise", "sparse_sampling", "gaussian_blur")
    assert data.scores[0] == 5.51429 and data.score_range == (0, 9)


@pytest.mark.parametrize(
    "labels", [csiq_sheet, csiq_tabs, csiq_labels, csiq_labels_without_extension]
)
def test_csiq_is_turned_once(csiq, labels):
    labels(csiq)
    data = read_csiq(csiq)
    assert data.direction == "DMOS"
    np.testing.assert_allclose(data.scores, [1 - row[5] for row in CSIQ_ROWS])
    assert data.distorted == tuple(f"dst_imgs/{row[-1]}" for row in CSIQ_ROWS)
    assert data.references[0] == "src_imgs/1600.png"
    assert data.categories == ("white_noise", "blur", "contrast", "pink_noise", "jpeg", "jpeg2000")


def test_csiq_in_one_folder(csiq):
    csiq_labels(csiq)
    (csiq / "dst_imgs").rename(csiq / "dst_imgs_all")
    for row in CSIQ_ROWS:
        path = csiq / "dst_imgs_all" / row[-1]
        path.rename(csiq / "dst_imgs_all" / path.name)
    assert read_csiq(csiq).distorted[0] == "dst_imgs_all/1600.AWGN.1.png"


@pytest.mark.parametrize("one_folder", [False, True])
def test_pipal(pipal, one_folder):
    if one_folder:
        (pipal / "Train_Dist").mkdir()
        for path in pipal.glob("Distortion_*/*"):
            path.rename(pipal / "Train_Dist" / path.name)
    data = read_pipal(pipal)
    np.testing.assert_array_equal(data.scores, [1455.57, 1290.1] * 2)
    assert data.categories[:2] == ("type_00", "type_06")
    assert data.references[2] == "Train_Ref/A0001.bmp"


def write_csv(root, text="a.png,r.png,noise,20\nb.png,r.png,blur,90\n"):
    for name in "rab":
        put(root / f"{name}.png")
    (root / "list.csv").write_text("distorted,reference,category,score\n" + text)
    return root / "list.csv"


@pytest.mark.parametrize(("direction", "wanted"), [("MOS", [20, 90]), ("dmos", [80, 10])])
def test_csv_states_direction_and_range(tmp_path, direction, wanted):
    data = read_csv(write_csv(tmp_path), direction, (0, 100))
    np.testing.assert_array_equal(data.scores, wanted)
    assert data.categories == ("noise", "blur")


def test_turning_keeps_the_range_and_reverses_the_order():
    scores = np.array([1.0, 2.5, 5.0])
    np.testing.assert_array_equal(turn(scores, (1, 5), "DMOS"), [5, 3.5, 1])
    np.testing.assert_array_equal(turn(scores, (1, 5), "MOS"), scores)


# ------------------------------------------------------------------ mistakes


def test_all_missing_files_are_counted_and_some_named(kadid):
    for path in kadid.glob("images/I0[12]_*"):
        path.unlink()
    (kadid / "images/I02.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"7 images are missing.*I01_01_03.png.*and 2 more"):
        read_kadid10k(kadid)


def test_unreadable_files_and_other_sizes_are_all_named(kadid):
    (kadid / "images/I01_01_03.png").write_bytes(b"no picture")
    put(kadid / "images/I02_10_03.png", PICTURE[:8])
    steps = []
    problems = list(image_problems(read_kadid10k(kadid), lambda: steps.append(1)))
    assert problems == [
        "images/I01_01_03.png (unreadable)",
        "images/I02_10_03.png (16x8, its reference 16x12)",
    ]
    assert len(steps) == 6


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("I01_01_03.png,I01.png,5.2,0.4", r"from 1 to 5, got images/I01_01_03.png \(5.2\)"),
        ("I01_01_03.png,I01.png,nan,0.4", "from 1 to 5"),
        ("I01_01_03.png,I01.png,good,0.4", "line 2: expected a number, got 'good'"),
        ("I01_26_03.png,I01.png,3,0.4", "line 2: expected a name .* 1 to 25"),
        ("I01_01_03.png,I01.png", "line 2: expected 4 values"),
        ("I01_01_03.png,I01.png,3,1\nI01_01_03.png,I01.png,3,1", "once, got twice"),
    ],
)
def test_bad_lines(kadid, text, match):
    (kadid / "dmos.csv").write_text("dist_img,ref_img,dmos,var\n" + text)
    put(kadid / "images/I01_26_03.png")
    with pytest.raises(ValueError, match=match):
        read_kadid10k(kadid)


def test_a_turned_score_outside_the_range_is_shown_as_the_file_states_it(csiq):
    (csiq / "csiq_label.txt").write_text("1600.AWGN.1.png 1.25")
    with pytest.raises(ValueError, match=r"from 0 to 1, got .*1600.AWGN.1.png \(1.25\)"):
        read_csiq(csiq)


def test_a_csiq_list_of_another_form(csiq):
    (csiq / "csiq.txt").write_text("1600 awgn")
    with pytest.raises(ValueError, match="line 1: expected 'image dst_idx"):
        read_csiq(csiq)


@pytest.mark.parametrize(
    ("direction", "ends", "match"),
    [
        (None, (0, 100), "state the direction"),
        ("MOS", None, "state the direction"),
        ("UP", (0, 100), "'MOS' or 'DMOS'"),
        ("MOS", (0, 50), r"from 0 to 50, got b.png \(90\)"),
        ("MOS", (5, 5), "LOW < HIGH"),
    ],
)
def test_csv_that_does_not_say_what_its_scores_are(tmp_path, direction, ends, match):
    with pytest.raises(ValueError, match=match):
        read_csv(write_csv(tmp_path), direction, ends)


def test_csv_without_a_column(tmp_path):
    (tmp_path / "list.csv").write_text("distorted,reference,score\n")
    with pytest.raises(ValueError, match="got no category"):
        read_csv(tmp_path / "list.csv", "MOS", (0, 1))


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("kadid:x", "did you mean kadid10k:x"),
        ("kadid10k", "KIND:PATH"),
        ("kadid10k:nowhere", "nowhere"),
    ],
)
def test_open_names_what_is_wrong(spec, match):
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        open_opinions(spec)


def test_the_folder_above_is_recognised(kadid, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    kadid.rename(above / "kadid10k")
    with pytest.raises(FileNotFoundError, match=r"did you mean .*above.*/kadid10k"):
        read_kadid10k(above)


# ------------------------------------------------------------------ splits


def table(num_references=10, order=None):
    rows = [(f"r{i}.png", f"r{i}_{k}.png") for i in range(num_references) for k in range(3)]
    rows = rows if order is None else [rows[i] for i in order]
    references, distorted = zip(*rows, strict=True)
    scores = np.linspace(0, 1, len(rows))
    return OpinionData("t", Path("/t"), references, distorted,
                       ("noise",) * len(rows), scores, (0.0, 1.0))  # fmt: skip
