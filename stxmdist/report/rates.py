"""F6: which share of the particles reacts at which rate, and what current each active area carries then."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from stxmdist.arrays import F64
from stxmdist.planning.columns import column, rows_of, words
from stxmdist.report.canvas import Absent, Picture, blank, grid_of_axes, styles_of
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import interval_of, plain


@dataclass(frozen=True)
class _Panel:
    """One quantity over rate: columns of the table ``transport``, and its name in ``rate_exponents``."""

    name: str
    label: str
    low: str
    high: str


PANELS = (
    _Panel("active_fraction", "active fraction", "active_fraction_low", "active_fraction_high"),
    _Panel(
        "current_density_a_m2",
        "current per active area (A/m²)",
        "current_density_low_a_m2",
        "current_density_high_a_m2",
    ),
)


@dataclass(frozen=True)
class ExponentRow:
    """A row of the table ``rate_exponents``."""

    quantity: str
    exponent: float
    ci_low: float
    ci_high: float
    n_electrodes: float
    note: str


def rates(evidence: Evidence) -> Picture | Absent:
    """Active fraction and current density over rate, one mark for each electrode and condition."""
    title = "Activity and current over rate"
    table = evidence.table("transport")
    rate = column(table, "c_rate")
    known = np.isfinite(rate) & (rate > 0) & np.isfinite(column(table, "active_fraction"))
    if not known.any():
        return Absent("F6", title, evidence.unless_inferred("No electrode has a known rate and particles that react."))
    figure = blank(7.6, 3.2)
    ((left, right),) = grid_of_axes(figure, 1, 2)
    names = sorted(set(words(table, "electrode_id")[known].tolist()))
    styles = styles_of(names)
    electrode = words(table, "electrode_id")
    spread = _beside(rate, electrode, names)
    for axes, panel in zip((left, right), PANELS, strict=True):
        y, low, high = (column(table, name) for name in (panel.name, panel.low, panel.high))
        for one in names:
            here, style = known & (electrode == one) & np.isfinite(y), styles[one]
            axes.plot(spread[here], y[here], ls="", marker=style.marker, color=style.colour, label=one)
            axes.vlines(spread[here], low[here], high[here], color=style.colour, lw=0.9, label=f"_{one}")
        axes.set(xscale="log", xlabel="rate (1/h)", ylabel=panel.label)
        _ticks(axes, rate[known])
    left.set_ylim(-0.03, 1.03)
    finite = column(table, "current_density_a_m2")[known]
    if np.isfinite(finite).any() and np.nanmin(finite) > 0:
        right.set_yscale("log")
        right.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        right.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        right.yaxis.set_minor_formatter(NullFormatter())
    if len(names) <= 16:
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=min(8, len(names)))
    said = _exponents(evidence)
    return Picture(
        "F6-rate",
        title,
        "One mark for each electrode and condition, upright lines are 95 % intervals; marks at one rate stand beside "
        "one another. The current is what the rate asks of all particles that were seen, over both faces of those "
        f"that react; if reacting faster only took more particles, it would not depend on the rate. {said}",
        f"Active fraction and current per active area over rate for {len(names)} electrodes. {said}",
        figure,
        ("transport", "rate_exponents"),
    )


def _exponents(evidence: Evidence) -> str:
    """With what power of the rate both grow, or why nobody can say."""
    said = []
    for row in rows_of(ExponentRow, evidence.table("rate_exponents")):
        if np.isfinite(row.exponent):
            over = f"over {plain(row.n_electrodes)} electrodes"
            interval = interval_of(row.exponent, row.ci_low, row.ci_high)
            said.append(f"{row.quantity} grows with the rate to the power of {interval}, 95 % interval {over}")
        elif row.note:
            said.append(f"{row.quantity}: {row.note}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else "How both depend on the rate was not tested."


def _beside(rate: F64, electrode: np.ndarray, names: list[str]) -> F64:
    """Rates moved a little, so that intervals at one rate do not hide each other."""
    place = np.array([names.index(one) if one in names else 0 for one in electrode.tolist()], dtype=float)
    return np.asarray(rate * np.exp(0.03 * (place - 0.5 * (len(names) - 1)) * min(1.0, 8.0 / max(1, len(names)))))


def _ticks(axes: Axes, rate: F64) -> None:
    """The rates that were used, and no others."""
    used = np.unique(np.round(rate, 6))
    if len(used) <= 8:
        axes.set_xticks(used, [f"{one:g}" for one in used])
        axes.set_xticks([], minor=True)
    if np.ptp(np.log(used)) == 0:
        axes.set_xlim(used[0] * 0.5, used[0] * 2.0)
