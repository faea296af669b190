"""How a ptychography scan was reconstructed: errors, ring correlation, and where the beam stood."""

import numpy as np
from bokeh.models import Span
from bokeh.plotting import figure

from stxmdist.arrays import F64, Real
from stxmdist.dashboard.figures.plot import COLOURS, DASHES, SOFT, legend, plot

MOST_CURVES = 12
MOST_POSITIONS = 3000


def error_figure(energy_ev: F64, error: Real, noise: F64) -> figure:
    """Amplitude residual (ENERGY, TILE, ITERATION), the median over tiles, and what noise alone would leave."""
    drawn = plot("iteration", "amplitude residual", height=220)
    with np.errstate(all="ignore"):
        curves = np.array([[_median(step) for step in one.T] for one in error])
    _curves(drawn, energy_ev, np.arange(1, error.shape[-1] + 1, dtype=float), curves)
    if np.isfinite(noise).any():
        drawn.add_layout(
            Span(location=float(np.nanmedian(noise)), dimension="width", line_color=SOFT, line_dash="dashed")
        )
    drawn.y_range.start = 0.0
    return legend(drawn)


def ring_figure(energy_ev: F64, frc: Real, pixel_nm: float, half_period_nm: float) -> figure:
    """Fourier ring correlation (ENERGY, TILE, FREQUENCY) over spatial frequency, the median over tiles."""
    drawn = plot("spatial frequency (1/µm)", "ring correlation", height=220, y_range=(-0.1, 1.05))
    with np.errstate(all="ignore"):
        curves = np.array([[_median(ring) for ring in one.T] for one in frc])
    filled = np.flatnonzero(np.isfinite(curves).any(axis=0))
    # The last ring that holds a number lies at half a cycle per pixel.
    n = int(filled[-1]) + 1 if filled.size else curves.shape[1]
    frequency = np.arange(curves.shape[1]) * 0.5 / max(1, n) / pixel_nm * 1e3
    _curves(drawn, energy_ev, frequency, curves)
    if np.isfinite(half_period_nm) and half_period_nm > 0:
        drawn.add_layout(Span(location=0.5e3 / half_period_nm, dimension="height", line_color=SOFT, line_dash="dashed"))
    return legend(drawn)


def position_figure(start_px: F64, refined_px: F64, pixel_nm: float) -> figure:
    """Where the file and where the refinement has the beam, (POSITION, 2) as (row, column), in um."""
    step = max(1, len(start_px) // MOST_POSITIONS)
    from_um, to_um = (1e-3 * pixel_nm * positions[::step] for positions in (start_px, refined_px))
    drawn = plot("x in the tile (µm)", "y in the tile (µm)", height=260, tools="pan,wheel_zoom,box_zoom,reset")
    drawn.match_aspect = True
    drawn.scatter(from_um[:, 1], from_um[:, 0], size=5, fill_color=None, line_color=SOFT, legend_label="in the file")
    drawn.scatter(to_um[:, 1], to_um[:, 0], size=2, color=COLOURS[1], legend_label="refined")
    return legend(drawn)


def dose_figure(energy_ev: F64, dose_mgy: F64) -> figure:
    """Absorbed dose of each energy, MGy."""
    drawn = plot("photon energy (eV)", "dose (MGy)", height=220)
    drawn.line(energy_ev, dose_mgy, color=COLOURS[0], line_width=1.5)
    drawn.scatter(energy_ev, dose_mgy, color=COLOURS[0], size=5)
    drawn.y_range.start = 0.0
    return drawn


def _curves(drawn: figure, energy_ev: F64, x: F64, curves: F64) -> None:
    step = max(1, -(-len(curves) // MOST_CURVES))
    for i in range(0, len(curves), step):
        colour, dash = COLOURS[(i // step) % len(COLOURS)], DASHES[(i // step) % len(DASHES)]
        known = np.isfinite(curves[i])
        label = f"{energy_ev[i]:.1f} eV"
        drawn.line(x[known], curves[i][known], color=colour, line_dash=dash, line_width=1.4, legend_label=label)


def _median(values: Real) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
