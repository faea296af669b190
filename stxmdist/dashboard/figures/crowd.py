"""Figures of many particles: how states of charge are distributed, and how they depend on size."""

from collections.abc import Sequence

import numpy as np
from bokeh.models import BoxSelectTool, ColumnDataSource, FixedTicker, LassoSelectTool, Range1d
from bokeh.plotting import figure

from stxmdist.arrays import F64, I64, Mask
from stxmdist.dashboard.crowd import Shape, Trend
from stxmdist.dashboard.figures.plot import COLOURS, DASHES, INK, LINE, MARK, PANEL, SOFT, legend, plot

RIDGE = 0.85
"""Height of the highest bin, in distances of lines"""
OVER = 0.06
"""How far the axes go beyond 0 and 1: states of charge are not clipped"""


def ridges(edges: F64, counts: I64, names: Sequence[str], means: Sequence[tuple[float, float, float]]) -> figure:
    """One outline over the other, the first at the top; below each its mean with the interval.

    Parameters
    ----------
    edges
        (BIN + 1,) of the state of charge
    counts
        (GROUP, BIN) particles
    means
        of each group: mean, lower and upper end of its interval; NaN where not known
    """
    n = len(names)
    drawn = plot("state of charge", "", x_range=(-OVER, 1 + OVER), y_range=(-0.35, n + 0.1), tools="reset,save")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    height = RIDGE / max(float(shares.max(initial=0.0)), 1e-9)
    at = np.repeat(edges, 2)
    lines = np.arange(n - 1, -1, -1)
    tops = [
        np.concatenate([[0.0], np.repeat(share, 2), [0.0]]) * height + line
        for share, line in zip(shares, lines, strict=True)
    ]
    drawn.patches([at] * n, tops, fill_color=COLOURS[0], fill_alpha=0.35, line_color=COLOURS[0], line_width=1)
    mean, low, high = np.array(means, dtype=np.float64).reshape(-1, 3).T
    drawn.segment(low, lines - 0.1, high, lines - 0.1, line_color=INK, line_width=2)
    drawn.scatter(mean, lines - 0.1, size=6, marker="diamond", color=INK, line_color=PANEL)
    drawn.ygrid.visible = False
    drawn.xgrid.grid_line_color = LINE
    drawn.yaxis[0].ticker = FixedTicker(ticks=list(range(n)))
    drawn.yaxis[0].major_label_overrides = {n - 1 - i: name for i, name in enumerate(names)}
    drawn.yaxis[0].major_tick_line_color = None
    drawn.yaxis[0].axis_line_color = None
    return drawn


def sizes(d_eq_um: F64, soc: F64, chosen: Mask, found: Trend, shape: Shape | None) -> figure:
    """State of charge over diameter: points of which some are chosen, and quartiles of all as a band and a line."""
    drawn = plot("diameter (µm)", "state of charge", x_axis_type="log", tools="reset", output_backend="webgl")
    drawn.name = "choose"
    box, lasso = BoxSelectTool(), LassoSelectTool(continuous=False)
    box.continuous = False
    drawn.add_tools(box, lasso)
    drawn.toolbar.active_drag = box
    drawn.toolbar.autohide = False
    if len(soc):
        drawn.x_range = Range1d(float(d_eq_um.min()) / 1.1, float(d_eq_um.max()) * 1.1)
        margin = 0.05 * max(float(np.ptp(soc)), 0.1)
        drawn.y_range = Range1d(float(soc.min()) - margin, float(soc.max()) + margin)
    source = ColumnDataSource({"x": d_eq_um, "y": soc})
    source.selected.indices = [int(i) for i in np.flatnonzero(chosen)]
    drawn.scatter(
        "x", "y", source=source, size=5 if len(soc) < 1000 else 3, color=COLOURS[0], alpha=0.55, line_color=None,
        selection_color=COLOURS[1], selection_alpha=0.9, nonselection_color=SOFT, nonselection_alpha=0.3,
    )  # fmt: skip
    if len(found.x):
        drawn.varea(found.x, found.low, found.high, fill_color=INK, fill_alpha=0.1)
        drawn.line(found.x, found.middle, line_color=INK, line_width=2)
    if shape is not None:
        drawn.patch(list(shape.x), list(shape.y), fill_color=None, line_color=MARK, line_dash="dashed", line_width=1.5)
    return drawn


def spectra(lines: Sequence[tuple[str, F64, F64]]) -> figure:
    """Optical densities (name, energies in eV, values) over photon energy, told apart by dashes too."""
    drawn = plot("photon energy (eV)", "optical density, largest = 1", height=260)
    for i, (name, energy_ev, od) in enumerate(lines):
        style = {"color": COLOURS[i % len(COLOURS)], "line_dash": DASHES[i % len(DASHES)]}
        drawn.line(energy_ev, od, line_width=1.5, legend_label=name, **style)
    return legend(drawn) if lines else drawn
