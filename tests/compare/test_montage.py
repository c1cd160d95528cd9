"""Crops of two recipes as one PNG file: which recipes, and where their pixels stand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_comparison

from restoration.compare.plan import load_comparison
from restoration.compare.report import montage
from restoration.compare.report.crops import MEDIAN, WIN, dark_smooth
from restoration.compare.report.restorer import Parts
from restoration.degradations import gaussian_noise
from restoration.evaluate import EvaluationSet, Row
from restoration.metrics import Column

MAE = {"type": "MAE"}
VGG = {"name": "vgg", "train": {"losses": [MAE, {"type": "VGG", "backbone": "embedded"}]}}
EVGG = {"name": "evgg", "train": {"losses": [MAE, {"type": "E-VGG", "backbone": "embedded"}]}}
GRID = {"VGG": [0.1, 1], "E-VGG": [0.1, 1]}
LPIPS = {
    "vgg weight=0.1": 0.30,
    "vgg weight=1": 0.10,
    "evgg weight=0.1": 0.35,
    "evgg weight=1": 0.29,
}
SIDE, WHITE = 40, 255


class Pictures:
    names = ["dark.png"]

    def __len__(self):
        return 1

    def read_float(self, index):
        return np.full((SIDE, SIDE, 3), 0.1, np.float32)


class Grey:
    """Restores everything to a grey level of the recipe's own."""

    def __init__(self, condition, levels):
        self.condition, self.levels = condition, levels

    def cut(self, run, crop):
        restored = np.full((crop.side, crop.side, 3), self.levels[run])
        clean = np.full((crop.side, crop.side, 3), 1.0)
        return Parts(restored, clean, clean[:, :, 0], clean[:, :, 0])


@pytest.fixture
def record():
    def make(**keys):
        plan = load_comparison(tiny_comparison("images", recipes=[VGG, EVGG], **keys))
        shown = plan.picture_condition
        rows = [
            Row(run, "val", "dark.png", shown.degradation, shown.level, {"lpips": value})
            for run, value in LPIPS.items()
        ]
        findings = SimpleNamespace(trainings=rows, rows=rows)
        columns = {"lpips": Column("LPIPS", False)}
        return SimpleNamespace(plan=plan, findings=findings, columns=columns)

    return make


def test_a_grid_shows_equal_weights_and_equal_lpips(record):
    assert montage.pairs(record(grid=GRID)) == {
        "crops": ("vgg weight=0.1", "evgg weight=0.1"),
        "crops_matched_lpips": ("vgg weight=0.1", "evgg weight=1"),
    }


def test_without_a_grid_there_is_one_pair(record):
    assert montage.pairs(record()) == {"crops": ("vgg", "evgg")}


def test_tiles_stand_in_the_order_of_the_headings(record, tmp_path):
    made = record(grid=GRID)
    condition = made.plan.picture_condition
    sets = {"val": EvaluationSet(Pictures(), gaussian_noise(condition.level))}
    levels = {"noisy": 0.0, "vgg weight=0.1": 0.2, "evgg weight=0.1": 0.4, "evgg weight=1": 0.6}
    dark = dark_smooth(sets, condition)
    titles = ("Largest win of evgg", "Largest win of vgg", "Another")
    wins = [replace(dark[0], kind=WIN, title=title) for title in titles]
    chosen = [replace(dark[0], kind=MEDIAN), *wins, *dark]
    files = montage.write_montages(
        made, Grey(condition, levels), chosen, dark, tmp_path / "figures"
    )
    names = ["crops.png", "crops_matched_lpips.png", "crops_overview.png"]
    assert [file.name for file in files] == names
    step = montage.ZOOM * SIDE + montage.GAP
    for file, third in zip(files, (0.4, 0.6, 0.4), strict=True):
        image = np.asarray(Image.open(file))
        row = 2 * montage.LINE + montage.ZOOM * SIDE // 2
        seen = [image[row, column * step + 5, 0] for column in range(4)]
        assert seen == [round(WHITE * level) for level in (0, 0.2, third, 1)]
        assert image[row, step - montage.GAP // 2, 0] == WHITE  # between tiles
    heights = [Image.open(file).height - montage.LINE for file in files]
    assert heights == [2 * montage.LINE + step] * 2 + [3 * (2 * montage.LINE + step)]
    _, shown = montage.montages(made, chosen, dark)["crops_overview"]
    assert [crop.title for crop in shown] == [dark[0].title, *titles[:2]]


def test_a_single_recipe_is_shown_once(record):
    made = record()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(montage, "pairs", lambda _: {"crops": ("vgg", "vgg")})
        assert montage.montages(made, [], ["a crop"]) == {"crops": (["vgg"], ["a crop"])}
