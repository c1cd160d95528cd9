"""Files that are hostile, damaged or odd: one line instead of a hang, a bomb or a dead process."""

import os
import struct
import warnings
import zlib
from pathlib import Path

import lmdb
import numpy as np
import pytest
import torch
from torch import nn

from losses.masks import MaskBank, load_masks
from restoration.archs import load_network
from restoration.common.messages import shorten
from restoration.common.reading import read_object, read_table
from restoration.data import FolderSource, PairedSource, open_source, read_image, write_png
from restoration.data.images import encode_array, image_size
from restoration.data.readable import only_readable
from restoration.evaluate.journal import FileJournal
from restoration.evaluate.layouts import markdown
from restoration.opinion.people import readers
from restoration.opinion.table import OpinionTable
from restoration.options.load import validate
from restoration.train.stream import build_dataset

PICTURE = np.full((8, 9, 3), 90, np.uint8)


@pytest.mark.parametrize("read", [read_image, image_size])
@pytest.mark.parametrize("name", ["pipe.png", "pipe.npy"])
def test_pipes_do_not_hang(tmp_path, name, read):
    os.mkfifo(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="which is not one"):
        read(tmp_path / name)


def test_pipes_among_ratings_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "dmos.csv")
    with pytest.raises(FileNotFoundError, match="expected dmos.csv"):
        readers.read_kadid10k(tmp_path)


def png(side, depth=8):
    """A file that says to be large, and is small."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(side * (3 * side + 1)) if side < 1000 else b"\0")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth", [8, 16])
def test_giant_headers_are_refused_before_memory_is_taken(tmp_path, depth):
    (tmp_path / "bomb.png").write_bytes(png(100_000, depth))
    for read in (read_image, image_size):
        with pytest.raises(ValueError, match="exceeds limit|more than max_pixels"):
            read(tmp_path / "bomb.png")


def test_max_pixels(tmp_path):
    write_png(tmp_path / "a.png", PICTURE)
    assert read_image(tmp_path / "a.png", max_pixels=72).shape == PICTURE.shape
    for read in (read_image, image_size):
        with pytest.raises(ValueError, match="9x8 pixels, more than max_pixels, 71"):
            read(tmp_path / "a.png", max_pixels=71)
    with pytest.raises(ValueError, match="more than max_pixels"):
        open_source(tmp_path, max_pixels=71).decode(0)


HEADERS = {
    "negative": "(-4, 4, 3)",
    "giant": "(1000000, 1000000, 3)",
    "overflow": f"({2**62}, {2**62}, 3)",
    "no numbers": "(True, 4, 3)",
    "empty": "(0, 4, 3)",
    "text": "[" * 3000,
}


@pytest.mark.parametrize("shape", HEADERS.values(), ids=HEADERS)
def test_arrays_of_impossible_shapes(tmp_path, shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".encode()
    content = b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + bytes(48)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match="expected"), warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(tmp_path / "a.npy")


def database(root: Path, count=200):
    """An LMDB with pictures."""
    environment = lmdb.open(str(root), map_size=2**24)
    with environment.begin(write=True) as transaction:
        for number in range(count):
            transaction.put(str(number).encode(), os.urandom(3000))
    environment.close()
    lines = [f"{number}.png (8,9,3) 1\n" for number in range(count)]
    (root / "meta_info.txt").write_text("".join(lines))
    return root / "data.mdb"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_half_an_lmdb_does_not_end_the_process(tmp_path, share):
    file = database(tmp_path / "a.lmdb")
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(ValueError, match="it was cut off"):
        open_source(tmp_path / "a.lmdb").decode(0)


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(range(256)) * 400])
def test_garbage_for_an_lmdb(tmp_path, content):
    database(tmp_path / "a.lmdb").write_bytes(content)
    with pytest.raises(ValueError, match="a damaged LMDB"):
        open_source(tmp_path / "a.lmdb").decode(0)


def ratings(folder, content, name="csiq.DMOS.xlsx"):
    for below in ("src_imgs", "dst_imgs"):
        (folder / below).mkdir()
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4" + bytes(100)])
def test_a_sheet_that_is_none(tmp_path, content):
    pytest.importorskip("openpyxl")
    with pytest.raises(ValueError, match="csiq.DMOS.xlsx: expected an Excel sheet"):
        readers.read_csiq(ratings(tmp_path, content))


def test_a_cell_that_is_too_long(tmp_path):
    (tmp_path / "a.csv").write_text(
        "distorted,reference,category,score\n" + "x" * 131_073 + ",b,c,1\n"
    )
    with pytest.raises(ValueError, match="a.csv line 1: no CSV: field larger"):
        readers.read_csv(tmp_path / "a.csv", "MOS", (0, 1))
    with pytest.raises(ValueError, match="a.csv line 1: no CSV"):
        list(read_table(tmp_path / "a.csv"))


@pytest.mark.parametrize("content", ["", "[1]", "[" * 100_000, '{"a": 1', "5"])
def test_json_of_another_kind(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"expected .*a\.json"):
        read_object(tmp_path / "a.json")


def test_half_a_table_of_scored_pairs(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, about=np.array("{}"), scores=np.zeros(1000))
    os.truncate(path, path.stat().st_size // 2)
    for content in (path.read_bytes(), b"", b"text", b"PK\3\4"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="expected a table of scored pairs"):
            OpinionTable.load(path)


ODD_TENSORS = {
    "sparse": lambda tensor: tensor.to_sparse(),
    "meta": lambda tensor: tensor.to("meta"),
    "complex": lambda tensor: tensor.to(torch.complex64),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD_TENSORS)
def test_tensors_without_values_of_their_own(tmp_path, kind):
    network, bank = nn.Conv2d(3, 3, 1), MaskBank((3,))
    for module, load in (
        (network, lambda path: load_network(network, path)),
        (bank, lambda path: load_masks(path, (3,))),
    ):
        odd = {name: ODD_TENSORS[kind](tensor) for name, tensor in module.state_dict().items()}
        torch.save(odd, tmp_path / "odd.pth")
        with pytest.raises(ValueError, match=f"expected plain tensors, got .*which is .*{kind}"):
            load(tmp_path / "odd.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"0" * 5000])
def test_text_for_a_mask_file(tmp_path, content):
    (tmp_path / "mask.pth").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable weights file: it was not written by"):
        load_masks(tmp_path / "mask.pth", (3,))


def test_a_mask_file_of_another_shape(tmp_path):
    torch.save({"mask_finder_1.conv1.0.weight": torch.zeros(3)}, tmp_path / "mask.pth")
    with pytest.raises(ValueError, match="a file without mask_finder_"):
        load_masks(tmp_path / "mask.pth", (3,))


def test_journals_of_another_shape(tmp_path):
    lines = ["[1]", "5", '{"run": 1}', "{", "[" * 50_000, '{"run": [], "set": "a", "index": 0}']
    entry = '{"run": "a", "set": "b", "index": 0, "key": "", "images": false, "rows": [%s]}'
    lines += [entry % '{"run": "a"}', entry % "5", entry % ""]
    (tmp_path / "journal.jsonl").write_text("\n".join(lines))
    journal = FileJournal(tmp_path, lambda run, name, index: "", resume=True)
    assert list(journal.entries) == [("a", "b", 0)], "the last line alone counts"


@pytest.fixture
def with_broken(tmp_path):
    """Three pictures, the second cut off."""
    for number in range(3):
        write_png(tmp_path / f"images/{number}.png", PICTURE + number)
    os.truncate(tmp_path / "images/1.png", 60)
    return tmp_path / "images"


def test_images_that_cannot_be_read_are_left_out(with_broken, caplog):
    def dataset(**keys):
        options = {"name": "run", "network_g": {"type": "Restormer"}}
        sets = {"train": {"dataroot_gt": str(with_broken), **keys}}
        options |= {"datasets": sets, "train": {"total_iter": 1, "losses": [{"type": "MAE"}]}}
        checked = validate(options)
        return build_dataset(checked.datasets.train, checked.train, 0)

    assert dataset().source.names == ["0.png", "1.png", "2.png"]
    assert dataset(on_error="skip").source.names == ["0.png", "2.png"]
    assert "1 of 3 images cannot be read and are left out" in caplog.text
    with pytest.raises(ValueError, match="expected an image that can be read.*more than max_pix"):
        dataset(on_error="skip", max_pixels=1)


def test_pairs_are_left_out_together(with_broken, tmp_path):
    for number in range(3):
        write_png(tmp_path / f"clean/{number}.png", PICTURE)
    pairs = PairedSource(FolderSource(tmp_path / "clean"), FolderSource(with_broken))
    found = only_readable(pairs, "pairs")
    assert found.degraded.names == found.names == ["0.png", "2.png"]


def test_names_that_are_no_utf8(tmp_path):
    write_png(tmp_path / "a.png", PICTURE)
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff.png")
    source = FolderSource(tmp_path)
    assert source.names == ["\\xff.png"], "it can be written into a text"
    assert (source.decode(0) == PICTURE).all()


def test_cells_of_tables_are_no_markup():
    lines = markdown(["a|b", "p"], [["<b>&lt;", "< 0.1 & **x**"]], []).splitlines()
    assert lines[0] == r"| a\|b | p |"
    assert lines[2] == "| &lt;b>&amp;lt; | < 0.1 & **x** |"


def test_messages_are_shortened_in_the_middle():
    assert shorten("short", 10) == "short"
    text = shorten("a" * 1000 + "the end", 100)
    assert len(text) == 100 and text.startswith("aaa") and text.endswith("aathe end")


def test_decoded_pictures_are_read_as_before(tmp_path):
    (tmp_path / "a.npy").write_bytes(encode_array(PICTURE))
    assert (read_image(tmp_path / "a.npy") == PICTURE).all()
    assert image_size(tmp_path / "a.npy") == (8, 9)
