"""Fluence and dose: how much light fell on the sample, and how much of it the sample absorbed."""

import numpy as np

from stxmdist.arrays import F32
from stxmdist.units import joule_from_ev


def photons_per_um2(illumination: F32, pixel_nm: tuple[float, float]) -> float:
    """Photons that fell on a square micrometre of the lit field: the median over pixels (Y, X) that are not dim.

    Photons that a detector misses are not known of.
    """
    lit = illumination[illumination > 0.1 * illumination.max()]
    return float(np.median(lit)) / (pixel_nm[0] * pixel_nm[1] * 1e-6)


def absorbed_dose_mgy(photons_per_um2: float, energy_ev: float, mass_absorption_cm2_g: float) -> float:
    """Dose D = F E mu/rho in megagray where the beam enters the sample; it falls with depth as the light does.

    Parameters
    ----------
    photons_per_um2
        fluence F of one energy, as :func:`photons_per_um2` gives it
    mass_absorption_cm2_g
        mu/rho of the sample at that energy; NaN where it is not known, and then the dose is NaN
    """
    joule_per_cm2 = photons_per_um2 * 1e8 * joule_from_ev(energy_ev)
    return joule_per_cm2 * mass_absorption_cm2_g * 1e-3  # a joule per gram is a kilogray
