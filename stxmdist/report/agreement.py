"""Whether both microscopes agree: differences of paired particles over their mean, after Bland and Altman."""

import numpy as np

from stxmdist.heterogeneity.agreement import bland_altman
from stxmdist.planning.columns import column
from stxmdist.report.canvas import COLOURS, INK, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence


def agreement(evidence: Evidence) -> Picture | Absent:
    """Difference of the two states of charge of each paired particle over their mean, with bias and limits."""
    title = "Agreement of STXM and ptychography"
    pairs = evidence.table("pairs")
    wide, fine = column(pairs, "soc_mean_stxm"), column(pairs, "soc_mean_ptychography")
    known = np.isfinite(wide) & np.isfinite(fine)
    if not known.any():
        return Absent("F12", title, evidence.unless_inferred("No particle was seen by both microscopes."))
    wide, fine, size = wide[known], fine[known], column(pairs, "d_eq_um_stxm")[known]
    found = bland_altman(wide, fine)
    figure = blank(7.6, 3.0)
    ((left, right),) = grid_of_axes(figure, 1, 2)
    difference = fine - wide
    for axes, x, label in (
        (left, 0.5 * (wide + fine), "mean of both states of charge"),
        (right, size, "equivalent diameter (µm)"),
    ):
        axes.axhline(0, color="#999999", lw=0.6)
        axes.plot(x, difference, ls="", marker="o", ms=3.5, color=COLOURS[0], alpha=0.7, mew=0)
        for value, dash in ((found.bias.estimate, "-"), (found.limit_low, "--"), (found.limit_high, "--")):
            if np.isfinite(value):
                axes.axhline(value, color=INK, ls=dash, lw=0.9)
        axes.set(xlabel=label, ylabel="ptychography minus STXM")
    said = f"{found.n} paired particles; ptychography minus STXM is {found.bias.estimate:+.3f} on average"
    if np.isfinite(found.bias.low):
        said += (
            f" (95 % interval {found.bias.low:+.3f} to {found.bias.high:+.3f}, for particles that are independent "
            "of one another)"
        )
    if np.isfinite(found.limit_low):
        said += f"; 95 % of the differences lie between {found.limit_low:+.3f} and {found.limit_high:+.3f}"
    return Picture(
        "F12-agreement",
        title,
        f"The solid line is the mean difference; 95 % of the differences lie between the dashed lines. {said}.",
        f"Differences of state of charge between the microscopes over their mean and over particle size. {said}.",
        figure,
        ("pairs",),
    )
