"""L-edge absorption of a cathode that nobody measured: tabulated continuum, arctangent steps, Gaussian white lines.

The tables know no resonances, and just above an L3 edge they disagree with one another by up to a factor of 2.6.
They are therefore used only well below the edge and far above it; everything between is modelled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AVOGADRO_PER_MOL = 6.02214076e23
NM_PER_CM = 1e7
_STEP_CHECK_EV = (25.0, 80.0)
"""Where above L2 the continuum is again what the tables say, eV"""


@dataclass(frozen=True)
class Peak:
    """A Gaussian white line; its height is in units of the L-edge jump."""

    energy_ev: float
    sigma_ev: float
    height: float


@dataclass(frozen=True)
class EdgeShape:
    """The L2,3 absorption of one metal in one state of charge."""

    formula: dict[str, float]
    """Atoms per formula unit"""
    peaks: tuple[Peak, ...]


@dataclass(frozen=True)
class Edge:
    """A metal's L2,3 edge: positions and widths of its two arctangent steps, in eV."""

    metal: str
    l3_ev: float
    l2_ev: float
    l3_width_ev: float
    l2_width_ev: float
    onset_ev: float
    """Where the tables place L3; they are not believed from 10 eV below it"""


def mass_absorption(element: str, energy_ev: Floats) -> Floats:
    """Mass absorption (ENERGY,) float64 in cm2/g of an element, after Chantler as tabulated in xraydb."""
    import xraydb

    return np.asarray(xraydb.mu_chantler(element, np.atleast_1d(energy_ev)), dtype=np.float64)


def molar_mass(formula: dict[str, float]) -> float:
    """Grams per mole of a formula unit."""
    import xraydb

    return float(sum(number * xraydb.atomic_mass(element) for element, number in formula.items()))


def metal_absorption(edge: Edge, peaks: tuple[Peak, ...], energy_ev: Floats) -> Floats:
    """Mass absorption (ENERGY,) float64 in cm2/g of the metal across its L2,3 edge.

    mu(E) = pre(E) + J { 2/3 S(E; L3) + 1/3 S(E; L2) + sum_i a_i exp(-(E - c_i)^2 / 2 w_i^2) } with
    S(E; E0) = 1/2 + atan((E - E0) / (w/2)) / pi, pre(E) a power law through the tables below the edge, and the jump J
    read where the tables are smooth again.
    """
    below = np.linspace(edge.onset_ev - 110.0, edge.onset_ev - 17.0, 40)
    slope, offset = np.polyfit(np.log(below), np.log(mass_absorption(edge.metal, below)), 1)

    def pre_edge(energy: Floats) -> Floats:
        return np.asarray(np.exp(slope * np.log(energy) + offset), dtype=np.float64)

    above = edge.l2_ev + np.linspace(*_STEP_CHECK_EV, 40)
    jump = mass_absorption(edge.metal, above) - pre_edge(above)
    decay, jump_offset = np.polyfit(np.log(above / above[0]), np.log(jump), 1)
    # Between the edges the jump is held constant: its decay, extrapolated, would raise the white lines by a tenth.
    jump_here = np.exp(jump_offset) * np.maximum(energy_ev / above[0], 1.0) ** decay
    shape = (
        2.0 / 3.0 * _step(energy_ev, edge.l3_ev, edge.l3_width_ev)
        + _step(energy_ev, edge.l2_ev, edge.l2_width_ev) / 3.0
    )
    for peak in peaks:
        shape = shape + peak.height * np.exp(-((energy_ev - peak.energy_ev) ** 2) / (2.0 * peak.sigma_ev**2))
    return np.asarray(pre_edge(energy_ev) + jump_here * shape, dtype=np.float64)


def linear_absorption(edge: Edge, shape: EdgeShape, formula_units_per_cm3: float, energy_ev: Floats) -> Floats:
    """Absorption (ENERGY,) float64 per nm of a compound with the given number density of formula units.

    Giving the discharged phase's number density for both states conserves the metal: a thickness then means how
    thick the same metal would be as the discharged phase, whatever the volume change.
    """
    import xraydb

    grams_per_unit = {element: number * xraydb.atomic_mass(element) for element, number in shape.formula.items()}
    per_unit = np.zeros_like(energy_ev)
    for element, grams in grams_per_unit.items():
        if element == edge.metal:
            per_unit += grams * metal_absorption(edge, shape.peaks, energy_ev)
        else:
            per_unit += grams * mass_absorption(element, energy_ev)
    return per_unit * formula_units_per_cm3 / AVOGADRO_PER_MOL / NM_PER_CM


def _step(energy_ev: Floats, centre_ev: float, width_ev: float) -> Floats:
    return np.asarray(0.5 + np.arctan((energy_ev - centre_ev) / (width_ev / 2.0)) / np.pi, dtype=np.float64)
