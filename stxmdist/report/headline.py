"""The first paragraph: what was measured, and the main number with its interval."""

import numpy as np

from stxmdist.planning.columns import column, rows_of, words
from stxmdist.report.conditions import condition_of_scan
from stxmdist.report.distributions import analysed
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import EffectRow, figure_of, interval_of, probability_of


def headline(evidence: Evidence) -> list[str]:
    """Sentences, the most important first to be read."""
    if evidence.images_alone:
        return [*_simulated(evidence), "Images alone: no chemistry is named, and nothing is fitted (chemistry: none)."]
    return [*_simulated(evidence), _measured(evidence), *_main(evidence), *_spread(evidence)]


def _simulated(evidence: Evidence) -> list[str]:
    """What must not be taken for a measurement."""
    simulated = len(evidence.campaign.simulated)
    if not simulated:
        return []
    if simulated >= len(evidence.scans):
        return ["These data are simulated: nothing here was measured."]
    return [f"{simulated} of {_count(len(evidence.scans), 'scan')} are simulated: they were not measured."]


def _measured(evidence: Evidence) -> str:
    if not evidence.scans:
        return "The campaign has no usable scans."
    electrodes = {scan.electrode_id for scan in evidence.scans}
    conditions = {condition_of_scan(scan) for scan in evidence.scans}
    fitted = evidence.having("fit")
    stxm = sum(scan.modality == "stxm" for scan in fitted)
    particles = analysed(evidence)
    found = len(evidence.table("particles"))
    text = (
        f"{_count(len(electrodes), 'electrode')} in {_count(len(conditions), 'condition')}: of "
        f"{_count(len(evidence.scans), 'scan')}, {stxm} wide-field and {len(fitted) - stxm} ptychography scans gave "
        f"maps of state of charge; {_count(len(particles), 'wide-field particle')} enter the statistics"
    )
    return text + (f" ({found} particles were found in all scans)." if found else ".")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _main(evidence: Evidence) -> list[str]:
    """The primary effect where there is one, else the mean of the electrodes."""
    effects = [
        row
        for row in rows_of(EffectRow, evidence.table("effects"))
        if row.endpoint == "soc_mean" and row.term == "cycle" and np.isfinite(row.estimate)
    ]
    tested = next((row for row in effects if row.method.startswith("t on")), None)
    if tested is not None:
        exact = next((row for row in effects if "exact" in row.method), None)
        estimate, low, high = (100 * value for value in (tested.estimate, tested.ci_low, tested.ci_high))
        text = (
            f"Over 100 cycles the mean state of charge changed by {interval_of(estimate, low, high)}, "
            f"95 % interval over {_count(int(tested.n_electrodes), 'electrode')}"
        )
        text += f"; p {_probability(tested.p)} by the t test" if np.isfinite(tested.p) else ""
        if exact is not None and np.isfinite(exact.p):
            text += (
                f", p {_probability(exact.p)} by the exact test, whose smallest attainable p with so many "
                f"electrodes is {probability_of(exact.p_min_attainable)}"
            )
        return [text + "."]
    electrodes = evidence.table("electrodes")
    means = column(electrodes, "soc_mean")
    known = np.flatnonzero(np.isfinite(means))
    if known.size == 1:
        interval = interval_of(
            *(column(electrodes, name)[known[0]] for name in ("soc_mean", "soc_ci_low", "soc_ci_high"))
        )
        return [f"The mean state of charge by mass is {interval}, 95 % interval within one electrode in one condition."]
    if known.size:
        low, high = means[known].min(), means[known].max()
        span = f"{figure_of(low)} and {figure_of(high)}"
        return [f"Mean states of charge of the electrodes lie between {span}; no effect could be tested."]
    if not evidence.inferred:
        return ["Nothing has been inferred yet: the stage infer has not been published for what is here now."]
    return [
        "Nothing could be inferred: no particle has a state of charge. ‘What was left out’ says what stopped each scan."
    ]


def _probability(p: float) -> str:
    text = probability_of(p)
    return text if text.startswith("<") else f"= {text}"


def _spread(evidence: Evidence) -> list[str]:
    table = evidence.table("variance")
    shares = {
        name: (share, low, high)
        for name, share, low, high in zip(
            words(table, "component"), *(column(table, key) for key in ("share", "ci_low", "ci_high")), strict=True
        )
        if np.isfinite(share)
    }
    named = {
        "intra": "lies within particles",
        "particle": "between particles of a region",
        "electrode": "between electrodes",
    }
    parts = []
    for name, what in named.items():
        if name in shares:
            share, low, high = (100 * value for value in shares[name])
            interval = f" ({low:.0f} to {high:.0f})" if np.isfinite(low) and np.isfinite(high) else ""
            parts.append(f"{share:.0f} %{interval} {what}")
    return [f"Of the variance of state of charge, {', '.join(parts)}."] if parts else []
