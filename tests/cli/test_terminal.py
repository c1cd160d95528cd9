"""What the terminal shows: whole numbers however narrow it is, and names of files as they are."""

import io
import logging
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from restoration.cli import main, session
from restoration.cli.progress import Work, progress_on
from restoration.data import images, write_png
from restoration.evaluate.score import figure_names


@pytest.fixture(params=["xterm", "dumb"])
def narrow(monkeypatch, request):
    """A terminal of 40 columns; what it was told."""
    monkeypatch.setenv("TERM", request.param)
    shown = io.StringIO()
    terminal = Console(**session.AS_IT_IS, file=shown, force_terminal=True, width=40, height=25)
    monkeypatch.setattr(session, "make_console", lambda: terminal)
    return shown


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a [final] :smile:.png"
    write_png(path, np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    return path


def test_numbers_are_never_cut(narrow):
    table = Table(show_edge=False)
    table.add_column("name", overflow="fold")
    for number in range(9):
        table.add_column(f"LONG HEADING {number}", no_wrap=True)
    cells = [f"{number}0.123456" for number in range(9)]
    table.add_row("n" * 99, *cells)
    session.print_table(session.make_console(), table)
    said = narrow.getvalue()
    assert all(cell in said for cell in cells) and "LONG HEADING 8" in said and "…" not in said
    assert "n" * session.NARROWEST in said and "n" * (session.NARROWEST + 1) not in said


def test_a_table_that_fits_is_not_widened(narrow):
    table = Table("a", show_edge=False)
    table.add_row("b" * 30)
    session.print_table(session.make_console(), table)
    assert max(map(len, narrow.getvalue().splitlines())) <= 40 + len("\x1b[1m\x1b[0m") * 3


def test_score_of_many_metrics(narrow, picture):
    names = "psnr,ssim,mae,mse,charbonnier,flip"
    assert main(["score", str(picture), str(picture), "--metrics", names]) == 0
    said = narrow.getvalue()
    assert "CHARBONNIER" in said and "0.001" in said and "…" not in said


def test_score_holds_one_picture_at_a_time(picture, monkeypatch):
    made, read = [], images.read_float

    class Watched(np.ndarray):
        pass

    def watched(path):
        array = read(path).view(Watched)
        made.append(weakref.ref(array))
        held.append(sum(one() is not None for one in made))
        return array

    held: list[int] = []
    monkeypatch.setattr(images, "read_float", watched)
    copies = [shutil.copy(picture, picture.with_name(f"{n}.png")) for n in range(5)]
    assert main(["score", str(picture), *map(str, copies), "--metrics", "psnr"]) == 0
    assert len(held) == 6 and max(held) <= 3, "the reference, the last picture and this one"


def test_names_of_figures_never_meet():
    paths = [Path(name) for name in ("x/a.png", "y/a.png", "y/a_1.png", "y/b.png")]
    names = figure_names(paths)
    assert len(set(names)) == 4 and names[2:] == ["a_1", "b"]


def test_names_of_files_are_no_markup(picture, capsys):
    assert main(["score", str(picture), str(picture), "--metrics", "psnr"]) == 0
    shown = "".join(line.split("│")[0].strip() for line in capsys.readouterr().out.splitlines())
    assert picture.name.replace(" ", "") in shown.replace(" ", "")


def test_the_logger_of_a_silent_rank_speaks_again_after_the_block(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    logger = logging.getLogger("restoration")
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        with session.show_log(Console(file=io.StringIO())):
            assert not logger.isEnabledFor(logging.INFO)
        assert logger.isEnabledFor(logging.INFO) and logger.propagate
    finally:
        logger.setLevel(before)


def test_bars_of_names_that_look_like_markup():
    shown = io.StringIO()
    with Work(Console(file=shown, force_terminal=True, width=200), "reading") as work:
        work.update(1, 2, "a [final] [/b].png")
    assert "a [final] [/b].png" in shown.getvalue()


def test_the_time_left_counts_from_the_first_result(monkeypatch):
    """Not from when the work was announced: trainings may come before an evaluation."""
    moments = iter([600.0, 640.0])
    monkeypatch.setattr("restoration.cli.progress.time.monotonic", lambda: next(moments))
    shown = io.StringIO()
    work = Work(Console(file=shown, width=100), "evaluating")
    work.update(1, 4, "first")
    work.update(2, 4, "second", "2/4 images")
    assert shown.getvalue() == "evaluating second: 2/4 images, 0:01:20 left\n"


def test_steps_without_names_leave_a_line_now_and_then_in_a_log_file(monkeypatch):
    moments = iter([0.0, 10.0, 40.0, 45.0])
    monkeypatch.setattr("restoration.cli.progress.time.monotonic", lambda: next(moments))
    shown = io.StringIO()
    with progress_on(Console(file=shown, width=100))("measuring", 9, done=3) as advance:
        for _ in range(3):
            advance()
    assert shown.getvalue() == "measuring: 5/9, 0:01:20 left\n"
