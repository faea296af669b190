"""What is proposed: energies on the spectra of both end states, and designs against the time that is left."""

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Span
from bokeh.plotting import figure

from stxmdist.arrays import F64
from stxmdist.dashboard.figures.plot import COLOURS, DASHES, INK, MARK, legend, plot
from stxmdist.spectra.end_members.references import EndMembers

MARGIN_EV = 4.0


def energies_figure(members: EndMembers, thickness_nm: float, energy_ev: F64, share: F64) -> figure:
    """Optical density of both end states at a thickness, and the proposed energies as bars as high as their share."""
    low = max(float(members.energy_ev[0]), float(energy_ev.min()) - MARGIN_EV)
    high = min(float(members.energy_ev[-1]), float(energy_ev.max()) + MARGIN_EV)
    grid = np.linspace(low, high, 400)
    od = members.at(grid) * (thickness_nm if members.thickness_unit == "nm" else 1.0)
    top = 1.08 * float(od.max())
    drawn = plot("photon energy (eV)", "optical density", y_range=(0.0, top))
    source = ColumnDataSource({"x": energy_ev, "top": top * share / share.max() * 0.9, "share": 100.0 * share})
    bars = drawn.vbar("x", top="top", source=source, width=0.12, color=MARK, alpha=0.55, legend_label="share of light")
    drawn.add_tools(HoverTool(renderers=[bars], tooltips=[("energy", "@x{0.0} eV"), ("share", "@share{0} %")]))
    for name, values, colour, dash in zip(members.names, od, COLOURS, DASHES, strict=False):
        drawn.line(grid, values, color=colour, line_dash=dash, line_width=1.8, legend_label=name)
    return legend(drawn)


def shift_figure(cases: Sequence[tuple[str, Sequence[int], Sequence[float]]], wanted: float) -> figure:
    """Half-width that the time which is left gives, over the number of electrodes; the wanted one as a line."""
    widths = [width for _, _, found in cases for width in found if np.isfinite(width)]
    top = 1.1 * max([2.0 * wanted, *sorted(widths)[: max(1, len(widths) - 1)]])
    drawn = plot("electrodes", "half-width of the 95 % interval", y_range=(0.0, top))
    drawn.xaxis[0].ticker.min_interval = 1
    for (name, electrodes, found), colour, dash in zip(cases, COLOURS, DASHES, strict=False):
        source = ColumnDataSource({"x": electrodes, "y": found})
        drawn.line("x", "y", source=source, color=colour, line_dash=dash, line_width=1.5, legend_label=name)
        points = drawn.scatter("x", "y", source=source, color=colour, size=6, legend_label=name)
        drawn.add_tools(HoverTool(renderers=[points], tooltips=[("electrodes", "@x"), ("half-width", "@y{0.000}")]))
    drawn.add_layout(Span(location=wanted, dimension="width", line_color=INK, line_dash="dashed", line_width=1))
    return legend(drawn)
