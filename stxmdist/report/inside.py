"""F9: whether particles are charged from rim to core and to one side, beside what homogeneous twins would show."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from stxmdist.arrays import F64
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import COLOURS, INK, Absent, Picture, bands_of, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of
from stxmdist.report.gallery import soc_map
from stxmdist.report.maps import SOC_MAP, draw_map, nice_length

METRICS = (
    ("core_shell_index", "rim minus core"),
    ("soc_sd", "spread within the particle"),
    ("soc_one_sidedness", "one-sidedness"),
)
"""Columns of the particle table, and their words"""
NULLS = {"soc_sd": "soc_var_intra"}
"""Columns that are functions of another, whose null band they take"""
MOST_ARROWS = 150
FIELDS = 4.0
"""Inches of the two fields with arrows"""


def inside_particles(evidence: Evidence) -> Picture | Absent:
    """Each particle's value in order, the band of its twins behind it; and the gradients of one field as arrows."""
    title = "Inside particles, beside homogeneous twins"
    table, bands = evidence.table("particles"), evidence.table("null_bands")
    if not len(table) or not len(bands):
        return Absent("F9", title, evidence.unless_inferred("No particle was compared with homogeneous twins."))
    joined = table.merge(bands, on=["scan_id", "particle_id"], how="left")
    modalities = [m for m in ("stxm", "ptychography") if (words(joined, "modality") == m).any()]
    figure = blank(7.6, 2.1 * len(METRICS) + FIELDS)
    upper, lower = bands_of(figure, (2.1 * len(METRICS), FIELDS))
    cells = grid_of_axes(upper, len(METRICS), len(modalities))
    said = []
    for line, (name, label) in zip(cells, METRICS, strict=True):
        for axes, modality in zip(line, modalities, strict=True):
            here = joined[words(joined, "modality") == modality]
            beyond = _ordered(axes, here, name)
            axes.set_ylabel(label)
            said.append(f"{label}, {_named(modality)}: {beyond}")
    for axes, modality in zip(cells[0], modalities, strict=True):
        axes.set_title(_named(modality))
    for axes in cells[-1]:
        axes.set_xlabel("particles in order of the value")
    _arrows(lower, evidence, table)
    beyond_all = "; ".join(said)
    return Picture(
        "F9-inside",
        title,
        "Above: every particle's value, in order, with the band in which 95 % of its homogeneous twins lie behind it "
        "(grey, about the same zero): twins have its outline and thickness and one state of charge, and went through "
        "the same microscope, noise and fit. Of homogeneous particles one in twenty lies beyond its band. "
        f"Beyond theirs lie: {beyond_all}. Below: mean gradient of the state of charge of each particle of one field, "
        "as arrows towards the charged side.",
        f"Values of {len(METRICS)} metrics of all particles beside the bands of their homogeneous twins. {beyond_all}.",
        figure,
        ("particles", "null_bands"),
        dpi=200,
    )


def _named(modality: str) -> str:
    return "wide field" if modality == "stxm" else modality


def _band(here: pd.DataFrame, name: str) -> tuple[F64, F64]:
    """What twins show, in the unit of the column: standard deviations have the band of their variances."""
    source = NULLS.get(name, name)
    low, high = column(here, f"{source}_null_low"), column(here, f"{source}_null_high")
    if source != name:
        low, high = np.sqrt(np.maximum(low, 0.0)), np.sqrt(np.maximum(high, 0.0))
    return low, high


def _ordered(axes: Axes, here: pd.DataFrame, name: str) -> str:
    """Draw the values in order over their bands; how many lie beyond."""
    values = column(here, name)
    low, high = _band(here, name)
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(low) & np.isfinite(high))
    if not known.size:
        axes.text(0.5, 0.5, "not known", ha="center", va="center", transform=axes.transAxes, color="#777777")
        return "not known"
    order = known[np.argsort(values[known], kind="stable")]
    at = np.arange(order.size)
    axes.vlines(at, low[order], high[order], color="#c8c8c8", lw=max(0.4, min(3.0, 200.0 / order.size)), label="_twins")
    beyond = (values[order] < low[order]) | (values[order] > high[order])
    for which, colour, word in ((~beyond, INK, "_within its band"), (beyond, COLOURS[1], "_beyond its band")):
        axes.plot(at[which], values[order][which], ls="", marker=".", ms=3.5, mew=0, color=colour, label=word)
    axes.axhline(0.0, color="#999999", lw=0.5)
    return f"{int(beyond.sum())} of {order.size}"


def _arrows(part: SubFigure, evidence: Evidence, table: pd.DataFrame) -> None:
    """The field of each modality with most gradients."""
    for axes, modality in zip(part.subplots(1, 2).tolist(), ("stxm", "ptychography"), strict=True):
        here = table[(words(table, "modality") == modality)]
        here = here[np.isfinite(column(here, "soc_gradient_y_per_um"))]
        scans = words(here, "scan_id")
        if not len(here):
            axes.axis("off")
            continue
        names, counts = np.unique(scans, return_counts=True)
        scan_id = str(names[np.argmax(counts)])
        image = soc_map(evidence, scan_id, 2 * evidence.options.picture_px, particles_alone=True)
        if image is None:
            axes.axis("off")
            continue
        shown_map = draw_map(axes, image, cmap=SOC_MAP, low=0.0, high=1.0, bar_um=nice_length(image.width_um))
        shown = here[scans == scan_id].head(MOST_ARROWS)
        # Gradients count rows and columns; the map's axes may run downwards.
        signs = [1.0 if axis[-1] >= axis[0] else -1.0 for axis in (image.y_um, image.x_um)]
        axes.quiver(
            column(shown, "x_um"),
            column(shown, "y_um"),
            signs[1] * column(shown, "soc_gradient_x_per_um"),
            signs[0] * column(shown, "soc_gradient_y_per_um"),
            angles="xy",
            color="#D55E00",
            width=0.006,
            pivot="middle",
        )
        axes.set_title(label_of(next(scan for scan in evidence.scans if scan.scan_id == scan_id)), fontsize=8.5)
        part.colorbar(shown_map, ax=axes, orientation="horizontal", shrink=0.7, aspect=30, label="state of charge")
