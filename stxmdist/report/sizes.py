"""F8: whether small and large particles differ, and how large they are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from stxmdist.arrays import F64
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import (
    INK,
    MARKS_IN_SVG,
    Absent,
    Picture,
    bands_of,
    blank,
    grid_of_axes,
    styles_of,
)
from stxmdist.report.distributions import analysed
from stxmdist.report.evidence import Evidence


def sizes(evidence: Evidence) -> Picture | Absent:
    """State of charge and its spread over particle diameter, and the distribution of diameters."""
    title = "Size dependence"
    table = analysed(evidence)
    d = column(table, "d_eq_um") if len(table) else np.zeros(0)
    usable = np.isfinite(d) & (d > 0)
    sized = int(usable.sum())
    if len(table):
        usable &= np.array(["overlap" not in text for text in words(table, "flags")], bool)
    if not usable.any():
        why = "No whole particle has a size and a state of charge."
        if sized:
            why = f"All {sized} whole particles are flagged “overlap suspected”: no single plate explains their images."
        return Absent("F8", title, evidence.unless_inferred(why))
    table, d = table[usable], d[usable]
    names = sorted(set(words(table, "electrode_id")))
    styles = styles_of(names)
    electrode = words(table, "electrode_id")
    figure = blank(7.6, 5.4)
    upper, lower = bands_of(figure, (1.0, 1.0))
    ((left, right),) = grid_of_axes(upper, 1, 2)
    for axes, name, label in ((left, "soc_mean", "state of charge"), (right, "soc_sd", "SD within the particle")):
        y = column(table, name)
        for one in names:
            here, style = (electrode == one) & np.isfinite(y), styles[one]
            axes.plot(
                d[here],
                y[here],
                ls="",
                marker=style.marker,
                ms=3,
                mew=0,
                alpha=0.55,
                color=style.colour,
                rasterized=len(d) > MARKS_IN_SVG,
                label=f"_{one}",
            )
            line = _line(d[here], y[here])
            if line is not None:
                axes.plot(*line, style.dash, color=style.colour, lw=1.6, label=f"_{one}, line")
                axes.plot([], [], style.dash, marker=style.marker, color=style.colour, label=one)
        axes.set(xscale="log", xlabel="equivalent diameter (µm)", ylabel=label)
        _plain_ticks(axes, d)
    handles, labels = left.get_legend_handles_labels()
    if 0 < len(handles) <= 16:
        figure.legend(handles, labels, loc="outside upper center", ncols=min(8, len(handles)))
    fit = _distribution(lower.subplots(), d)
    return Picture(
        "F8-size",
        title,
        "Above: wide-field particles that lie whole in the field, with a straight line over the logarithm of diameter "
        "for each electrode (the slopes that are tested, which take the regions into account, are in table T2). Below: "
        "number of particles by diameter, the log-normal distribution of the same mean and spread of logarithms, and "
        f"the 10th, 50th and 90th percentiles. {fit}",
        f"State of charge and its spread over the diameter of {len(d)} particles with a line per electrode, and the "
        f"distribution of diameters. {fit}",
        figure,
        ("particles",),
    )


def _line(d: F64, y: F64) -> tuple[F64, F64] | None:
    """Least squares over the logarithm of diameter; None for fewer than three particles, or for one diameter."""
    if len(d) < 3 or np.ptp(d) <= 0:
        return None
    slope, intercept = np.polyfit(np.log(d), y, 1)
    ends = np.array([d.min(), d.max()])
    return ends, intercept + slope * np.log(ends)


def _plain_ticks(axes: Axes, d: F64) -> None:
    sizes_um = np.array([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
    inside = sizes_um[(sizes_um > 0.8 * d.min()) & (sizes_um < 1.25 * d.max())]
    if len(inside) >= 2:
        axes.set_xticks(inside, [f"{tick:g}" for tick in inside])
        # Small ones between them show that the axis is logarithmic.
        axes.xaxis.set_minor_formatter(NullFormatter())


def _distribution(axes: Axes, d: F64) -> str:
    """Draw the histogram with its log-normal; returns the latter in words."""
    n_bins = int(np.clip(2 * np.sqrt(len(d)), 6, 40))
    spread = max(1.02, d.max() / d.min())
    edges = d.min() / spread**0.02 * (spread**1.04) ** (np.arange(n_bins + 1) / n_bins)
    axes.hist(d, edges, color="#b8cbe0", edgecolor="white", linewidth=0.5)
    axes.set(xscale="log", xlabel="equivalent diameter (µm)", ylabel="particles")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _plain_ticks(axes, d)
    mean, sd = float(np.log(d).mean()), float(np.log(d).std(ddof=1)) if len(d) > 1 else 0.0
    if sd > 0:
        at = np.geomspace(edges[0], edges[-1], 200)
        step = np.log(edges[1] / edges[0])
        count = len(d) * step * np.exp(-0.5 * ((np.log(at) - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        axes.plot(at, count, color=INK, lw=1.2, label="log-normal")
    percentiles = np.quantile(d, (0.1, 0.5, 0.9))
    for value, name in zip(percentiles, ("D10", "D50", "D90"), strict=True):
        axes.axvline(value, color=INK, lw=0.8, ls="--")
        axes.annotate(
            f"{name} {value:.2g}",
            (value, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            va="top",
            fontsize=7.5,
        )
    if sd > 0:
        axes.legend(loc="center right")
    d10, d50, d90 = percentiles
    said = f"D10, D50, D90 are {d10:.2f}, {d50:.2f}, {d90:.2f} µm"
    return f"{said}; geometric standard deviation {np.exp(sd):.2f}." if sd > 0 else f"{said}."
