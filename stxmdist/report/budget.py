"""F11: what makes the error of a particle's state of charge, and of an electrode's, cause by cause."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.planning.columns import column
from stxmdist.report.canvas import COLOURS, HATCHES, Absent, Picture, blank, grid_of_axes
from stxmdist.report.distributions import analysed
from stxmdist.report.evidence import Evidence


@dataclass(frozen=True)
class _Cause:
    column: str
    words: str
    averages: bool
    """Whether more particles make it smaller"""


CAUSES = (
    _Cause("soc_se_stat", "counting", True),
    _Cause("soc_se_misfit", "what the end-members leave over", True),
    _Cause("soc_se_shift", "energy scale", False),
    _Cause("soc_se_leak", "leaking light", False),
    _Cause("soc_se_background", "background beside the end-members", False),
)
TOTAL = _Cause("soc_se", "all together, with the end-members' own errors", False)


def budget(evidence: Evidence) -> Picture | Absent:
    """Median standard error of particles by cause, and the half-width of the electrodes' intervals beside it."""
    title = "What the errors are made of"
    table = analysed(evidence)
    known = [
        (cause, errors)
        for cause in (*CAUSES, TOTAL)
        if (errors := _known(column(table, cause.column) if len(table) else np.zeros(0))).size
    ]
    if not known:
        return Absent("F11", title, evidence.unless_inferred("No particle has an error that is divided by cause."))
    figure = blank(7.6, 0.9 + 0.34 * (len(known) + 1))
    ((axes,),) = grid_of_axes(figure, 1, 1)
    for line, (cause, errors) in enumerate(known):
        low, middle, high = (float(value) for value in np.quantile(errors, (0.25, 0.5, 0.75)))
        place = 0 if cause is TOTAL else 1 if cause.averages else 2
        axes.barh(line, middle, color=COLOURS[place], hatch=HATCHES[place], edgecolor="white", height=0.7, alpha=0.85)
        axes.plot([low, high], [line, line], color="black", lw=1.1)
    names = [cause.words for cause, _ in known]
    electrodes = evidence.table("electrodes")
    half = _known(0.5 * (column(electrodes, "soc_ci_high") - column(electrodes, "soc_ci_low")))
    if half.size:
        axes.barh(len(known), float(np.median(half)), color=COLOURS[3], hatch=HATCHES[3], edgecolor="white", height=0.7)
        names.append("half of an electrode's 95 % interval")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("state of charge")
    return Picture(
        "F11-budget",
        title,
        f"Median over {len(table)} wide-field particles of the standard error of the state of charge by cause; black "
        "lines hold the middle half of the particles. Causes add in quadrature. Counting and misfit differ from "
        "particle to particle, so that more particles average them; the others are shared by all particles of a scan, "
        "and only other scans help. The last bar is half of the interval of an electrode's mean, median over "
        "electrodes: where it is much longer than the others, particles and regions were too few, not photons.",
        f"Bars of the standard error of state of charge by {len(known)} causes.",
        figure,
        ("particles", "electrodes"),
    )


def _known(values: F64) -> F64:
    return values[np.isfinite(values)]
