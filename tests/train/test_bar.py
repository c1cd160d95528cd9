"""The bar of a training in terminals of several widths, and what it counts."""

import io
import re

import pytest
import torch
from rich.console import Console

from restoration.train.bar import RecentRate, StepBar, fit, speed
from restoration.train.loop import StepResult
from restoration.train.monitor import Monitor

TERMS = {"total": 0.01234, "MAE": 0.0101, "E-VGG": 0.0022, "LPIPS": 0.31, "DISTS": 0.21}


def line_at(width):
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, height=20)
    bar = StepBar(console, 0, 300_000)
    bar.update(120_000, 1.234, 256_332.0, TERMS)
    console.print(bar.progress.get_renderable())
    (line,) = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).splitlines()
    return line


def test_terms_are_dropped_before_the_total_and_the_times():
    narrow, wide, widest = line_at(80), line_at(120), line_at(160)
    for line, width in ((narrow, 80), (wide, 120), (widest, 160)):
        assert len(line) <= width
        assert "120000/300000  1.23 it/s  0:00:00  left 71:12:12  total 0.01234" in line
    assert "MAE" not in narrow
    assert "total 0.01234  MAE 0.0101  E-VGG 0.0022" in wide and "DISTS" not in wide
    assert widest.rstrip().endswith("LPIPS 0.31  DISTS 0.21")


def test_fit():
    assert fit(["ab", "", "c"], ["d", "e"], 5) == "ab  c"
    assert fit(["ab", "c"], ["d", "e"], 8) == "ab  c  d"
    assert fit(["abcdef"], ["d"], 3) == "abcdef", "what is kept is never dropped"
    assert fit(["a"], ["long one", "b"], 5) == "a", "from the last on"


@pytest.mark.parametrize(
    ("rate", "text"), [(0, ""), (12.345, "12.35 it/s"), (0.1, "0.10 it/s"), (0.04, "25.0 s/it")]
)
def test_speed(rate, text):
    assert speed(rate) == text


def test_a_validation_has_a_bar_of_its_own_while_it_lasts():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80, height=20)
    bar = StepBar(console, 0, 10)
    with bar.validating() as update:
        update(1.0, 4.0, "Kodak24/kodim05.png", "6/24 pictures", 75.0)
        console.print(bar.progress.get_renderable())
    first, second = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).splitlines()
    assert first.startswith("training") and second.startswith("validating")
    assert re.search(r"6/24 pictures  0:00:00  left 0:01:15  Kodak24/kodim05.png$", second.rstrip())
    assert len(bar.progress.tasks) == 1


# ------------------------------------------------------------------ rates


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def test_rate_is_of_the_last_seconds():
    now = Clock()
    rate = RecentRate(window=10.0, now=now)
    assert rate.value == 0.0
    now.seconds += 50
    rate.add()
    assert rate.value == pytest.approx(1 / 50)
    for _ in range(20):  # the first step, which waited for the loader, counts no more
        now.seconds += 0.5
        rate.add()
    assert rate.value == pytest.approx(2.0)
    for _ in range(10):
        now.seconds += 5
        rate.add()
    assert rate.value == pytest.approx(0.2), "not the mean since the start"


def test_rate_without_validations():
    now = Clock()
    rate = RecentRate(window=10.0, now=now)
    for _ in range(5):
        now.seconds += 1
        rate.add()
        with rate.paused():
            now.seconds += 1000
    assert rate.value == pytest.approx(1.0)


def test_remaining_time_includes_the_validations_to_come():
    monitor = Monitor(Console(quiet=True), None, None, 0, 100, ["MAE"], 10, val_freq=20)
    assert monitor._seconds_left(0) is None
    now = Clock()
    monitor.rate = RecentRate(now=now)
    for _ in range(40):
        now.seconds += 2
        monitor.rate.add()
    monitor.validation_seconds = 7.0
    assert monitor._seconds_left(40) == pytest.approx(60 * 2 + 3 * 7)
    assert monitor._seconds_left(100) == 0


def test_a_log_file_hears_of_a_long_validation(caplog, monkeypatch):
    monkeypatch.setattr("restoration.train.monitor.logger.propagate", True)
    monkeypatch.setattr("restoration.train.monitor.LINE_SECONDS", -1.0)
    caplog.set_level("INFO", "restoration")
    monitor = Monitor(Console(quiet=True), None, None, 0, 100, ["MAE"], 10)
    with monitor, monitor.validating(20) as tell:
        tell(1.0, 4.0, "set/a.png", "1/4 pictures")
    assert re.search(r"\[20/100\] validating: 1/4 pictures, 0:00:0\d left", caplog.text)


def test_slow_steps_show_at_once():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120, height=20)
    monitor = Monitor(console, None, None, 0, 4, ["MAE"], 100)
    one = torch.tensor(0.5)
    with monitor:
        monitor.shown = -100.0  # long ago
        monitor.step(StepResult(0, {"total": one, "MAE": one}, 0.1, one, 0.0))
        console.print(monitor.bar.progress.get_renderable())
    assert "total 0.5" in text.getvalue()
