"""F12: what a next beamtime could show: power over the number of electrodes, from this campaign's own variances."""

import numpy as np

from stxmdist.errors import InputError
from stxmdist.heterogeneity.design import power_curve
from stxmdist.heterogeneity.pilot import pilot_spread
from stxmdist.planning.columns import column
from stxmdist.report.canvas import COLOURS, DASHES, Absent, Picture, blank
from stxmdist.report.evidence import Evidence

EFFECTS = (0.05, 0.10, 0.20)
"""Differences of the mean state of charge between two conditions"""
MOST_ELECTRODES = 16
WANTED_POWER = 0.8


def power_over_electrodes(evidence: Evidence) -> Picture | Absent:
    """Probability to find a difference between two conditions, over the electrodes that are measured in each."""
    title = "What more electrodes would show"
    try:
        pilot = pilot_spread(evidence.table("variance"))
    except InputError as error:
        return Absent("F12", title, evidence.unless_inferred(f"{error.problem[:1].upper()}{error.problem[1:]}."))
    electrodes = evidence.table("electrodes")
    regions, particles = column(electrodes, "n_regions"), column(electrodes, "n_particles")
    counted = np.isfinite(regions) & (regions > 0) & (particles > 0)
    if not counted.any():
        return Absent("F12", title, "No electrode has particles.")
    n_regions = int(np.median(regions[counted]))
    n_particles = max(1, int(np.median(particles[counted] / regions[counted])))
    numbers = list(range(2, MOST_ELECTRODES + 1))
    figure = blank(7.6, 3.4)
    axes = figure.subplots()
    for place, effect in enumerate(EFFECTS):
        both = [
            power_curve(spread, numbers, effect, regions=n_regions, particles=n_particles)
            for spread in (pilot.low, pilot.estimate, pilot.high)
        ]
        colour = COLOURS[place]
        axes.plot(numbers, both[1], DASHES[place], color=colour, marker="o", ms=3, label=f"difference of {effect:g}")
        lowest, highest = np.min(both, axis=0), np.max(both, axis=0)
        if (highest - lowest).max() > 1e-3:
            axes.fill_between(numbers, lowest, highest, color=colour, alpha=0.15, lw=0)
    axes.axhline(WANTED_POWER, color="#999999", lw=0.7, ls=":")
    axes.set(xlabel="electrodes in each condition", ylabel="power", ylim=(0.0, 1.02))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    open_ends = f" The bands show what this campaign leaves open: {' '.join(pilot.unknown)}" if pilot.unknown else ""
    return Picture(
        "F12-power",
        title,
        "Probability that a two-sided t test over electrodes at a level of .05 finds a difference of the mean state of "
        f"charge between two conditions, with {n_regions} {_regions(n_regions)} of {n_particles} particles of each "
        f"electrode, as here, and the variances of table variance.{open_ends} `stxmdist design` compares whole "
        "designs.",
        f"Power over 2 to {MOST_ELECTRODES} electrodes in each condition for differences of "
        f"{', '.join(f'{effect:g}' for effect in EFFECTS)}.",
        figure,
        ("variance",),
    )


def _regions(n: int) -> str:
    return "region" if n == 1 else "regions"
