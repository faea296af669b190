"""A campaign's particles as tables, planted without images: electrodes, regions, sizes and states of charge."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.analyses.evidence import Evidence


@dataclass(frozen=True)
class Planted:
    """What is planted; each region is one scan."""

    n_electrodes: int = 3
    n_regions: int = 3
    n_particles: int = 60
    """In each region"""
    soc: float = 0.4
    sd_electrode: float = 0.0
    sd_region: float = 0.0
    sd_particle: float = 0.1
    noise: float = 0.03
    median_um: float = 0.5
    sigma_log: float = 0.4
    field_um: float = 20.0
    soc_coulometric: float = 0.42


def planted_particles(planted: Planted, rng: np.random.Generator) -> pd.DataFrame:
    """The particle table, one electrode after the other."""
    electrode, region, _ = np.indices((planted.n_electrodes, planted.n_regions, planted.n_particles)).reshape(3, -1)
    n = electrode.size
    scan = electrode * planted.n_regions + region
    diameter = planted.median_um * np.exp(rng.normal(0.0, planted.sigma_log, n))
    truth = planted.soc + rng.normal(0.0, planted.sd_particle, n)
    truth += rng.normal(0.0, planted.sd_electrode, planted.n_electrodes)[electrode]
    truth += rng.normal(0.0, planted.sd_region, scan.max() + 1)[scan]
    return pd.DataFrame(
        {
            "scan_id": [f"scan-{index:03d}" for index in scan],
            "modality": "stxm",
            "electrode_id": [f"E{index:02d}" for index in electrode],
            "region_id": [f"r{index}" for index in region],
            "cycle": 1.0,
            "c_rate": 1.0,
            "direction": "charge",
            "soc_coulometric": planted.soc_coulometric,
            "particle_id": np.arange(n) + 1,
            "y_um": rng.uniform(0.0, planted.field_um, n),
            "x_um": rng.uniform(0.0, planted.field_um, n),
            "area_um2": np.pi / 4.0 * diameter**2,
            "d_eq_um": diameter,
            "aspect": 1.0,
            "thickness_nm": 120.0,
            "soc_mean": truth + rng.normal(0.0, planted.noise, n),
            "soc_se": planted.noise,
            "soc_se_stat": planted.noise,
            "soc_se_sys": 0.0,
            "soc_sd": 0.05,
            "soc_var_intra": 0.05**2,
            "active": rng.random(n) < 0.6,
            "flags": "",
            "touches_border": False,
        }
    )


def evidence(particles: pd.DataFrame, field_um: float = 20.0, seed: int = 3) -> Evidence:
    """What analyses get of such a table."""
    scans = particles.drop_duplicates("scan_id") if len(particles) else particles
    fields = pd.DataFrame({"scan_id": scans["scan_id"], "height_um": field_um, "width_um": field_um, "pixel_nm": 50.0})
    names = ["scan_id", "modality", "electrode_id", "region_id", "cycle", "c_rate", "direction", "soc_coulometric"]
    sheet = scans[names].reset_index(drop=True)
    return Evidence(particles, particles, pd.DataFrame(), sheet, fields.reset_index(drop=True), "stxm", seed)


def with_columns_of(table: pd.DataFrame, name: str) -> bool:
    """Whether a table has the columns that its entry declares, in their order."""
    from stxmdist.heterogeneity.analyses.table import ANALYSES

    return list(table.columns) == [column.name for column in ANALYSES[name].columns]
