"""Phase shift of the end-members, computed from their absorption by the Kramers-Kronig relation."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.edge_model import AVOGADRO_PER_MOL, NM_PER_CM, molar_mass
from stxmdist.spectra.end_members.references import EndMembers

ELECTRON_RADIUS_NM = 2.8179403e-6
EV_NM = 1239.842
_STEP_EV = 0.05
_OUTSIDE_POINTS = 2000
_FROM_EV, _TO_EV = 12.0, 400_000.0


def phase_per_nm(end_members: EndMembers, energy_ev: F64, shift_ev: float = 0.0) -> F64:
    """Phase -k delta (COMPONENT, ENERGY) float64 in radians that one nm of each end-member adds to the transmission.

    With F2 = mu / (2 r_e lambda) the scattering factor f2 per nm3, and Z* = Z - (Z/82.5)^2.37 electrons per nm3,

        F1(E) = Z* + (2/pi) P int E' F2(E') / (E^2 - E'^2) dE',    k delta = r_e lambda F1,

    where F2 comes from the end-members within their range and from Chantler's tables (xraydb) outside. The principal
    value is a midpoint sum: the energies lie midway between the nodes, so that terms antisymmetric about them cancel.
    ``energy_ev`` (ENERGY,) is the scan's energy axis, ``shift_ev`` is added to it.

    Raises
    ------
    InputError
        if the composition of the end-members is not known (references from files), or energies leave their range
    """
    energy = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64)) + shift_ev
    end_members.at(energy)
    formulae = _compositions(end_members)
    low, high = end_members.energy_ev[[0, -1]]
    # The result is computed at whole steps, the nodes of the integral lie at half steps.
    steps = int(np.ceil((high - low) / _STEP_EV))
    nodes = low + (high - low) / steps * (np.arange(steps) + 0.5)
    points = low + (high - low) / steps * np.arange(steps + 1)
    outside = [np.geomspace(_FROM_EV, low, _OUTSIDE_POINTS), np.geomspace(high, _TO_EV, _OUTSIDE_POINTS)]
    result = np.empty((len(formulae), energy.size))
    for component, (formula, per_nm3) in enumerate(formulae):
        inside = end_members.at(nodes)[component] / (2.0 * ELECTRON_RADIUS_NM * EV_NM / nodes)
        strength = _integral(points, nodes, inside, (high - low) / steps)
        for part in outside:
            middle = np.sqrt(part[1:] * part[:-1])
            strength = strength + _integral(points, middle, per_nm3 * _f2(formula, middle), np.diff(part))
        strength = strength * 2.0 / np.pi + per_nm3 * _electrons(formula)
        # At the ends of the range table and end-member differ by a jump, where the integral has no value.
        result[component] = np.interp(energy, points[1:-1], strength[1:-1])
    return -ELECTRON_RADIUS_NM * EV_NM / energy * result


def _integral(points: F64, nodes: F64, strength: F64, width: F64 | float) -> F64:
    total = np.zeros_like(points)
    weighted = nodes * strength * width
    for number, energy in enumerate(points):
        total[number] = np.sum(weighted / (energy**2 - nodes**2))
    return total


def _compositions(end_members: EndMembers) -> list[tuple[Mapping[str, float], float]]:
    """Atoms per formula unit and formula units per nm3 of each end-member."""
    import xraydb

    if end_members.density_g_cm3 is None or end_members.thickness_unit != "nm":
        raise InputError(
            where=f"references ({end_members.source})",
            problem="the phase of these references cannot be computed",
            got="the absorption of samples whose composition and density are not known",
            wanted="end-members per nm with their density",
            mend="Use the built-in end-members of the chemistry, or a fitter that needs no phase (poisson)",
        )
    found = []
    for name, density in zip(end_members.names, end_members.density_g_cm3, strict=True):
        formula = xraydb.chemparse(name)
        units = density / molar_mass(formula) * AVOGADRO_PER_MOL / NM_PER_CM**3
        found.append((formula, units))
    return found


def _electrons(formula: Mapping[str, float]) -> float:
    import xraydb

    numbers = {element: xraydb.atomic_number(element) for element in formula}
    return float(sum(n * (numbers[e] - (numbers[e] / 82.5) ** 2.37) for e, n in formula.items()))


def _f2(formula: Mapping[str, float], energy_ev: F64) -> F64:
    import xraydb

    return np.asarray(sum(n * xraydb.f2_chantler(element, energy_ev) for element, n in formula.items()))
