"""How every figure is drawn: the same type, colours and markers on any machine, and the same bytes every time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure

RC = {
    # Comes with matplotlib, which looks at its own fonts first.
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Text stays text: it can be searched, and set again in the type of a journal.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # Otherwise the identifiers in an SVG are drawn at random.
    "svg.hashsalt": "stxmdist",
}

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C6D1F")
"""Okabe and Ito's, distinguishable with any colour vision; markers and dashes repeat what they say."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ("-", "--", "-.", ":")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx")

INK = "#222222"
PALE = "#e4e4e4"
"""No particle here."""
MASKED = "#b4b4b4"
"""Something is here, but its number is not to be trusted; hatched as well."""

PRINT_DPI = 300
"""Of figures that are printed"""
FONT, FONTS = b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif"
"""Machines without the type of the figures have one of nearly the same widths"""

MARKS_IN_SVG = 3000
"""More points than this are drawn as pixels inside an SVG."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn figure with its caption, and with words for readers who do not see it."""

    name: str
    """File name without ending, such as ``F5-state-of-charge``."""
    title: str
    caption: str
    alt: str
    """What it shows, for those who do not see it."""
    image: Figure | bytes
    """What is printed in every format; a film is PNG, and that alone"""
    tables: tuple[str, ...] = ()
    """Tables of the campaign that hold the numbers."""
    dpi: int = 110
    """Of images in the SVG that the page shows; those in other files have 300"""
    data: pd.DataFrame | None = None
    """Its numbers, where they are not to be seen in the figure itself"""


@dataclass(frozen=True)
class Absent:
    """A figure that cannot be drawn, and why."""

    name: str
    title: str
    why: str


@dataclass(frozen=True)
class Style:
    """How one electrode (or condition) is drawn, everywhere alike."""

    colour: str
    marker: str
    dash: str


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name, in the order given; colour, marker and dash together repeat only after 280 names."""
    return {
        name: Style(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[(i + i // 8) % len(DASHES)])
        for i, name in enumerate(names)
    }


@contextmanager
def drawing() -> Iterator[None]:
    """Draw by matplotlib's defaults and ours, whatever the machine's own settings are; they come back afterwards."""
    own = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in own}
    # matplotlib types the settings by the names of all of them.
    settings: dict[Any, Any] = {**defaults, **RC}
    with matplotlib.rc_context(settings):
        yield


def blank(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    return Figure(figsize=(width, height), layout="constrained")


def grid_of_axes(figure: FigureBase, rows: int, columns: int) -> list[list[Axes]]:
    """Empty panels, row after row."""
    panels: list[list[Axes]] = figure.subplots(rows, columns, squeeze=False).tolist()
    return panels


def bands_of(figure: FigureBase, heights: Sequence[float]) -> list[SubFigure]:
    """Parts of a figure, one under the other, of these relative heights."""
    bands: list[SubFigure] = np.ravel(
        figure.subfigures(len(heights), 1, squeeze=False, height_ratios=list(heights))
    ).tolist()
    return bands


def as_svg(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as SVG, images in it at ``dpi``, without date, creator or what else changes from run to run."""
    out = BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, dpi=dpi)
    return out.getvalue().replace(FONT, FONTS)


def as_pdf(figure: Figure, dpi: int = PRINT_DPI) -> bytes:
    """The figure as PDF with its type inside, images in it at ``dpi``, without what changes from run to run."""
    out = BytesIO()
    figure.savefig(out, format="pdf", dpi=dpi, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return out.getvalue()


def as_png(figure: Figure, dpi: int = 100, *, optimize: bool = True) -> bytes:
    """The figure as PNG without anything that changes from run to run; not to ``optimize`` saves half of the time."""
    out = BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs={"optimize": optimize})
    return out.getvalue()
