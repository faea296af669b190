"""Physical constants and the conversions between the units of files (SI) and of people (eV, nm, um, ms)."""

from math import pi

HC_EV_NM = 1239.841984
"""Planck's constant times the speed of light, eV nm (CODATA 2018)."""

JOULE_PER_EV = 1.602176634e-19
"""The elementary charge in coulomb, exact since the SI of 2019."""
CLASSICAL_ELECTRON_RADIUS_NM = 2.8179403262e-6
"""e^2 / (4 pi epsilon_0 m_e c^2) in nm (CODATA 2018)."""


def wavelength_nm(energy_ev: float) -> float:
    """Photon wavelength in nm of a photon energy in eV."""
    return HC_EV_NM / energy_ev


def wavenumber_per_nm(energy_ev: float) -> float:
    """Angular wavenumber 2 pi / lambda in 1/nm of a photon energy in eV."""
    return 2.0 * pi / wavelength_nm(energy_ev)


def ev_from_joule(energy_joule: float) -> float:
    """Photon energy in eV, from SI as CXI files write it."""
    return energy_joule / JOULE_PER_EV


def joule_from_ev(energy_ev: float) -> float:
    """Photon energy in joule, as CXI files want it."""
    return energy_ev * JOULE_PER_EV
