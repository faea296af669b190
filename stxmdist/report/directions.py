"""F10: over what distance charge is alike inside particles, and along which axis it changes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stxmdist.arrays import F64
from stxmdist.heterogeneity.analyses.boundary_axes import LEAST_COHERENCE
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import COLOURS, Absent, Picture, blank
from stxmdist.report.evidence import Evidence

SECTORS = 12
"""Of the half circle"""


def directions(evidence: Evidence) -> Picture | Absent:
    """Lengths over which charge is correlated; roses of the gradients' axes, and of their angle to the long axis."""
    title = "Lengths and directions inside particles"
    table = evidence.table("particles")
    lengths, axis = column(table, "soc_correlation_nm"), column(table, "boundary_normal_deg")
    shared = column(table, "boundary_coherence") >= LEAST_COHERENCE
    if not (np.isfinite(lengths).any() or (np.isfinite(axis) & shared).any()):
        return Absent("F10", title, evidence.unless_inferred("No particle has a correlation length or a direction."))
    figure = blank(7.6, 3.1)
    left = figure.add_subplot(1, 3, 1)
    middle, right = (figure.add_subplot(1, 3, place, projection="polar") for place in (2, 3))
    _lengths(left, table, lengths)
    _rose(middle, axis[shared], 180.0)
    middle.set_title("axis of the gradient", fontsize=8.5)
    _rose(right, column(table, "boundary_to_long_axis_deg")[shared], 90.0)
    right.set_title("angle to the long axis", fontsize=8.5)
    n = int((np.isfinite(axis) & shared).sum())
    resultant = _axial_resultant(axis[np.isfinite(axis) & shared])
    return Picture(
        "F10-directions",
        title,
        "Left: distance over which the state of charge inside a particle is correlated, blur taken off. Roses: axes "
        f"along which charge changes most in the {n} particles whose gradients share one, in the image and against the "
        "particle's long axis; equal areas of equal numbers. The length of their mean vector of doubled angles is "
        f"{resultant:.2f} (0: no direction is preferred, 1: all are parallel). In a preparation without texture only "
        "the right rose may prefer a direction.",
        f"Correlation lengths of {int(np.isfinite(lengths).sum())} particles, and roses of {n} axes.",
        figure,
        ("particles",),
    )


def _lengths(axes: Axes, table: pd.DataFrame, lengths: F64) -> None:
    """Histograms of the lengths by modality."""
    known = lengths[np.isfinite(lengths) & (lengths > 0)]
    axes.set(xlabel="correlation length (nm)", ylabel="particles")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if not known.size:
        return
    top = float(np.quantile(known, 0.98))
    edges = np.linspace(0.0, max(top, 1.0), 16).tolist()
    modality = words(table, "modality")
    for place, name in enumerate(("stxm", "ptychography")):
        here = lengths[(modality == name) & np.isfinite(lengths)]
        if here.size:
            label = "wide field" if name == "stxm" else name
            axes.hist(np.minimum(here, edges[-1]), edges, histtype="step", color=COLOURS[place], label=label, lw=1.3)
    # Above the bars, which may be high anywhere.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0, handlelength=1.2)


def _rose(axes: Axes, angles_deg: F64, turn_deg: float) -> None:
    """Axes have no sign: angles of a half (or quarter) circle; areas, not radii, show numbers."""
    known = angles_deg[np.isfinite(angles_deg)]
    edges = np.linspace(0.0, turn_deg, SECTORS + 1 if turn_deg > 90.0 else SECTORS // 2 + 1)
    counts = np.histogram(np.mod(known, turn_deg) if turn_deg > 90.0 else known, edges)[0]
    middle, width = np.deg2rad(0.5 * (edges[1:] + edges[:-1])), np.deg2rad(edges[1] - edges[0])
    axes.bar(middle, np.sqrt(counts), width=width, color=COLOURS[0], alpha=0.75, edgecolor="white", lw=0.5)
    axes.set_thetalim(0.0, np.deg2rad(turn_deg))  # type: ignore[attr-defined]
    axes.set_yticklabels([])
    axes.tick_params(labelsize=7)


def _axial_resultant(angles_deg: F64) -> float:
    """Length of the mean vector of doubled angles."""
    return float(np.abs(np.exp(2j * np.deg2rad(angles_deg)).mean())) if angles_deg.size else float("nan")
