"""From the optical density of a reference sample to mass absorption, matched to tables where these are reliable.

Tables contain no white lines, and just above an L3 edge they differ by up to a factor of 2.6 (at 712 eV iron has 12200
cm2/g after Chantler and 7150 after Elam). Below the edge, and from 25 eV above its last step on, they agree within 5 %.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.edge_model import atoms_of, mass_absorption, molar_mass

_BELOW_L_EV = 2.8
"""How far the first rise of a white line lies below the tabulated L3 edge: at 704 eV for iron"""
_BELOW_K_EV = 16.0
"""The same for the K edge of oxygen, whose pre-edge begins far below the tabulated edge"""
_ABOVE_EV, _ABOVE_AT_LEAST_EV = 25.0, 7.0
"""Above the last step, where tables are used from; and where they are used from if the spectrum ends before that"""
TABLES_SD, _NEAR_SD = 0.05, 0.09
"""Relative error of the tables, common to all spectra of an edge; and what a spectrum that ends early adds by itself"""
_BACKGROUND_EXPONENT = 3.0
_LEAST_ENERGIES = 2


@dataclass(frozen=True, eq=False)
class MassScale:
    """Areal density of a reference sample, found from its own spectrum, and its mass absorption."""

    mass_absorption_cm2_g: F64
    """(ENERGY,) float64 mu/rho of the compound, without the background"""
    areal_density_g_cm2: float
    """Density times thickness, rho t"""
    relative_sd: float
    """Relative error of the areal density, in addition to ``TABLES_SD``, which is common to all spectra of an edge"""
    background_od: float
    """Optical density before the edge of film, gas or an offset; negative if too much was subtracted"""
    metal: str
    """The element whose edge the spectrum crosses"""
    near: bool
    """Whether the spectrum ends before the range in which tables agree within 5 %"""


def scale_to_mass(energy_ev: F64, od: F64, formula: str, where: str = "reference") -> MassScale:
    """Mass absorption of a compound from the optical density (ENERGY,) of a sample of unknown thickness.

    Before the edge and far above it, OD(E) = rho t mu(E) + b (E0/E)^3, with mu from Chantler's tables (xraydb), is
    solved by least squares for the areal density rho t and the background b. Between them the measured spectrum is
    used.

    Raises
    ------
    InputError
        for a formula without an edge within the energies, too few energies where tables are reliable, and an optical
        density that does not rise over the edge
    """
    atoms = atoms_of(formula)
    edges = _edges_within(atoms, float(energy_ev[0]), float(energy_ev[-1]))
    if not edges:
        raise InputError(
            where=where,
            problem="the spectrum crosses no edge of its compound, so the amount of the compound cannot be found",
            got=f"{energy_ev[0]:.1f} to {energy_ev[-1]:.1f} eV of {formula}",
            wanted="an L3 or K edge of one of its elements in between",
            mend="Correct the formula, or leave formulas and density_g_cm3 out",
        )
    first, last = edges[0][1], max(edge[2] for edge in edges)
    before = energy_ev <= first
    after = energy_ev >= last + _ABOVE_EV
    near = int(after.sum()) < _LEAST_ENERGIES
    if near:
        after = energy_ev >= last + _ABOVE_AT_LEAST_EV
    if before.sum() < _LEAST_ENERGIES or after.sum() < _LEAST_ENERGIES:
        raise InputError(
            where=where,
            problem="the spectrum is too short to be scaled to tables, which contain no white lines",
            got=f"{int(before.sum())} energies up to {first:.1f} eV, {int(after.sum())} from "
            f"{last + _ABOVE_AT_LEAST_EV:.1f} eV on",
            wanted=f"{_LEAST_ENERGIES} or more of each, better from {last + _ABOVE_EV:.1f} eV on",
            mend="Give a longer spectrum, or leave formulas and density_g_cm3 out",
        )
    grams = {element: number * molar_mass({element: 1.0}) for element, number in atoms.items()}
    tables = sum(part * mass_absorption(element, energy_ev) for element, part in grams.items()) / sum(grams.values())
    background = (energy_ev.mean() / energy_ev) ** _BACKGROUND_EXPONENT
    # Both sides of the edge have the same weight, however many energies they have.
    weight = np.sqrt(before / before.sum() + after / after.sum())
    # In units of 1e4 cm2/g both columns are of the order of one.
    design = np.stack([np.asarray(tables) * 1e-4, background], axis=1)
    solve = np.linalg.pinv(design * weight[:, None]) * weight
    solution = solve @ od
    left = od - design @ solution
    noise = sum(np.where(part, np.var(left[part]), 0.0) for part in (before, after))
    areal, level = float(solution[0]) * 1e-4, float(solution[1])
    scatter = float(np.sqrt(np.sum(solve[0] ** 2 * noise))) * 1e-4
    if not areal > 3.0 * scatter:
        raise InputError(
            where=where,
            problem="the optical density does not rise over the edge",
            got=f"{areal * 1e6:.3g} +- {scatter * 1e6:.2g} ug/cm2 of {formula} from below to above",
            wanted="more than three times its error",
            mend="Give the optical density of the reference sample, not transmission and not a difference",
        )
    relative = float(np.hypot(scatter / areal, _NEAR_SD if near else 0.0))
    mu = (od - level * background) / areal
    return MassScale(np.asarray(mu, dtype=np.float64), areal, relative, level, edges[0][0], near)


def _edges_within(atoms: dict[str, float], low_ev: float, high_ev: float) -> list[tuple[str, float, float]]:
    """Element, last energy before the edge at which tables are used, and last step, of each edge in a range."""
    import xraydb

    found = []
    for element in atoms:
        edges = xraydb.xray_edges(element)
        for name, last, margin in (("L3", "L2", _BELOW_L_EV), ("K", "K", _BELOW_K_EV)):
            if name in edges and low_ev < edges[name].energy < high_ev:
                found.append((element, edges[name].energy - margin, edges[last].energy))
    return sorted(found, key=lambda edge: edge[1])
