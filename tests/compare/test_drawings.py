"""Figures of a report: colours of the page, files, and axes that can be read."""

import base64
import io
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.ticker import NullFormatter
from PIL import Image

from restoration.compare.grid import Setting
from restoration.compare.report import drawing, figures
from restoration.compare.report.drawing import Drawing, legend_above, new_figure
from restoration.compare.report.pictures import focus, map_tile

STYLE = Path(drawing.__file__).parent / "templates" / "style.css"


def line(name="line"):
    figure, axis = new_figure(2.0)
    axis.plot([0, 1], [0, 1], color=drawing.SERIES[1])
    axis.set_xlabel("step")
    return Drawing(name, "A line.", figure)


def test_colours_are_those_of_the_light_page():
    css = STYLE.read_text()
    light, printed = css[: css.index("@media")], css[css.index("@media print") :]
    for colour, variable in drawing.VARIABLES.items():
        for part in (light, printed):
            assert f"{variable[4:-1]}: {colour};" in part


def test_inline_figures_take_their_colours_from_the_page():
    text = line().__html__()
    assert "var(--series-1)" in text and "var(--ink)" in text
    assert not any(colour in text for colour in drawing.VARIABLES)
    assert text.startswith('<svg role="img" aria-label="A line."')
    assert set(re.findall(r'id="([^"]+)"', text)) and 'id="line-' in text
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)]
    assert sizes and min(sizes) >= 12


def test_files_are_svg_and_pdf_in_colours_of_their_own(tmp_path):
    for _ in range(2):
        line().save(tmp_path)
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert set(found) == {"line.svg", "line.pdf"}
        assert drawing.SERIES[1].encode() in found["line.svg"]
        assert b"var(--" not in found["line.svg"]
        assert found["line.pdf"].startswith(b"%PDF")
    line().save(tmp_path)
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert again == found, "the same figure is the same file"


@pytest.mark.parametrize("ends", [(19.2, 18.9), (26, 14), (0.105, 0.05), (300, 2), (5, 5)])
def test_a_logarithmic_axis_has_several_ticks(ends):
    rows = [{"step": float(k), "E-VGG": v} for k, v in enumerate((ends[0], sum(ends) / 2, ends[1]))]
    record = SimpleNamespace(
        plan=SimpleNamespace(recipes=[SimpleNamespace(name="a")]), curves={"a": rows}
    )
    (axis,) = figures.curve(record, "E-VGG").figure.axes
    axis.figure.draw_without_rendering()
    low, high = axis.get_ylim()
    shown = [tick for tick in axis.get_yticks() if low <= tick <= high]
    assert len(shown) >= 3
    assert isinstance(axis.yaxis.get_minor_formatter(), NullFormatter)


def test_no_font_of_a_pdf_is_of_type_3(tmp_path):
    line().save(tmp_path)
    text = (tmp_path / "line.pdf").read_bytes()
    assert b"/Type0" in text and b"/Type3" not in text


def test_maps_have_the_colours_of_their_scale():
    values = np.array([[0.0, 0.1, 0.2, 0.9]])
    tile = map_tile(values, 0.2, "A map.")
    assert (tile.width, tile.height) == (320, 80), "a small crop is enlarged"
    content = base64.b64decode(tile.uri.partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) / 255
    expected = colormaps["magma"]([0.0, 128 / 255, 1.0, 1.0])[:, :3]
    np.testing.assert_allclose(shown[0], expected, atol=0.003)


def test_crops_of_a_grid_are_of_two_losses_at_one_weight():
    def recipe(family, share):
        setting = Setting(family.upper(), {"share": share}, is_weight=True)
        return SimpleNamespace(name=f"{family} share={share}", family=family, settings=(setting,))

    recipes = [recipe(family, share) for family in ("vgg", "evgg") for share in (0.1, 0.3)]
    plan = SimpleNamespace(
        recipes=recipes,
        reference=recipes[1],
        challengers=[recipes[0], *recipes[2:]],
        settings=SimpleNamespace(expected=[]),
    )
    assert focus(SimpleNamespace(plan=plan)) == ("evgg share=0.3", "vgg share=0.3")
    plan.recipes = recipes[:2]  # one loss alone
    assert focus(SimpleNamespace(plan=plan)) == ("vgg share=0.1", "vgg share=0.3")


@pytest.mark.parametrize("count", [2, 12])
def test_many_names_leave_room_for_the_lines(count):
    figure, axis = new_figure(2.8)
    for number in range(count):
        axis.plot([0, 1], [number, number], label=f"a recipe of a long name {number}")
    legend_above(figure, axis)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's, when it finds no room
        assert Drawing("curve", "lines", figure).svg
    assert axis.get_position().height * figure.get_figheight() > 1.2
