"""How each metric of the wide field follows that of ptychography, and what wide-field particles read when corrected."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.agreement import Calibration, bland_altman, calibrate
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.paired import STANDARD, Paired, Pairs, metrics_of, standard_error_column
from stxmdist.heterogeneity.columns import numbers, text
from stxmdist.table_columns import TableColumn

CALIBRATION_COLUMNS = (
    TableColumn("metric", "", "what was measured: a column of the particle table", "string"),
    TableColumn("n_pairs", "1", "particles, or wholes of several, that both modalities have measured", "int64"),
    TableColumn("slope", "1", "of the wide field's metric on that of ptychography; below 1: diluted by the optics"),
    TableColumn("slope_low", "1", "lower end of its 95 % confidence interval"),
    TableColumn("slope_high", "1", "upper end of its 95 % confidence interval"),
    TableColumn("intercept", "", "what the wide field reads where ptychography reads 0, in the metric's unit"),
    TableColumn("intercept_low", "", "lower end of its 95 % confidence interval"),
    TableColumn("intercept_high", "", "upper end of its 95 % confidence interval"),
    TableColumn("bias", "", "mean of wide field less ptychography"),
    TableColumn("bias_low", "", "lower end of its 95 % confidence interval"),
    TableColumn("bias_high", "", "upper end of its 95 % confidence interval"),
    TableColumn("limit_low", "", "lower limit of agreement: 95 % of differences lie above"),
    TableColumn("limit_high", "", "upper limit of agreement"),
    TableColumn("scatter", "", "standard deviation about the line beside the errors of both"),
    TableColumn("correlation", "1", "of both modalities"),
    TableColumn("n_eff", "1", "ptychography particles that would say as much of the mean as pairs and wide fields do"),
    TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string"),
)

CORRECTED_COLUMNS = (
    TableColumn("scan_id", "", "the wide-field scan", "string"),
    TableColumn("particle_id", "", "label of the particle there", "int64"),
    TableColumn("metric", "", "what was measured: a column of the particle table", "string"),
    TableColumn("corrected", "", "what ptychography would have read, in the metric's unit"),
    TableColumn("se", "", "its standard error, that of the calibration among it"),
)

LEAST_SLOPE = 0.2
"""A calibration whose interval reaches below corrects nothing: it would blow up noise fivefold"""


def calibration(evidence: Evidence) -> pd.DataFrame:
    """Table of the calibration of every metric that both modalities have, with limits of agreement.

    Source: Fuller 1987; Bland, Altman, Lancet 327, 307 (1986); n_eff: Cochran 1977, chapter 12.
    """
    if not len(evidence.pairs):
        return pd.DataFrame(columns=[column.name for column in CALIBRATION_COLUMNS])
    pairs = Pairs(evidence)
    wide = text(evidence.kept, "modality") == "stxm"
    rows = []
    for metric in metrics_of(evidence.particles):
        paired = pairs.of(metric)
        if not paired.stxm.size and metric not in STANDARD:
            continue
        line = _line(paired)
        agreement = bland_altman(paired.ptychography, paired.stxm)
        n, total = line.n, int(np.isfinite(numbers(evidence.kept, metric)[wide]).sum())
        rho2 = line.correlation**2
        rows.append(
            {
                "metric": metric,
                "n_pairs": n,
                "slope": line.slope.estimate,
                "slope_low": line.slope.low,
                "slope_high": line.slope.high,
                "intercept": line.intercept.estimate,
                "intercept_low": line.intercept.low,
                "intercept_high": line.intercept.high,
                "bias": agreement.bias.estimate,
                "bias_low": agreement.bias.low,
                "bias_high": agreement.bias.high,
                "limit_low": agreement.limit_low,
                "limit_high": agreement.limit_high,
                "scatter": line.scatter,
                "correlation": line.correlation,
                "n_eff": n / (1.0 - rho2 + rho2 * n / max(total, n)) if n else np.nan,
                "note": line.note,
            }
        )
    return pd.DataFrame(rows, columns=[column.name for column in CALIBRATION_COLUMNS])


def corrected_particles(evidence: Evidence) -> pd.DataFrame:
    """Metrics of wide-field particles that ptychography has not seen, as it would have read them.

    Only metrics whose calibration has a slope that is surely above ``LEAST_SLOPE`` are corrected.
    """
    columns = [column.name for column in CORRECTED_COLUMNS]
    if not len(evidence.pairs):
        return pd.DataFrame(columns=columns)
    pairs = Pairs(evidence)
    kept = evidence.kept
    seen = pd.MultiIndex.from_arrays(
        [text(evidence.pairs, "scan_id_stxm"), numbers(evidence.pairs, "particle_id_stxm")]
    )
    own = pd.MultiIndex.from_arrays([text(kept, "scan_id"), numbers(kept, "particle_id")])
    rest = (text(kept, "modality") == "stxm") & ~own.isin(seen)
    scan_id, particle_id = (kept[name].to_numpy()[rest] for name in ("scan_id", "particle_id"))
    tables = []
    for metric in STANDARD:
        line = _line(pairs.of(metric))
        if not line.slope.low > LEAST_SLOPE:
            continue
        value, error = numbers(kept, metric)[rest], numbers(kept, standard_error_column(metric))[rest]
        # Where no particle's own error is known, it is in the scatter of the pairs.
        error = error if np.isfinite(error).any() else np.zeros(len(value))
        corrected, se = line.corrected(value, error)
        known = np.isfinite(corrected)
        tables.append(
            pd.DataFrame(
                {
                    "scan_id": scan_id[known],
                    "particle_id": particle_id[known],
                    "metric": metric,
                    "corrected": corrected[known],
                    "se": se[known],
                }
            )
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _line(paired: Paired) -> Calibration:
    return calibrate(paired.ptychography, paired.stxm, paired.ptychography_se, paired.stxm_se, paired.cluster)
