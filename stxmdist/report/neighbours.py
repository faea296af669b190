"""F10: whether particles that lie near one another are charged alike, and active alike."""

import numpy as np

from stxmdist.heterogeneity.analyses.neighbours import ALL
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import COLOURS, Absent, Picture, blank, grid_of_axes, styles_of
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import figure_of, probability_of

PANELS = (
    ("soc_correlation", "soc_null_low", "soc_null_high", "correlation of states of charge"),
    ("active_joins", "joins_null_low", "joins_null_high", "pairs of two active particles over chance"),
)

LEAST_HEIGHT = 0.4
"""Of a panel: a correlation, or a ratio to chance, that differs by less hardly matters"""


def neighbours(evidence: Evidence) -> Picture | Absent:
    """Correlation of states of charge and join counts over the distance of two particles, with the band of chance."""
    title = "Do neighbours react alike"
    table = evidence.table("neighbours")
    electrode = words(table, "electrode_id")
    everywhere = electrode == ALL
    known = everywhere & np.isfinite(column(table, "soc_correlation"))
    if not known.any():
        return Absent("F10", title, evidence.unless_inferred("No scan has pairs of particles with a state of charge."))
    middle = 0.5 * (column(table, "low_um") + column(table, "high_um"))
    figure = blank(7.6, 3.0)
    names = sorted(set(electrode[~everywhere].tolist()))
    styles = styles_of(names)
    for axes, (name, low, high, label) in zip(grid_of_axes(figure, 1, 2)[0], PANELS, strict=True):
        order = np.flatnonzero(everywhere)[np.argsort(middle[everywhere])]
        axes.fill_between(
            middle[order], column(table, low)[order], column(table, high)[order], color="#d8d8d8", lw=0, label="_chance"
        )
        for one in names:
            here = electrode == one
            marks = styles[one]
            axes.plot(
                middle[here],
                column(table, name)[here],
                ls="",
                marker=marks.marker,
                ms=2.5,
                color="#888888",
                mew=0,
                label=f"_{one}",
            )
        axes.plot(middle[order], column(table, name)[order], "-o", color=COLOURS[0], ms=4, label="_all electrodes")
        axes.axhline(0.0 if name == "soc_correlation" else 1.0, color="#999999", lw=0.6)
        axes.set(xlabel="distance of two particles (µm)", ylabel=label)
        bottom, top = axes.get_ylim()
        if top - bottom < LEAST_HEIGHT:
            # Where nothing varies, matplotlib would show rounding errors at full height.
            axes.set_ylim(0.5 * (bottom + top - LEAST_HEIGHT), 0.5 * (bottom + top + LEAST_HEIGHT))
    first = int(np.flatnonzero(known)[np.argmin(middle[known])])
    said = (
        f"Between neighbours ({int(column(table, 'n_pairs')[first])} pairs) states of charge correlate by "
        f"{figure_of(column(table, 'soc_correlation')[first], 2)} (p {_p(column(table, 'soc_p')[first])} under "
        "shuffling)"
    )
    return Picture(
        "F10-neighbours",
        title,
        "Line: all electrodes together; small marks: single electrodes in one condition. The grey band holds 95 % of "
        f"what shuffling the particles within their scans gives: chance. {said}.",
        f"Correlation of states of charge and join counts over distance. {said}.",
        figure,
        ("neighbours",),
    )


def _p(value: float) -> str:
    text = probability_of(value)
    return text if text.startswith("<") else f"= {text}"
