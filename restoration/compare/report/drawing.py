"""Drawings: inline SVG that takes its colours from the page, and SVG and PDF files for papers.

matplotlib draws with the colours of the light page; inline they become CSS variables, so that they
suit light and dark.
"""

import html
import io
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1c2127", "#57606b", "#aab2bc"
SERIES = (
    "#0b5cad", "#b45309", "#18794e", "#8a3ffc", "#a3195b", "#4a5560", "#0e7c86", "#7a5c00",
)  # fmt: skip
VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", FAINT: "var(--faint)"} | {
    colour: f"var(--series-{k})" for k, colour in enumerate(SERIES)
}
MARKERS = "osD^vPX*"
WIDTH = 5.0  # inches; 360 CSS pixels
TEXT = 12.5  # points, shown as at least as many CSS pixels
LETTER, LEGEND_GAP = 0.6, 7  # width of a letter in its height; letters beside a name of a legend
LEGEND_ROW = 1.5  # height of a row of a legend in that of its letters
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # "$" is a letter of a name
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
    "font.size": TEXT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "legend.fontsize": TEXT,
}


@dataclass(frozen=True)
class Drawing:
    """A figure of the report.

    Attributes:
        name: unique within the report: of its files, and of the ids inside.
        alt: text for those who cannot see it.
        figure: drawn in the colours of the light page.
    """

    name: str
    alt: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """The figure as an SVG file, in colours of its own."""
        buffer = io.StringIO()
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": self.name}):
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        self.figure.set_layout_engine("none")  # it is laid out; the PDF need not do it again
        return buffer.getvalue()

    def __html__(self) -> str:
        """Inline SVG, for templates."""
        return inline(self.svg, self.alt, self.name)

    def save(self, folder: Path) -> None:
        """Write <name>.svg and <name>.pdf."""
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8")
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(folder / f"{self.name}.pdf", metadata={"CreationDate": None})


def inline(svg: str, alt: str, salt: str) -> str:
    """Turn an SVG file into an element of the page, in the colours of the page.

    Args:
        svg: drawn in the colours of the light page.
        alt: text for those who cannot see it.
        salt: unique within the page, for the ids of clip paths and markers.

    Returns:
        An <svg> element without links, metadata or fonts of its own.
    """
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    for name in set(re.findall(r'id="([^"]+)"', text)):  # ids are of the page, not of the figure
        text = re.sub(rf'(id="|#){re.escape(name)}(?=[")])', rf"\g<1>{salt}-{name}", text)
    label = html.escape(alt, quote=True)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def new_figure(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Make a figure with one axis, sizes in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axis = figure.add_subplot()
    return figure, axis


def legend_above(figure: Figure, axis: Axes) -> None:
    """Name the lines of an axis above it, in as many columns as fit; more rows need more height."""
    handles, labels = axis.get_legend_handles_labels()
    if labels:
        letters = LEGEND_GAP + max(map(len, labels))
        columns = max(1, int(figure.get_figwidth() * 72 / (LETTER * TEXT * letters)))
        rows = -(-len(labels) // columns)
        figure.set_figheight(figure.get_figheight() + (rows - 1) * LEGEND_ROW * TEXT / 72)
        figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def safe_name(*parts: str) -> str:
    """Join texts to a name of files and ids."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part) for part in parts)
