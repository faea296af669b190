"""What all figures share: an empty plot in the page's own colours, and its form for a page."""

import json
from dataclasses import dataclass

from bokeh.embed import json_item
from bokeh.models import Span
from bokeh.plotting import figure

INK, SOFT, LINE, PANEL, MARK = "#010101", "#020202", "#030303", "#040404", "#050505"
"""Stand for the colours of the page, light or dark: its script puts those in their place"""
COLOURS = ("#0000c0", "#0000c1", "#0000c2", "#0000c3", "#0000c4", "#0000c5")
"""The same for series: Okabe and Ito's, in a shade that can be read on the page's ground"""
DASHES = ("solid", "dashed", "dotdash", "dotted", "dashdot", "solid")
"""Of series, so that colour is not all that tells them apart"""
FONT = "11px"


@dataclass(frozen=True)
class Drawn:
    """A figure as a template shows it."""

    caption: str
    words: str
    """What it shows, for who does not see it"""
    json: str
    """For BokehJS, safe inside a script element"""
    height: int = 220
    selects: str = ""
    """``part into key``: chosen points are shown by this part, in this element, under this name of the address"""


def plot(
    x: str, y: str, *, height: int = 220, tools: str = "xpan,xwheel_zoom,box_zoom,reset", **ranges: object
) -> figure:
    """An empty plot with names of its axes, which carry their units."""
    drawn = figure(
        height=height,
        sizing_mode="stretch_both",
        tools=tools,
        toolbar_location="above",
        background_fill_alpha=0.0,
        border_fill_alpha=0.0,
        outline_line_color=None,
        min_border_left=44,
        min_border_right=8,
        **ranges,
    )
    drawn.toolbar.logo = None
    drawn.toolbar.autohide = True
    drawn.toolbar_inner = True
    for axis, name in ((drawn.xaxis[0], x), (drawn.yaxis[0], y)):
        axis.axis_label = name
        axis.axis_label_text_font_size = axis.major_label_text_font_size = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = SOFT
        axis.axis_line_color = axis.major_tick_line_color = SOFT
        axis.minor_tick_line_color = None
        axis.axis_label_standoff = 4
    drawn.xgrid.grid_line_color = None
    drawn.ygrid.grid_line_color = LINE
    return drawn


def legend(drawn: figure) -> figure:
    """Name the series in a line above the plot, where they hide nothing."""
    for one in list(drawn.legend):
        one.orientation = "horizontal"
        one.background_fill_alpha = 0.0
        one.border_line_color = None
        one.label_text_color = SOFT
        one.label_text_font_size = FONT
        one.glyph_height = 12
        one.glyph_width = 18
        one.spacing = 10
        one.padding = one.margin = 0
        one.location = "right"
        one.ncols = 4 if len(one.items) > 4 else "auto"
        drawn.center.remove(one)
        drawn.add_layout(one, "above")
    return drawn


def energy_line(drawn: figure, energy_ev: float, name: str = "energy") -> figure:
    """A line at the energy that the page shows; its script moves it, under this name or that of ``energy-below``."""
    drawn.add_layout(
        Span(location=energy_ev, dimension="height", line_color=MARK, line_width=1, line_dash="dotted", name=name)
    )
    return drawn


def as_drawn(drawn: figure, caption: str, words: str, *, height: int = 220, selects: str = "") -> Drawn:
    """A figure for a page; ``words`` say what it shows to who does not see it."""
    text = json.dumps(json_item(drawn)).replace("</", "<\\/").replace("<!--", "<\\!--")
    return Drawn(caption, words, text, height, selects)
