"""F7: how the mass divides over charged, mixed and discharged pixels, by size of the particles and by cycle."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stxmdist.arrays import F64, Mask
from stxmdist.heterogeneity.electrodes import mass_of
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import HATCHES, Absent, Picture, blank, grid_of_axes
from stxmdist.report.distributions import analysed
from stxmdist.report.evidence import Evidence

PHASES = (
    ("f_discharged", "discharged", "#440154"),
    ("f_mixed", "mixed", "#21908C"),
    ("f_charged", "charged", "#FDE725"),
)
"""Column, word and colour of each phase, the colours of the scale of states of charge"""
MOST_BINS = 6
LEAST_IN_BIN = 8
"""Particles: fewer say nothing of their size"""


def phases(evidence: Evidence) -> Picture | Absent:
    """Stacked bars of the three phases over bins of equal numbers of particles by diameter, and over cycles."""
    title = "Phases by size and cycle"
    table = analysed(evidence)
    if len(table):
        table = table[np.isfinite(column(table, "f_mixed")) & np.isfinite(column(table, "d_eq_um"))]
    if not len(table):
        return Absent("F7", title, evidence.unless_inferred("No particle has phases: its pixels are too noisy or few."))
    figure = blank(7.6, 3.1)
    ((left, right),) = grid_of_axes(figure, 1, 2)
    n_bins = int(np.clip(len(table) // LEAST_IN_BIN, 1, MOST_BINS))
    d_um = column(table, "d_eq_um")
    edges = np.quantile(d_um, np.linspace(0.0, 1.0, n_bins + 1))
    bins = np.clip(np.searchsorted(edges, d_um, side="right") - 1, 0, n_bins - 1)
    _bars(left, table, [bins == i for i in range(n_bins)], [f"{a:.2g}–{b:.2g}" for a, b in pairwise(edges)])
    left.set(xlabel="equivalent diameter (µm)", ylabel="share of mass")
    cycle = column(table, "cycle")
    known = sorted(set(cycle[np.isfinite(cycle)].tolist()))
    if known:
        _bars(right, table, [cycle == one for one in known], [f"{one:g}" for one in known])
        right.set(xlabel="cycle")
    else:
        electrode = words(table, "electrode_id")
        names = sorted(set(electrode.tolist()))
        _bars(right, table, [electrode == one for one in names], names)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return Picture(
        "F7-phases",
        title,
        "Share of the mass of whole wide-field particles in pixels that are charged, mixed and discharged, all "
        "electrodes together; the number of particles stands above each bar. Pixels that a phase boundary crosses look "
        "mixed, the more the blunter the microscope: compare bars with one another, not with zero.",
        f"Stacked bars of three phases over {n_bins} bins of diameter and over cycles, {len(table)} particles.",
        figure,
        ("particles",),
    )


def _bars(axes: Axes, table: pd.DataFrame, groups: list[Mask], names: list[str]) -> None:
    """One bar for each group of particles, weighted by mass."""
    mass = np.nan_to_num(mass_of(table))
    at = np.arange(len(groups))
    below: F64 = np.zeros(len(groups))
    for place, (name, word, colour) in enumerate(PHASES):
        values = column(table, name)
        share = np.array([_mean(values[here], mass[here]) for here in groups])
        axes.bar(
            at, share, bottom=below, color=colour, edgecolor="white", lw=0.4, width=0.8, label=word,
            hatch=HATCHES[place], alpha=0.9,
        )  # fmt: skip
        below = below + np.nan_to_num(share)
    for place, here in enumerate(groups):
        axes.annotate(f"{int(here.sum())}", (place, 1.01), ha="center", va="bottom", fontsize=7)
    axes.set_xticks(at, names, rotation=30 if max(map(len, names)) > 5 else 0, ha="center")
    axes.set_ylim(0.0, 1.08)


def _mean(values: F64, weights: F64) -> float:
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else float("nan")
