"""What changes from energy to energy: the incident beam, and how far frames were moved."""

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Span
from bokeh.plotting import figure

from stxmdist.arrays import F64
from stxmdist.dashboard.figures.plot import COLOURS, DASHES, MARK, energy_line, legend, plot

X = "photon energy (eV)"


def beam_figure(energy_ev: F64, i0_counts: F64, i0_se: F64, now_ev: float) -> figure:
    """Incident counts over energy, with two standard errors."""
    top = 1.12 * float(np.nanmax(i0_counts, initial=1e-9))
    drawn = plot(X, "incident counts per pixel", height=190, y_range=(0.0, top))
    drawn.varea(energy_ev, i0_counts - 2 * i0_se, i0_counts + 2 * i0_se, color=COLOURS[4], alpha=0.4)
    _line(drawn, energy_ev, i0_counts, COLOURS[0], DASHES[0], "I0")
    return energy_line(drawn, now_ev)


def drift_figure(energy_ev: F64, shift_nm: F64, limit_nm: float, now_ev: float) -> figure:
    """How far each frame (ENERGY, 2) was moved along y and x; the limit is drawn where a shift comes near it."""
    drawn = plot(X, "moved by (nm)", height=190)
    for axis, name in enumerate(("y", "x")):
        _line(drawn, energy_ev, shift_nm[:, axis], COLOURS[axis], DASHES[axis], name, named=True)
    if np.isfinite(limit_nm) and np.nanmax(np.abs(shift_nm), initial=0.0) > 0.5 * limit_nm:
        for at in (-limit_nm, limit_nm):
            drawn.add_layout(Span(location=at, dimension="width", line_color=MARK, line_dash="dashed"))
    legend(drawn)
    return energy_line(drawn, now_ev)


def _line(drawn: figure, x: F64, y: F64, colour: str, dash: str, name: str, *, named: bool = False) -> None:
    source = ColumnDataSource({"x": x, "y": y})
    label = {"legend_label": name} if named else {}
    drawn.line("x", "y", source=source, color=colour, line_dash=dash, line_width=1.5, **label)
    points = drawn.scatter("x", "y", source=source, color=colour, size=4, marker="circle", **label)
    drawn.add_tools(HoverTool(renderers=[points], tooltips=[("energy", "@x{0.00} eV"), (name, "@y{0.0}")]))
