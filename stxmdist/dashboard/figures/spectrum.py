"""A spectrum with its error, its fit and what the fit is made of, above the residual on the same energies."""

import numpy as np
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, HoverTool, LayoutDOM, Whisker
from bokeh.plotting import figure

from stxmdist.arrays import F64
from stxmdist.dashboard.figures.plot import COLOURS, DASHES, INK, SOFT, energy_line, legend, plot
from stxmdist.dashboard.spectra import TERMS, Spectrum

RESIDUAL_HEIGHT = 120
MANY = 60
"""With more energies than this, points are small"""


def spectrum_figure(spectrum: Spectrum, energy_ev: float) -> LayoutDOM:
    """Measured (points with one standard error), fitted and its parts (lines); below, measured less fitted."""
    upper = plot("", "optical density", height=230)
    _points(upper, spectrum.energy_ev, spectrum.od, spectrum.se, INK)
    fit = spectrum.fit
    if fit is None:
        upper.xaxis[0].axis_label = "photon energy (eV)"
        return energy_line(upper, energy_ev)
    parts = zip(TERMS, fit.terms, COLOURS[1:], DASHES[1:], strict=False)
    for name, term, colour, dash in parts:
        if np.abs(term).max() > 0:
            upper.line(fit.energy_ev, term, color=colour, line_dash=dash, line_width=1.5, legend_label=name)
    upper.line(fit.energy_ev, fit.od, color=COLOURS[0], line_width=2, legend_label="fit")
    legend(upper)
    lower = plot("photon energy (eV)", "residual", height=RESIDUAL_HEIGHT, x_range=upper.x_range)
    lower.toolbar_location = None
    lower.yaxis[0].ticker.desired_num_ticks = 3
    lower.line(fit.energy_ev, np.zeros_like(fit.energy_ev), color=SOFT, line_width=1)
    _points(lower, fit.energy_ev, spectrum.residual, spectrum.residual_se, COLOURS[0])
    upper.xaxis[0].visible = False
    upper.min_border_bottom = 4
    energy_line(upper, energy_ev)
    energy_line(lower, energy_ev, "energy-below")
    lower.sizing_mode = "stretch_width"
    return column(upper, lower, sizing_mode="stretch_both", spacing=0)


def _points(drawn: figure, energy_ev: F64, values: F64, se: F64, colour: str) -> None:
    source = ColumnDataSource({"x": energy_ev, "y": values, "low": values - se, "high": values + se, "se": se})
    drawn.add_layout(
        Whisker(
            source=source,
            base="x",
            lower="low",
            upper="high",
            line_color=colour,
            line_alpha=0.6,
            upper_head=None,
            lower_head=None,
        )
    )
    points = drawn.scatter("x", "y", source=source, size=3 if len(energy_ev) > MANY else 5, color=colour)
    hover = HoverTool(renderers=[points], tooltips=[("energy", "@x{0.00} eV"), ("value", "@y{0.0000} ± @se{0.0000}")])
    drawn.add_tools(hover)
