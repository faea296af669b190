"""The statistics of a simulated campaign as they were planted, under the column names of the campaign's own tables."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.simulation.design import Design
from stxmdist.simulation.experiment import PLANTED, Planted
from stxmdist.simulation.sizes import CampaignSize

_UNKNOWN = float("nan")
CAPACITY_MAH_PER_CM3 = 612.0
"""Charge that LiFePO4 holds, by volume."""
FACES = 2.0
"""Of a plate, through which ions pass"""


def active_columns(whole: pd.DataFrame, size: CampaignSize) -> dict[str, float]:
    """Active share, current per active area and mosaic index of whole particles of one electrode and condition.

    j = C q_v V_all / A_active, A/m2, with the volume of all particles and both faces of the active ones (Li et al.
    2014), whose projected area is ``active_area_um2``. Mosaic index: variance of soc between particles over mean
    (1 - mean).
    """
    c_rate, active = float(whole["c_rate"].iloc[0]), whole["planted_active"].to_numpy(dtype=bool)
    volume_um3 = float(whole["mass_um2_nm"].sum()) * 1e-3
    area_um2 = float(whole["area_um2"].to_numpy()[active].sum())
    # 1 mAh/cm3 = 1e-6 A h / um3 x 1e-9 ... in SI: 1 mAh/cm3 = 1e3 A h/m3; um3/um2 = 1e-6 m.
    density = c_rate * CAPACITY_MAH_PER_CM3 * 1e3 * volume_um3 / (FACES * area_um2) * 1e-6 if area_um2 > 0 else _UNKNOWN
    mean = float(whole["soc_mean"].mean())
    return {
        "planted_active_share": size.design.active_share(c_rate) if size.design.is_mosaic else 1.0,
        "planted_active_fraction": float(active.mean()),
        "volume_um3": volume_um3,
        "active_area_um2": area_um2,
        "current_density_a_m2": density,
        "mosaic_index": float(whole["soc_mean"].var(ddof=1)) / (mean * (1.0 - mean)),
        "third_share": float(np.average(whole["third_share"], weights=whole["mass_um2_nm"])),
        "crack_share": float(np.average(whole["crack_share"], weights=whole["area_um2"])),
        "rate_per_h": float(np.average(whole["rate_per_h"], weights=whole["mass_um2_nm"])),
        "uniformity": _uniformity(whole["rate_per_h"].to_numpy(dtype=float)),
    }


def _uniformity(rate: F64) -> float:
    """U = 1 - SD_k / abs(mean k) over particles."""
    mean = float(rate.mean())
    return 1.0 - float(rate.std(ddof=1)) / abs(mean) if mean != 0.0 and rate.size > 1 else _UNKNOWN


def electrode_table(size: CampaignSize, particles: pd.DataFrame) -> pd.DataFrame:
    """One row per electrode and cycle, and time where regions are seen at several, from the particles that STXM sees.

    Nothing is estimated, so there are no intervals.

    soc_mean is weighted by mass; spreads, shares and sizes count each particle once. Particles that the field's border
    cuts are left out of all but the mean.
    """
    seen = particles[particles["modality"] == "stxm"]
    rows = []
    by = ["electrode_id", "cycle", *(["time_h"] if "time_h" in seen else [])]
    for keys, group in seen.groupby(by, sort=True):
        electrode, cycle = keys[0], keys[1]
        whole = group[~group["touches_border"]]
        between, within = float(whole["soc_mean"].var(ddof=1)), float((whole["soc_sd"] ** 2).mean())
        d10, d50, d90 = np.quantile(whole["d_eq_um"], [0.1, 0.5, 0.9])
        rows.append(
            {
                "electrode_id": electrode,
                "cycle": cycle,
                **({"time_h": keys[2]} if "time_h" in seen else {}),
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
                **active_columns(whole, size),
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
    rows += [
        {"endpoint": endpoint, "term": term, "estimate": estimate, **empty, **rest, **counts}
        for endpoint, term, estimate in _design_effects(size.design)
    ]
    return pd.DataFrame(rows)


def _design_effects(design: Design) -> list[tuple[str, str, float]]:
    """Effects that a hard design plants, (endpoint, term, estimate).

    Where it makes populations, logarithms of the active share and of the current per active area grow with the
    logarithm of the rate by the exponent and by what is left to one.
    """
    rows = []
    if design.is_mosaic:
        rows += [
            ("log_active_fraction", "log_c_rate", design.active_exponent),
            ("log_current_density", "log_c_rate", 1.0 - design.active_exponent),
        ]
    if "discharge" in design.directions and "charge" in design.directions:
        rows.append(("soc_mean", "direction", design.discharge_soc))
    if design.convenience:
        rows.append(("soc_mean", "roi_rule", design.convenience_soc))
    if design.cracked:
        rows.append(("soc_mean", "cracked", design.cracked_soc))
    if design.grain_um:
        rows.append(("soc_mean", "grained", design.grained_soc))
    return rows


def variance_table(size: CampaignSize, particles: pd.DataFrame, planted: Planted = PLANTED) -> pd.DataFrame:
    """Planted variances of soc at each level; that inside particles is the mean over those that STXM sees whole."""
    whole = particles[(particles["modality"] == "stxm") & ~particles["touches_border"]]
    particle = planted.particle_sd**2
    if size.design.is_mosaic:
        # Populations spread more than the deviates do.
        particle = float((whole["particle_effect"] ** 2).mean())
    parts = {
        "electrode": planted.electrode_sd**2,
        "region": planted.region_sd**2,
        "particle": particle,
        **({"beamtime": size.design.beamtime_sd**2} if size.design.beamtime_sd else {}),
        **({"cell": size.design.cell_sd**2} if size.design.cell_sd else {}),
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
