"""A finished campaign as the pilot of the next: its table of variances, its scans, and what its particles were like."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.campaign.manifest import Campaign
from stxmdist.errors import InputError, StoreError
from stxmdist.heterogeneity.rows import of_modality
from stxmdist.measures import AbsorbanceMeasures
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.planning.columns import column
from stxmdist.planning.published import PublishedCampaign

MODALITY = "stxm"
COLUMNS = ("scan_id", "modality", "soc_mean", "soc_se_stat", "n_pixels", "d_eq_um", "thickness_nm")
"""Of the hundred and more that the table of particles has"""
MOST_SCANS_READ = 60
"""Medians over more scans, taken evenly from all of them, would say the same and take longer"""
LEAST_NOISE_FACTOR = 0.5
"""Counts that scatter less than photons can were smoothed: the factor then says nothing of their number"""


@dataclass(frozen=True, eq=False)
class PilotScans:
    """What the wide-field scans of a campaign were like; NaN where it is not known."""

    n_scans: int
    n_particles: int
    """With a state of charge"""
    particles_per_scan: float
    """Median"""
    minutes_per_scan: float
    """Median of the dwell times alone, over at most `MOST_SCANS_READ` scans"""
    minutes_per_particle: float
    """Of the same scans together"""
    energies: float
    """Median number"""
    pixel_nm: float
    pixels_of_particle: float
    """Median"""
    particle_um: float
    """Median diameter"""
    thickness_nm: float
    """Median"""
    soc_se: float
    """Median standard error of a particle's state of charge that noise gives"""


def published_table(
    published: PublishedCampaign, campaign: Campaign, name: str, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """A table of the campaign, or those of some columns that it has.

    Raises
    ------
    InputError
        where nothing of this name is published.
    """
    found = published.table(name, columns)
    if found is None:
        raise InputError(
            where=str(campaign.path),
            problem="the campaign has no results that a plan could rest on",
            got=f"no table {name}",
            wanted="a campaign that has been run until infer",
            mend="Run it with `stxmdist run`; for energies alone, `stxmdist energies` needs no pilot",
        )
    return found


def pilot_scans(published: PublishedCampaign, campaign: Campaign) -> PilotScans:
    """Measure the scans of a pilot by their dwell times, and its particles by the table.

    Raises
    ------
    InputError
        where nothing is published.
    """
    particles = published_table(published, campaign, "particles", COLUMNS)
    particles = of_modality(particles, MODALITY)
    known = np.isfinite(column(particles, "soc_mean"))
    counts = particles[known].groupby("scan_id", sort=True).size().astype(float)
    read = _evenly(list(counts.index))
    minutes, energies, pixel_nm = [], [], []
    for scan_id in read:
        dwell_ms, pixels, pitch_nm = _recorded(published, str(scan_id))
        minutes.append(float(dwell_ms.sum()) * pixels / 60_000.0)
        energies.append(float(len(dwell_ms)))
        pixel_nm.append(pitch_nm)
    timed = np.isfinite(minutes) & (np.array(minutes) > 0)
    of_timed = float(counts.loc[list(read)][timed].sum())
    chosen = particles[known]
    return PilotScans(
        n_scans=len(counts),
        n_particles=int(known.sum()),
        particles_per_scan=_median(np.asarray(counts, dtype=np.float64)),
        minutes_per_scan=_median(np.array(minutes)[timed]),
        minutes_per_particle=float(np.array(minutes)[timed].sum() / of_timed) if of_timed else float("nan"),
        energies=_median(np.array(energies)),
        pixel_nm=_median(np.array(pixel_nm)),
        pixels_of_particle=_median(column(chosen, "n_pixels")),
        particle_um=_median(column(chosen, "d_eq_um")),
        thickness_nm=_median(column(chosen, "thickness_nm")),
        soc_se=_median(column(chosen, "soc_se_stat")),
    )


def photons_per_pixel(published: PublishedCampaign, scan_ids: Iterable[str]) -> float:
    """Photons that fell on a pixel of a wide-field scan at all energies together, median over scans.

    Counts of the incident beam over their noise factor: of so many photons the noise is. NaN where no scan has counts.
    """
    photons = []
    for scan_id in _evenly(list(scan_ids)):
        found: AbsorbanceMeasures | None = None
        # What another version has written says nothing here.
        with suppress(StoreError):
            found = published.figures(AbsorbanceMeasures, "absorbance", scan_id)
        if found is not None and found.input == "counts":
            photons.append(float(np.nansum(found.i0_counts / np.maximum(found.noise_factor, LEAST_NOISE_FACTOR))))
    return _median(np.array(photons))


def _recorded(published: PublishedCampaign, scan_id: str) -> tuple[F64, int, float]:
    """Dwell times (ENERGY,) ms, number of pixels, and their pitch in nm; NaN where the output is gone."""
    output = published.output("ingest", scan_id)
    if output is None or "dwell_ms" not in output.arrays():
        return np.full(1, np.nan), 0, float("nan")
    y_um, x_um = output.read("y_um"), output.read("x_um")
    dwell_ms = np.asarray(output.read("dwell_ms"), dtype=np.float64)
    return dwell_ms, len(y_um) * len(x_um), pixel_pitch_nm(y_um, x_um)


def _evenly(scan_ids: Sequence[str]) -> Sequence[str]:
    return scan_ids[:: max(1, -(-len(scan_ids) // MOST_SCANS_READ))]


def _median(values: F64) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")
