"""The statistics of a simulated campaign as they were planted, under the column names of the campaign's own tables."""

import numpy as np
import pandas as pd

from stxmdist.simulation.experiment import PLANTED, Planted
from stxmdist.simulation.sizes import CampaignSize

_UNKNOWN = float("nan")


def electrode_table(particles: pd.DataFrame) -> pd.DataFrame:
    """One row per electrode and cycle, from the true particles that STXM sees; nothing is estimated, so no intervals.

    soc_mean is weighted by mass; spreads, shares and sizes count each particle once. Particles that the field's border
    cuts are left out of all but the mean.
    """
    seen = particles[particles["modality"] == "stxm"]
    rows = []
    for (electrode, cycle), group in seen.groupby(["electrode_id", "cycle"], sort=True):
        whole = group[~group["touches_border"]]
        between, within = float(whole["soc_mean"].var(ddof=1)), float((whole["soc_sd"] ** 2).mean())
        d10, d50, d90 = np.quantile(whole["d_eq_um"], [0.1, 0.5, 0.9])
        rows.append(
            {
                "electrode_id": electrode,
                "cycle": cycle,
                "c_rate": group["c_rate"].iloc[0],
                "direction": group["direction"].iloc[0],
                "n_regions": group["region_id"].nunique(),
                "n_particles": len(whole),
                "soc_mean": float(np.average(group["soc_mean"], weights=group["mass_um2_nm"])),
                "soc_ci_low": _UNKNOWN,
                "soc_ci_high": _UNKNOWN,
                "soc_coulometric": group["soc_coulometric"].iloc[0],
                "sd_inter": between**0.5,
                "sd_intra": within**0.5,
                "icc": between / (between + within),
                "active_fraction": float(whole["active"].mean()),
                "active_ci_low": _UNKNOWN,
                "active_ci_high": _UNKNOWN,
                "d10_um": float(d10),
                "d50_um": float(d50),
                "d90_um": float(d90),
            }
        )
    return pd.DataFrame(rows)


def effects_table(size: CampaignSize, particles: pd.DataFrame, planted: Planted = PLANTED) -> pd.DataFrame:
    """Planted effects on the particles' mean state of charge: over a cycle, and over the natural logarithm of size."""
    seen = particles[particles["modality"] == "stxm"]
    empty: dict[str, object] = dict.fromkeys(("se", "ci_low", "ci_high", "p"), _UNKNOWN)
    rest: dict[str, object] = {"method": "planted", "p_min_attainable": _UNKNOWN, "q_fdr": _UNKNOWN}
    counts = {"n_electrodes": size.n_electrodes, "n_particles": len(seen)}
    rows = [
        {"endpoint": "soc_mean", "term": term, "estimate": estimate, **empty, **rest, **counts}
        for term, estimate in (
            ("cycle", planted.cycle_slope_per_100 / 100.0),
            ("log_d_eq", planted.log_size_slope),
            ("log_c_rate", 0.0),
        )
    ]
    return pd.DataFrame(rows)


def variance_table(particles: pd.DataFrame, planted: Planted = PLANTED) -> pd.DataFrame:
    """Planted variances of soc at each level; that inside particles is the mean over those that STXM sees whole."""
    whole = particles[(particles["modality"] == "stxm") & ~particles["touches_border"]]
    parts = {
        "electrode": planted.electrode_sd**2,
        "region": planted.region_sd**2,
        "particle": planted.particle_sd**2,
        "intra": float((whole["soc_sd"] ** 2).mean()),
        "noise": 0.0,
    }
    total = sum(parts.values())
    return pd.DataFrame(
        [
            {
                "endpoint": "soc_mean",
                "component": name,
                "variance": value,
                "share": value / total,
                "ci_low": _UNKNOWN,
                "ci_high": _UNKNOWN,
            }
            for name, value in parts.items()
        ]
    )
