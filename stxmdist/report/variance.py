"""F11: at which level of the design states of charge differ, and how sure that is; and the effects side by side."""

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure

from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import (
    COLOURS,
    HATCHES,
    INK,
    Absent,
    Picture,
    bands_of,
    blank,
    grid_of_axes,
    styles_of,
)
from stxmdist.report.endpoints import meaning_of, term_of, unit_in_words
from stxmdist.report.evidence import Evidence

COMPONENTS = ("electrode", "region", "particle", "intra", "noise")
MEANINGS = {
    "electrode": "between electrodes",
    "region": "between regions of an electrode",
    "particle": "between particles of a region",
    "intra": "within particles",
    "noise": "measurement noise",
}


def variance(evidence: Evidence) -> Picture | Absent:
    """Shares of variance as stacked bars, each share with its interval, and the intraclass correlation over cycles."""
    title = "Where the variance lies"
    table = evidence.table("variance")
    share = column(table, "share")
    if not len(table) or not np.isfinite(share).any():
        notes = "; ".join(dict.fromkeys(note for note in words(table, "note") if note))
        return Absent(
            "F11", title, evidence.unless_inferred(f"The variance could not be divided{': ' + notes if notes else ''}.")
        )
    endpoints = list(dict.fromkeys(words(table, "endpoint")))
    figure = blank(7.6, 1.4 + 2.3 * len(endpoints) + 2.1)
    rows = bands_of(figure, [*([3.4] * len(endpoints)), 2.1])
    for part, endpoint in zip(rows[:-1], endpoints, strict=True):
        _endpoint(part, table[words(table, "endpoint") == endpoint], endpoint)
    _icc(rows[-1], evidence)
    said = "; ".join(
        f"{MEANINGS.get(name, name)} {100 * value:.0f} %"
        for name, value in zip(words(table, "component"), share, strict=True)
        if np.isfinite(value)
    )
    reservations = dict.fromkeys(
        f"{c}: {n}" for c, n in zip(words(table, "component"), words(table, "note"), strict=True) if n
    )
    return Picture(
        "F11-variance",
        title,
        "The bar divides the variance of state of charge that is left after the means of the conditions are "
        "subtracted; the points below give each share with its 95 % interval. Measurement noise is what the "
        "measurement itself adds; it is subtracted from the other shares. Bottom: the intraclass correlation of each "
        "electrode, which is the share of the variance of pixels that lies between particles."
        + (f" Reservations: {'; '.join(reservations)}." if reservations else ""),
        f"Stacked bar of shares of variance with intervals: {said}.",
        figure,
        ("variance", "electrodes"),
    )


def _endpoint(part: SubFigure, table: pd.DataFrame, endpoint: str) -> None:
    bar, points = part.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 3]})
    left = 0.0
    for i, name in enumerate(COMPONENTS):
        here = words(table, "component") == name
        if not here.any():
            continue
        share, low, high = (float(column(table, key)[here][0]) for key in ("share", "ci_low", "ci_high"))
        colour = COLOURS[i]
        points.set_yticks([])
        if np.isfinite(share):
            bar.barh(
                0,
                share,
                left=left,
                color=colour,
                hatch=HATCHES[i],
                edgecolor="white",
                height=0.8,
                alpha=0.85,
                label=MEANINGS[name],
            )
            if share > 0.06:
                bar.text(
                    left + share / 2,
                    0,
                    f"{100 * share:.0f} %",
                    ha="center",
                    va="center",
                    fontsize=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
                )
            left += share
            points.plot(share, i, marker="o", color=colour, mec=INK, mew=0.6, label=MEANINGS[name])
        if np.isfinite(low) and np.isfinite(high):
            points.plot([low, high], [i, i], color=colour, lw=1.6, label=f"{MEANINGS[name]}, 95 % interval")
        if not np.isfinite(share):
            points.text(0.01, i, "not known", va="center", fontsize=7.5, color="#666666")
    bar.set(yticks=[], xlim=(0, 1))
    bar.set_title(meaning_of(endpoint))
    bar.spines["left"].set_visible(False)
    points.set_yticks(range(len(COMPONENTS)), [MEANINGS[name] for name in COMPONENTS])
    points.set_ylim(len(COMPONENTS) - 0.5, -0.5)
    points.set_xlabel("share of the variance")


def _icc(part: SubFigure, evidence: Evidence) -> None:
    axes = part.subplots()
    table = evidence.table("electrodes")
    cycle, icc, electrode = column(table, "cycle"), column(table, "icc"), words(table, "electrode_id")
    for name, style in styles_of(sorted(set(electrode))).items():
        here = np.flatnonzero((electrode == name) & np.isfinite(icc) & np.isfinite(cycle))
        here = here[np.argsort(cycle[here], kind="stable")]
        if len(here):
            axes.plot(cycle[here], icc[here], style.dash, marker=style.marker, color=style.colour, label=name)
    axes.set(
        ylim=(0, max(0.5, 1.1 * float(np.nanmax(icc, initial=0.0)))), xlabel="cycle", ylabel="intraclass\ncorrelation"
    )
    if axes.lines and len(axes.lines) <= 12:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    elif not axes.lines:
        axes.axis("off")
        axes.text(0, 0.5, "Intraclass correlation over cycles: not known.", transform=axes.transAxes, color="#666666")


def effects(evidence: Evidence) -> Picture | Absent:
    """Estimates of all effects with their intervals, one panel for each endpoint and term."""
    title = "Effects"
    table = evidence.table("effects")
    shown = np.isfinite(column(table, "estimate"))
    if not len(table) or not shown.any():
        notes = "; ".join(dict.fromkeys(note for note in words(table, "note") if note))
        return Absent(
            "F12", title, evidence.unless_inferred(f"No effect could be estimated{': ' + notes if notes else ''}.")
        )
    table = table[shown]
    pairs = list(dict.fromkeys(zip(words(table, "endpoint"), words(table, "term"), strict=True)))
    columns = min(2, len(pairs))
    lines = -(-len(pairs) // columns)
    figure = blank(7.6, 0.3 + 1.25 * lines)
    cells = [axes for line in grid_of_axes(figure, lines, columns) for axes in line]
    for axes in cells[len(pairs) :]:
        axes.axis("off")
    for axes, (endpoint, term) in zip(cells, pairs, strict=False):
        here = table[(words(table, "endpoint") == endpoint) & (words(table, "term") == term)]
        low, high, estimate = (column(here, name) for name in ("ci_low", "ci_high", "estimate"))
        axes.axvline(0, color="#888888", lw=0.7)
        methods = list(words(here, "method"))
        for i, (a, b, value, method) in enumerate(zip(low, high, estimate, methods, strict=True)):
            colour = COLOURS[2] if method == "mixed model" else COLOURS[0]
            axes.plot([a, b], [i, i], color=colour, lw=1.5, label=f"{method}, 95 % interval")
            axes.plot(value, i, marker="s" if method == "mixed model" else "o", color=colour, label=method)
        axes.set_yticks(range(len(here)), [METHODS.get(method, method) for method in methods], fontsize=7)
        axes.set_ylim(len(here) - 0.4, -0.6)
        unit = next((text for text in words(here, "unit") if text), "")
        axes.set_title(f"{meaning_of(endpoint)}\nby {term_of(term)}", fontsize=8)
        axes.set_xlabel(f"change ({unit_in_words(unit)})" if unit else "change", fontsize=7.5)
        axes.tick_params(axis="x", labelsize=7)
        axes.locator_params(axis="x", nbins=5)
    return Picture(
        "F12-effects",
        title,
        "Estimates, with their 95 % intervals where the method gives one; each panel has its own unit. Exact tests "
        "give a probability and no interval. The numbers are in table T2.",
        f"Forest plot of {len(table)} estimates of {len(pairs)} effects with their intervals.",
        figure,
        ("effects",),
    )


METHODS = {
    "t on electrode slopes": "slopes, t",
    "exact sign flip of electrode slopes": "slopes, exact",
    "t on electrode means": "means, t",
    "t on electrode slopes and means": "both, t",
    "exact permutation of electrode means": "means, exact",
    "mixed model": "mixed model",
}
