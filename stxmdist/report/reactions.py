"""F13: how fast regions reacted that were seen at two times."""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from stxmdist.arrays import Real
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import COLOURS, INK, PRINT_DPI, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of, not_drawn
from stxmdist.report.maps import Map, draw_map, map_of, nice_length

MOST_REGIONS = 6
RATE_MAP = "RdBu_r"
NORMAL_95 = 1.96


@dataclass(frozen=True)
class _Reaction:
    title: str
    rate: Map
    soc: Real
    """(PARTICLE,) in the middle of both times"""
    per_h: Real
    """(PARTICLE,)"""
    per_h_se: Real
    """(PARTICLE,)"""


def reaction_maps(evidence: Evidence) -> Picture | Absent:
    """Rate of the change of state of charge in every pixel, and of every particle over its state of charge."""
    title = "Reaction between two times"
    scans = evidence.having("react")
    if not scans:
        return Absent(
            "F13",
            title,
            "No region was seen at two times: the sample sheet says when a scan was taken in the column time_h, and "
            "which scans show one place in region_id.",
        )
    shown = [each for scan in scans[:MOST_REGIONS] if (each := _reaction(evidence, scan.scan_id)) is not None]
    if not shown:
        return Absent("F13", title, "The maps of these regions are not published any more.")
    reach = max(float(np.nanquantile(np.abs(each.rate.values), 0.98)) for each in shown if each.rate.values.size)
    reach = reach if np.isfinite(reach) and reach > 0 else 1.0
    figure = blank(7.6, 0.5 + 2.6 * len(shown))
    for line, (left, right) in zip(shown, grid_of_axes(figure, len(shown), 2), strict=True):
        image = draw_map(left, line.rate, cmap=RATE_MAP, low=-reach, high=reach, bar_um=nice_length(line.rate.width_um))
        image.set_norm(TwoSlopeNorm(0.0, -reach, reach))
        left.set_title(line.title, fontsize=8.5)
        figure.colorbar(image, ax=left, shrink=0.85, extend="both", label="change of state of charge (1/h)")
        right.axhline(0.0, color="#999999", lw=0.6)
        reach_h = NORMAL_95 * line.per_h_se
        right.vlines(line.soc, line.per_h - reach_h, line.per_h + reach_h, color=COLOURS[0], lw=0.6, alpha=0.5)
        right.plot(line.soc, line.per_h, ls="", marker="o", ms=3.5, color=COLOURS[0], alpha=0.7, mew=0)
        right.set(xlabel="state of charge, middle of both times", ylabel="rate of the particle (1/h)")
        right.yaxis.label.set_color(INK)
    said = _said(evidence)
    return Picture(
        "F13-reaction",
        title,
        "Left: change of the state of charge of each pixel over the time between both scans, after they were brought "
        "over one another; pale grey means no particle. Right: each particle's rate over its state of charge in the "
        "middle of both times, with the 95 % interval of its own noise; errors that all particles of both scans "
        f"share are not in it.{said}{not_drawn(scans, shown, 'region', 'regions')}",
        f"Maps of the rate of reaction of {len(shown)} regions, and rates of their particles.{said}",
        figure,
        ("reactions", "reaction_rates"),
        dpi=PRINT_DPI,
    )


def _reaction(evidence: Evidence, scan_id: str) -> _Reaction | None:
    output = evidence.output("react", scan_id)
    if output is None:
        return None
    scan = next(scan for scan in evidence.scans if scan.scan_id == scan_id)
    rate = map_of(output.read("reaction_rate_per_h"), output, evidence.options.picture_px)
    table = evidence.table("reactions")
    table = table[words(table, "scan_id") == scan_id] if len(table) else table
    middle = 0.5 * (column(table, "soc_before") + column(table, "soc_after"))
    return _Reaction(label_of(scan), rate, middle, column(table, "rate_per_h"), column(table, "rate_se_per_h"))


def _said(evidence: Evidence) -> str:
    """What was found of autocatalysis, region by region."""
    table = evidence.table("reaction_rates")
    said = [
        f"{where}: {what}"
        for where, level, what in zip(
            words(table, "electrode_id"), words(table, "level"), words(table, "autocatalysis"), strict=True
        )
        if what and level == "electrode"
    ]
    return f" Over the state of charge, rates of {'; '.join(said)}." if said else ""
