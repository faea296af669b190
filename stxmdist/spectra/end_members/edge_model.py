"""Modelled absorption of a cathode across an edge: tabulated continuum, arctangent steps and Gaussian white lines.

Tables of absorption contain no resonances, and just above an L3 edge they differ from one another by up to a factor of
2.6. They are therefore used only well below the edge and far above it; the range between is modelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError

AVOGADRO_PER_MOL = 6.02214076e23
NM_PER_CM = 1e7
_STEP_CHECK_EV = (25.0, 80.0)
"""Energies above the last step, in eV, between which the continuum is taken from the tables again"""


@dataclass(frozen=True)
class Peak:
    """A Gaussian white line; its height is relative to the jump of the edge."""

    energy_ev: float
    sigma_ev: float
    height: float


@dataclass(frozen=True)
class Step:
    """An arctangent step, with its share of the whole jump of the edge."""

    energy_ev: float
    width_ev: float
    share: float = 1.0


@dataclass(frozen=True)
class Edge:
    """An absorption edge of one element: its steps, L3 and L2 or K alone."""

    name: str
    """Such as ``Fe L`` or ``O K``"""
    element: str
    steps: tuple[Step, ...]
    """Ascending in energy"""
    onset_ev: float
    """Energy of the edge in the tables, which are used up to 17 eV below it"""


def mass_absorption(element: str, energy_ev: F64) -> F64:
    """Mass absorption (ENERGY,) float64 in cm2/g of an element, after Chantler as tabulated in xraydb."""
    import xraydb

    return np.asarray(xraydb.mu_chantler(element, np.atleast_1d(energy_ev)), dtype=np.float64)


def atoms_of(formula: str) -> dict[str, float]:
    """Atoms per formula unit, by element, of a formula such as ``LiNi0.8Mn0.1Co0.1O2``.

    Raises
    ------
    InputError
        for a text that is not a chemical formula
    """
    import xraydb

    try:
        atoms = {element: float(number) for element, number in xraydb.chemparse(formula).items()}
    except ValueError:
        atoms = {}
    if not atoms or not all(number > 0.0 for number in atoms.values()):
        raise InputError(
            where="chemical formula",
            problem="this is not a chemical formula",
            got=repr(formula),
            wanted="elements and numbers, such as LiFePO4 or LiNi0.8Mn0.1Co0.1O2",
            mend="Correct the formula",
        )
    return atoms


def molar_mass(atoms: Mapping[str, float]) -> float:
    """Grams per mole of a formula unit."""
    import xraydb

    return float(sum(number * xraydb.atomic_mass(element) for element, number in atoms.items()))


@dataclass(frozen=True, eq=False)
class EdgeParts:
    """Linear absorption of a compound across an edge of one of its elements, as a sum of three parts, in 1/nm."""

    continuum: F64
    """(ENERGY,) the other elements, and the pre-edge absorption of this one"""
    steps: F64
    """(ENERGY,) the jump"""
    lines: F64
    """(LINE, ENERGY) the white lines"""

    @property
    def total(self) -> F64:
        """(ENERGY,) float64 sum of all parts."""
        return np.asarray(self.continuum + self.steps + self.lines.sum(axis=0), dtype=np.float64)


def edge_parts(
    edge: Edge, atoms: Mapping[str, float], lines: tuple[Peak, ...], formula_units_per_cm3: float, energy_ev: F64
) -> EdgeParts:
    """Absorption per nm of a compound with the given number density of formula units, in its parts.

    The element of the edge has mu(E) = pre(E) + J { sum_k s_k S(E; E_k) + sum_i a_i exp(-(E - c_i)^2 / 2 w_i^2) } with
    S(E; E0) = 1/2 + atan((E - E0) / (w/2)) / pi. pre(E) is a power law through the tables below the edge, and the jump
    J is taken from the tables where they are smooth again. The other elements have the absorption of the tables.

    If the number density of the discharged phase is given for both states, the metal is conserved: a thickness then is
    that of the discharged phase with the same amount of metal, whatever the change of volume.
    """
    import xraydb

    units = formula_units_per_cm3 / AVOGADRO_PER_MOL / NM_PER_CM
    grams = {element: number * xraydb.atomic_mass(element) for element, number in atoms.items()}
    own = grams.pop(edge.element) * units
    pre_edge, jump = _continuum(edge, energy_ev)
    others = [weight * units * mass_absorption(element, energy_ev) for element, weight in grams.items()]
    return EdgeParts(
        continuum=own * pre_edge + sum(others),
        steps=own * jump * sum(step.share * _arctangent(step, energy_ev) for step in edge.steps),
        lines=own * jump * np.stack([_gaussian(line, energy_ev) for line in lines]),
    )


def _continuum(edge: Edge, energy_ev: F64) -> tuple[F64, F64]:
    """Mass absorption of the element extrapolated from below its edge, and the jump there, both (ENERGY,) in cm2/g."""
    below = np.linspace(edge.onset_ev - 110.0, edge.onset_ev - 17.0, 40)
    slope, offset = np.polyfit(np.log(below), np.log(mass_absorption(edge.element, below)), 1)
    above = edge.steps[-1].energy_ev + np.linspace(*_STEP_CHECK_EV, 40)
    jump = mass_absorption(edge.element, above) - np.exp(slope * np.log(above) + offset)
    decay, jump_offset = np.polyfit(np.log(above / above[0]), np.log(jump), 1)
    # Below this range the jump is held constant: extrapolating its decay would raise the white lines by a tenth.
    jump_here = np.exp(jump_offset) * np.maximum(energy_ev / above[0], 1.0) ** decay
    return np.exp(slope * np.log(energy_ev) + offset), jump_here


def _arctangent(step: Step, energy_ev: F64) -> F64:
    return np.asarray(0.5 + np.arctan((energy_ev - step.energy_ev) / (step.width_ev / 2.0)) / np.pi, dtype=np.float64)


def _gaussian(line: Peak, energy_ev: F64) -> F64:
    inside = -((energy_ev - line.energy_ev) ** 2) / (2.0 * line.sigma_ev**2)
    return np.asarray(line.height * np.exp(inside), dtype=np.float64)
