"""How fast, how uniformly and how autocatalytically regions and electrodes reacted."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import numbers, text
from stxmdist.heterogeneity.intervals import UNKNOWN, Interval, t_interval
from stxmdist.heterogeneity.reaction import uniformity
from stxmdist.heterogeneity.rows import CONDITION
from stxmdist.heterogeneity.shared_errors import pooled_slope, shared_error_line
from stxmdist.table_columns import TableColumn

NUMBERS = {
    "rate": ("1/h", "mean rate of the particles"),
    "uniformity": ("1", "1 - spread over mean of the particles' rates, noise taken off"),
    "rate_over_soc": ("1/h", "slope of the particles' rates over their earlier states of charge"),
    "rate_over_soc_inside": ("1/h", "slope of the rate over the earlier state of charge inside particles, pooled"),
    "uniformity_inside": ("1", "uniformity of the rate inside particles, their mean"),
}

REACTION_RATE_COLUMNS = (
    TableColumn(
        "level", "", "region: one region at two times; electrode: its regions, with an interval over them", "string"
    ),
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("cycle", "1", "number of cycles"),
    TableColumn("c_rate", "1/h", "rate of the half cycle"),
    TableColumn("direction", "", "charge or discharge", "string"),
    TableColumn("region_id", "", "the region; empty for an electrode", "string"),
    TableColumn("modality", "", "stxm or ptychography", "string"),
    TableColumn("scan_id_before", "", "the earlier acquisition; empty for an electrode", "string"),
    TableColumn("scan_id", "", "the later acquisition; empty for an electrode", "string"),
    TableColumn("hours", "h", "time between both"),
    TableColumn("n_regions", "1", "regions seen at two times", "int64"),
    TableColumn("n_particles", "1", "particles with a rate", "int64"),
    TableColumn("n_lost", "1", "particles of the earlier acquisitions without a rate", "int64"),
    TableColumn("rate_sd_per_h", "1/h", "spread of the particles' rates, noise taken off"),
    *(
        TableColumn(f"{name}{end}", unit, f"{words}{meaning}")
        for name, (unit, meaning) in NUMBERS.items()
        for end, words in (
            ("", ""),
            ("_low", "lower end of the 95 % interval of: "),
            ("_high", "upper end of the same: "),
        )
    ),
    TableColumn(
        "autocatalysis", "", "whether rates rise or fall with the state of charge, or that it is not shown", "string"
    ),
    TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string"),
)

NO_TIMES = (
    "no region was seen at two times: rates need time_h and region_id in the sample sheet, twice for the same region"
)


def reaction_rates(evidence: Evidence) -> pd.DataFrame:
    """One row per region at two times, then one per electrode and condition, columns ``REACTION_RATE_COLUMNS``.

    Intervals of a region are over its particles, those of an electrode over its regions: particles of one region are
    not independent. Rates of particles share what both scans do to all of them, which is in no interval of uniformity,
    and is added to those of a region's rate and of its slope over the state of charge: an energy scale that is off
    stretches states of charge, and rates then seem to rise or fall with them. Of a campaign without two times, one row
    that says so.

    Source: Lim et al., Science 353, 566 (2016); uniformity own.
    """
    names = [column.name for column in REACTION_RATE_COLUMNS]
    table = evidence.reactions
    if not len(table):
        rows = [{"level": "campaign", "n_regions": 0, "n_particles": 0, "n_lost": 0, "note": NO_TIMES}]
        return pd.DataFrame(rows if len(evidence.particles) else [], columns=names)
    regions = pd.DataFrame([_region(part) for _, part in table.groupby("scan_id", sort=True)])
    keys = ["electrode_id", "modality", *CONDITION]
    electrodes = [_electrode(part) for _, part in regions.groupby(keys, dropna=False, sort=True)]
    return pd.DataFrame([*regions.to_dict("records"), *electrodes]).reindex(columns=names)


def _region(table: pd.DataFrame) -> dict[str, object]:
    first = table.iloc[0]
    rate, se = numbers(table, "rate_per_h"), numbers(table, "rate_se_per_h")
    soc, soc_se = numbers(table, "soc_before"), numbers(table, "soc_before_se")
    hours, shared = float(first["hours"]), numbers(table, "rate_se_sys_per_h")
    known = np.isfinite(rate)
    spread = uniformity(rate, se**2)
    line = shared_error_line(soc, rate, soc_se**2, -(soc_se**2) / hours, np.arange(len(table)))
    slope = _with_shared(line.slope, shared[known], soc[known])
    inside = pooled_slope(numbers(table, "soc_squares"), numbers(table, "rate_soc_products"))
    notes = [
        f"{what}: {why}"
        for what, why in (
            ("rate", spread.mean.note),
            ("uniformity", spread.value.note),
            ("rate over soc", line.slope.note),
            ("rate over soc inside", inside.note),
        )
        if why
    ]
    refused = [words for words in text(table, "note") if words.startswith("the region was not recognised")]
    common = float(np.nanmean(shared[known])) if (known & np.isfinite(shared)).any() else 0.0
    mean = spread.mean
    reach = np.hypot(mean.high - mean.estimate, 1.96 * common)
    return {
        "level": "region",
        **{name: first[name] for name in ("electrode_id", *CONDITION, "region_id", "modality")},
        **{name: first[name] for name in ("scan_id_before", "scan_id", "hours")},
        "n_regions": 1,
        "n_particles": int(known.sum()),
        "n_lost": int((~known).sum()),
        "rate_sd_per_h": spread.sd,
        **_written("rate", Interval(mean.estimate, mean.estimate - reach, mean.estimate + reach)),
        **_written("uniformity", spread.value),
        **_written("rate_over_soc", slope),
        **_written("rate_over_soc_inside", inside),
        **_written("uniformity_inside", t_interval(numbers(table, "uniformity"))),
        "autocatalysis": _word(slope),
        "note": "; ".join(refused[:1] or notes),
    }


def _with_shared(slope: Interval, shared: F64, soc: F64) -> Interval:
    """The interval of a slope over states of charge (PARTICLE,), with what errors that particles share may do to it.

    How such errors of the rates, of these sizes (PARTICLE,), follow the state of charge is not known: at most wholly,
    and then they make a slope of their root mean square over the standard deviation of the states of charge.
    """
    known = np.isfinite(shared) & np.isfinite(soc)
    spread = float(soc[known].std()) if known.any() else 0.0
    if not spread > 0.0 or not np.isfinite(slope.high):
        return slope
    most = float(np.sqrt((shared[known] ** 2).mean())) / spread
    reach = float(np.hypot(slope.high - slope.estimate, 1.96 * most))
    return Interval(slope.estimate, slope.estimate - reach, slope.estimate + reach)


def _electrode(regions: pd.DataFrame) -> dict[str, object]:
    first = regions.iloc[0]
    found = {name: t_interval(numbers(regions, name)) for name in NUMBERS}
    spread = numbers(regions, "rate_sd_per_h")
    spread = spread[np.isfinite(spread)]
    few = "one region: no interval over regions" if np.isfinite(numbers(regions, "rate")).sum() < 2 else ""
    return {
        "level": "electrode",
        **{name: first[name] for name in ("electrode_id", *CONDITION, "modality")},
        "region_id": "",
        "scan_id_before": "",
        "scan_id": "",
        "hours": float(numbers(regions, "hours").mean()),
        "n_regions": len(np.unique(text(regions, "region_id"))),
        "n_particles": int(regions["n_particles"].sum()),
        "n_lost": int(regions["n_lost"].sum()),
        "rate_sd_per_h": float(np.sqrt(np.mean(spread**2))) if spread.size else UNKNOWN,
        **{key: value for name, one in found.items() for key, value in _written(name, one).items()},
        "autocatalysis": _word(found["rate_over_soc"]),
        "note": few,
    }


def _written(name: str, found: Interval) -> dict[str, object]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}


def _word(slope: Interval) -> str:
    """What an interval shows of autocatalysis."""
    if slope.low > 0.0:
        return "rates rise with the state of charge"
    if slope.high < 0.0:
        return "rates fall with the state of charge"
    return "not shown" if np.isfinite(slope.estimate) else "not known"
