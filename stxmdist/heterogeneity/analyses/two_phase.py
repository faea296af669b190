"""The mean of each electrode from its many wide-field particles, calibrated by its few ptychography particles."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.paired import Pairs
from stxmdist.heterogeneity.columns import codes, numbers, text
from stxmdist.heterogeneity.double_sampling import (
    Sample,
    Slope,
    clustered_mean,
    pooled_slope,
    two_phase_by_region,
)
from stxmdist.table_columns import TableColumn

METRICS = ("soc_mean", "soc_sd", "f_mixed", "core_shell_index")

CONDITION = ("electrode_id", "cycle", "c_rate", "direction")

CHOSEN = "ptychography fields were not drawn at random: the estimate rests on the line holding beyond them"

TWO_PHASE_COLUMNS = (
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("cycle", "1", "number of cycles"),
    TableColumn("c_rate", "1/h", "rate of the last half cycle"),
    TableColumn("direction", "", "charge or discharge", "string"),
    TableColumn("metric", "", "what was measured: a column of the particle table", "string"),
    TableColumn("estimate", "1", "mean over all particles as ptychography would read it"),
    TableColumn("se", "1", "its standard error, from the spread between regions"),
    TableColumn("ci_low", "1", "lower end of its 95 % confidence interval"),
    TableColumn("ci_high", "1", "upper end of its 95 % confidence interval"),
    TableColumn("stxm_mean", "1", "mean of the wide-field particles alone, not corrected"),
    TableColumn("stxm_se", "1", "its standard error"),
    TableColumn("ptychography_se", "1", "standard error that the pairs alone would give"),
    TableColumn("correlation", "1", "of both modalities in this electrode"),
    TableColumn("n_pairs", "1", "particles that both have measured", "int64"),
    TableColumn("n_particles", "1", "wide-field particles", "int64"),
    TableColumn("n_regions", "1", "regions with wide-field particles", "int64"),
    TableColumn("n_regions_paired", "1", "regions with pairs", "int64"),
    TableColumn("n_eff", "1", "ptychography particles that would say as much"),
    TableColumn("roi_rule", "", "how the regions were chosen, which sets the weights", "string"),
    TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string"),
)


def two_phase(evidence: Evidence) -> pd.DataFrame:
    """Table of the two-phase estimator for each electrode, condition and metric, beside the wide field's own mean.

    Regions drawn at random weigh by their particles; of systematic ones each weighs the same. Where regions were chosen
    by convenience, or nobody says how, particles weigh the same and the note says that the sample is none. Where the
    fields of ptychography were, the note says what the estimate then rests on.
    """
    columns = [column.name for column in TWO_PHASE_COLUMNS]
    particles = evidence.particles
    is_kept = particles.index.isin(evidence.kept.index) & (text(particles, "modality") == "stxm")
    if not len(evidence.pairs) or not is_kept.any():
        return pd.DataFrame(columns=columns)
    pairs = Pairs(evidence)
    keys = [text(particles, name) for name in CONDITION]
    electrode = codes(keys)
    region = codes([*keys, text(particles, "region_id" if "region_id" in particles.columns else "scan_id")])
    rule = text(particles, "roi_rule")
    rows = []
    for metric in METRICS:
        if metric not in particles.columns:
            continue
        paired = pairs.of(metric)
        usable = (paired.relation != "split") & is_kept[paired.row]
        where, x, y = paired.row[usable], paired.stxm[usable], paired.ptychography[usable]
        chosen = paired.roi_rule[usable]
        slope = pooled_slope(x, y, electrode[where]) if where.size else Slope(np.nan, np.nan)
        value = numbers(particles, metric)
        measured = is_kept & np.isfinite(value)
        for code in np.unique(electrode[measured]):
            own = np.flatnonzero(measured & (electrode == code))
            here = electrode[where] == code
            rules = sorted(set(rule[own]))
            first = particles.iloc[own[0]]
            row = {name: first[name] if name in particles.columns else None for name in CONDITION}
            row |= {"metric": metric, "roi_rule": "; ".join(each or "not said" for each in rules)}
            row |= _estimated(value, region, rules, own, where[here], x[here], y[here], slope)
            if set(chosen[here]) - {"random", "systematic"}:
                row["note"] = "; ".join(filter(None, (row["note"], CHOSEN)))
            rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def _estimated(
    value: F64, region: I64, rules: list[str], own: I64, paired: I64, x: F64, y: F64, slope: Slope
) -> dict[str, float | int | str]:
    """What one electrode says of one metric."""
    everywhere = codes([np.concatenate([region[own], region[paired]]).astype(np.str_)])
    own_region, paired_region = everywhere[: own.size], everywhere[own.size :]
    systematic = rules == ["systematic"]
    cheap = Sample(value[own], own_region, _weights(own_region, systematic))
    cheap_paired = Sample(x, paired_region, _weights(paired_region, systematic))
    mean, se = clustered_mean(cheap)
    found = two_phase_by_region(cheap, cheap_paired, y, slope)
    notes = [found.note] if found.note else []
    if set(rules) - {"random", "systematic"}:
        notes.append("regions were not drawn at random: the interval holds for what was imaged")
    elif len(rules) > 1:
        notes.append("regions were chosen by several rules: particles weigh the same")
    return {
        "estimate": found.mean.estimate,
        "se": found.se,
        "ci_low": found.mean.low,
        "ci_high": found.mean.high,
        "stxm_mean": mean,
        "stxm_se": se,
        "ptychography_se": found.se_accurate_only,
        "correlation": found.correlation,
        "n_pairs": found.n_accurate,
        "n_particles": found.n_cheap,
        "n_regions": int(np.unique(own_region).size),
        "n_regions_paired": int(np.unique(paired_region).size),
        "n_eff": found.n_effective,
        "note": "; ".join(notes),
    }


def _weights(region: I64, each_region_alike: bool) -> F64:
    if not each_region_alike or not region.size:
        return np.ones(region.size)
    return np.asarray(1.0 / np.bincount(region)[region])
