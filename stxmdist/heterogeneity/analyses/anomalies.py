"""Particles whose mean spectrum is unlike that of the others of their scan."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.effects import benjamini_hochberg
from stxmdist.table_columns import TableColumn

MOST_Q = 0.01
"""False discovery rate that is asked for: a fifth of .05, for the tails of real noise are heavier than normal ones"""

ANOMALY_COLUMNS = (
    TableColumn("scan_id", "", "the acquisition", "string"),
    TableColumn("particle_id", "1", "label of the particle in its scan", "int64"),
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("anomaly_distance", "1", "robust Mahalanobis distance of the mean spectrum in its scan"),
    TableColumn("anomaly_p", "1", "how often chance alone is as far off"),
    TableColumn("q", "1", "share of false ones among all that are at least as odd"),
)


def anomalies(evidence: Evidence) -> pd.DataFrame:
    """One row per odd particle of the campaign, the oddest first; none where spectra were not looked at."""
    names = [column.name for column in ANOMALY_COLUMNS]
    frame = evidence.particles
    if "anomaly_p" not in frame.columns:
        return pd.DataFrame(columns=names)
    frame = frame[np.isfinite(frame["anomaly_p"].to_numpy(dtype=np.float64))]
    found = frame.assign(q=benjamini_hochberg(frame["anomaly_p"].to_numpy(dtype=np.float64)))
    odd = found[found["q"] < MOST_Q].sort_values("anomaly_p").reset_index(drop=True)
    return pd.DataFrame(odd, columns=names)
