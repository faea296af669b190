"""F9: how charge changes from the rim to the middle of particles, beside what homogeneous twins would show."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stxmdist.arrays import F64
from stxmdist.particles.metrics.depth import KNOTS, PROFILE
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import COLOURS, INK, MARKS_IN_SVG, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence

MOST_LINES = 150
"""Particles of one modality whose own profile is drawn, taken evenly"""
LEAST_PARTICLES = 3


def profiles(evidence: Evidence) -> Picture | Absent:
    """State of charge over relative depth of all whole particles, their median, and the band of homogeneous twins."""
    title = "Radial profiles, beside homogeneous twins"
    table, bands = evidence.table("particles"), evidence.table("null_bands")
    if not len(table) or not set(PROFILE) <= set(table.columns) or f"{PROFILE[0]}_null_low" not in bands.columns:
        return Absent("F9", title, evidence.unless_inferred("No particle has a radial profile."))
    joined = table.merge(bands, on=["scan_id", "particle_id"], how="left")
    found = [part for name in ("stxm", "ptychography") if len(part := _whole(joined, name)) >= LEAST_PARTICLES]
    if not found:
        why = f"Fewer than {LEAST_PARTICLES} whole particles have a radial profile: small ones have no core."
        return Absent("F9", title, evidence.unless_inferred(why))
    figure = blank(7.6, 3.2)
    cells = grid_of_axes(figure, 1, len(found))[0]
    said = [_panel(axes, part) for axes, part in zip(cells, found, strict=True)]
    cells[0].set_ylabel("state of charge, less the particle's mean")
    handles, labels = cells[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=7.5)
    together = " ".join(said)
    return Picture(
        "F9-profiles",
        title,
        "State of charge over the depth below the rim, in shares of the particle's largest depth: a broken line that "
        "is fitted through the point spread function, less the particle's mean and less what its homogeneous twins "
        "show, which went through the same microscope, noise and fit. Thin: single particles, orange where a point "
        "lies beyond the band of their own twins. Thick: median over particles with its 95 % interval, electrodes not "
        "told apart; the axis shows 98 % of all points. Grey: between the mean ends of the bands in which 95 % of "
        "homogeneous particles lie. Particles of two phases side by side are among them. "
        f"{together}",
        f"Radial profiles with the band of homogeneous twins. {together}",
        figure,
        ("particles", "null_bands"),
    )


def _whole(joined: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Rows of one modality that the field's edge does not cut and whose profile and band are known."""
    named = [f"{name}{end}" for name in PROFILE for end in ("", "_null_low", "_null_high")]
    known = np.isfinite(np.stack([column(joined, name) for name in named])).all(axis=0)
    cut = column(joined, "touches_border") == 1.0
    rows: pd.DataFrame = joined.loc[known & ~cut & (words(joined, "modality") == modality)]
    return rows


def _of(part: pd.DataFrame, ending: str = "") -> F64:
    """(PARTICLE, KNOT)"""
    return np.stack([column(part, f"{name}{ending}") for name in PROFILE], axis=1)


def _panel(axes: Axes, part: pd.DataFrame) -> str:
    values, low, high = _of(part), _of(part, "_null_low"), _of(part, "_null_high")
    beyond = np.asarray(((values < low) | (values > high)).any(axis=1))
    modality = "wide field" if words(part, "modality")[0] == "stxm" else "ptychography"
    axes.fill_between(KNOTS, low.mean(axis=0), high.mean(axis=0), color="#c8c8c8", lw=0, label="95 % of twins")
    shown = np.unique(np.linspace(0, len(part) - 1, min(len(part), MOST_LINES)).round().astype(int))
    for which, colour, name in ((~beyond, INK, "as twins"), (beyond, COLOURS[1], "beyond")):
        _lines(axes, values[shown][which[shown]], colour, name)
    middle, ends = np.median(values, axis=0), _interval_of_median(values)
    away = np.abs(ends - middle)
    axes.errorbar(KNOTS, middle, away, color=COLOURS[0], lw=2.0, marker="o", ms=4, capsize=2, label="median", zorder=5)
    axes.axhline(0.0, color="#999999", lw=0.5)
    # The middle of a small particle is few pixels, and single ones lie far out.
    bottom, top = np.quantile(values, (0.01, 0.99))
    room = 0.1 * (top - bottom)
    axes.set(xlabel="depth (0 rim, 1 middle)", xlim=(-0.03, 1.03))
    axes.set_ylim(min(bottom, float(low.min())) - room, max(top, float(high.max())) + room)
    axes.set_title(f"{modality}, {len(part)} particles", fontsize=8.5)
    return (
        f"{modality.capitalize()}: {int(beyond.sum())} of {len(part)} have a point beyond their band; the median is "
        f"{middle[0]:+.3f} at the rim and {middle[-1]:+.3f} in the middle."
    )


def _interval_of_median(values: F64) -> F64:
    """95 % interval (2, KNOT) of the median of particles (PARTICLE, KNOT), whatever their distribution.

    Source: David, Nagaraja, Order Statistics (2003), 7.1: ranks n/2 -+ 1.96 sqrt(n)/2.
    """
    half = 0.98 / np.sqrt(len(values))
    return np.asarray(np.quantile(values, (max(0.0, 0.5 - half), min(1.0, 0.5 + half)), axis=0))


def _lines(axes: Axes, values: F64, colour: str, name: str) -> None:
    """Thin lines (LINE, KNOT) of one colour."""
    many = values.size > MARKS_IN_SVG
    for i, line in enumerate(values):
        label = name if i == 0 else f"_{name}"
        axes.plot(KNOTS, line, "-", color=colour, lw=0.5, alpha=0.35, label=label, rasterized=many)
