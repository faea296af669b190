"""F5: states of charge of all particles by electrode and cycle beside coulometry; and how they change over cycles."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stxmdist.arrays import F64, Mask
from stxmdist.heterogeneity.electrodes import mass_of
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import COLOURS, INK, Absent, Picture, Style, blank, grid_of_axes, styles_of
from stxmdist.report.evidence import Evidence, not_drawn

MOST_GROUPS = 36


def states_of_charge(evidence: Evidence) -> Picture | Absent:
    """One line per electrode and condition: every particle, their density by mass, the mean and its interval."""
    title = "State of charge of particles"
    table = analysed(evidence)
    if not len(table):
        return Absent("F5", title, evidence.unless_inferred("No particle has a state of charge."))
    electrodes = evidence.table("electrodes")
    groups = _groups(table)
    shown = groups[:MOST_GROUPS]
    values = column(table, "soc_mean")
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    low, high = min(-0.05, low - 0.03), max(1.05, high + 0.03)
    figure = blank(7.6, 0.9 + 0.62 * len(shown))
    axes = figure.subplots()
    styles = styles_of(sorted(set(words(table, "electrode_id"))))
    labels = []
    for line, (electrode, cycle, here) in enumerate(shown):
        mass = np.nan_to_num(mass_of(table[here]))
        labels.append(f"{electrode}, cycle {cycle:g}" if np.isfinite(cycle) else electrode)
        _one(axes, line, values[here], mass, styles[electrode], (low, high), labels[-1])
        _summary(axes, line, electrodes, electrode, cycle)
    axes.set_yticks(
        range(len(shown)),
        [f"{text}\n{int(group[2].sum())} particles" for text, group in zip(labels, shown, strict=True)],
    )
    axes.set_ylim(len(shown) - 0.45, -0.75)
    axes.set_xlim(low, high)
    axes.axvspan(low, 0.0, color="#f0f0f0", lw=0, zorder=0)
    axes.axvspan(1.0, high, color="#f0f0f0", lw=0, zorder=0)
    axes.set_xlabel("state of charge (0 discharged, 1 charged; not clipped)")
    handles = [
        axes.plot([], [], "-", color=INK, lw=2.2, label="mean by mass, 95 % interval")[0],
        axes.plot([], [], marker="|", ms=11, mew=1.8, ls="", color=COLOURS[1], label="coulometry")[0],
    ]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return Picture(
        "F5-state-of-charge",
        title,
        "Every point is a wide-field particle. The shape above the points is the density of the particles, weighted by "
        "mass; the black circle is the mean by mass with its 95 % interval, and the upright bar the state of charge "
        "by coulometry. The grey areas lie outside the end-members: only measurement errors put a particle there."
        + not_drawn(groups, shown, "electrode and cycle", "electrodes and cycles"),
        f"Distributions of the state of charge of {len(values)} particles in {len(shown)} electrodes and cycles, "
        "each with its mean, interval and coulometric value.",
        figure,
        ("particles", "electrodes"),
    )


def analysed(evidence: Evidence) -> pd.DataFrame:
    """Wide-field particles with a state of charge that the field's edge does not cut."""
    table = evidence.table("particles")
    if not len(table):
        return table
    kept = (words(table, "modality") == "stxm") & np.isfinite(column(table, "soc_mean"))
    if "touches_border" in table.columns:
        kept &= ~(column(table, "touches_border") == 1.0)
    analysed_rows: pd.DataFrame = table[kept]
    return analysed_rows


def _groups(table: pd.DataFrame) -> list[tuple[str, float, Mask]]:
    electrode, cycle = words(table, "electrode_id"), column(table, "cycle")
    keys = sorted({(str(e), float(np.nan_to_num(c, nan=-1.0))) for e, c in zip(electrode, cycle, strict=True)})
    return [(e, c if c >= 0 else np.nan, (electrode == e) & (np.nan_to_num(cycle, nan=-1.0) == c)) for e, c in keys]


def _one(axes: Axes, line: int, values: F64, mass: F64, style: Style, span: tuple[float, float], name: str) -> None:
    colour, marker = style.colour, style.marker
    at = np.linspace(*span, 201)
    width = max(0.02, 0.9 * float(values.std()) * max(1, len(values)) ** -0.2)
    weight = mass / mass.sum() if mass.sum() > 0 else np.full(len(values), 1.0 / len(values))
    density = (weight[:, None] * np.exp(-0.5 * ((at - values[:, None]) / width) ** 2)).sum(axis=0)
    if density.max() > 0:
        axes.fill_between(
            at, line, line - 0.48 * density / density.max(), color=colour, alpha=0.35, lw=0, label=f"_{name}, density"
        )
    # Golden-ratio steps scatter the points evenly, and the same way every time.
    jitter = (np.arange(len(values)) * 0.618034) % 1.0
    axes.plot(
        values,
        line + 0.06 + 0.22 * jitter,
        ls="",
        marker=marker,
        ms=2.6,
        color=colour,
        alpha=0.75,
        mew=0,
        rasterized=len(values) > 1500,
        label=f"_{name}",
    )


def _summary(axes: Axes, line: int, electrodes: pd.DataFrame, electrode: str, cycle: float) -> None:
    here = electrodes[(words(electrodes, "electrode_id") == electrode) & _same(column(electrodes, "cycle"), cycle)]
    for mean, low, high, coulometric in zip(
        *(column(here, name) for name in ("soc_mean", "soc_ci_low", "soc_ci_high", "soc_coulometric")), strict=True
    ):
        if np.isfinite(low) and np.isfinite(high):
            axes.plot(
                [low, high], [line, line], color=INK, lw=2.2, solid_capstyle="butt", zorder=4, label="_95 % interval"
            )
        if np.isfinite(mean):
            axes.plot(mean, line, marker="o", ms=5, color="white", mec=INK, mew=1.3, zorder=5, label="_mean by mass")
        if np.isfinite(coulometric):
            axes.plot(
                coulometric, line - 0.05, marker="|", ms=15, mew=1.8, color=COLOURS[1], zorder=6, label="_coulometry"
            )


def _same(values: F64, wanted: float) -> Mask:
    return values == wanted if np.isfinite(wanted) else ~np.isfinite(values)


PANELS = tuple(figure for entry in METRICS.values() for figure in entry.figures)


def trends(evidence: Evidence) -> Picture | Absent:
    """Electrode means, spreads and active fractions over cycles, one line per electrode."""
    title = "Over cycles"
    table = evidence.table("electrodes")
    cycle = column(table, "cycle")
    known = np.isfinite(column(table, "soc_mean")) | np.isfinite(column(table, "active_fraction"))
    if not (known & np.isfinite(cycle)).any():
        return Absent("F12", title, evidence.unless_inferred("No electrode has particles and a known cycle."))
    names = sorted(set(words(table, "electrode_id")))
    styles = styles_of(names)
    figure = blank(7.6, 5.2)
    cells = [axes for line in grid_of_axes(figure, -(-len(PANELS) // 2), 2) for axes in line]
    for axes in cells[len(PANELS) :]:
        axes.axis("off")
    far = np.ptp(cycle[np.isfinite(cycle)]) or 1.0
    for axes, panel in zip(cells, PANELS, strict=False):
        for i, name in enumerate(names):
            here = np.flatnonzero(words(table, "electrode_id") == name)
            here = here[np.argsort(cycle[here], kind="stable")]
            # Beside one another, or intervals at one cycle hide each other.
            x = cycle[here] + far * 0.012 * (i - 0.5 * (len(names) - 1)) * min(1.0, 8.0 / len(names))
            y, style = column(table, panel.column)[here], styles[name]
            axes.plot(x, y, style.dash, marker=style.marker, color=style.colour, label=name)
            if panel.limits is not None:
                low, high = (column(table, limit)[here] for limit in panel.limits)
                axes.vlines(x, low, high, color=style.colour, lw=0.9, label=f"_{name}")
        axes.set(xlabel="cycle", ylabel=panel.meaning)
        if panel.column == "soc_mean":
            axes.plot([], [], " ")
    if len(names) <= 16:
        figure.legend(*cells[0].get_legend_handles_labels(), loc="outside upper center", ncols=min(8, len(names)))
    return Picture(
        "F12-cycles",
        title,
        "One line per electrode; upright lines are 95 % intervals. Standard deviations are free of measurement noise.",
        f"Four panels over cycle for {len(names)} electrodes: state of charge, spread between and within particles, "
        "and active fraction.",
        figure,
        ("electrodes",),
    )
