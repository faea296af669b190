"""The design matrix of a fit: optical density per unit of each coefficient, from the end-members and a background.

Its columns are called terms: the discharged and the charged end-member and, where asked for, a constant and a power law
for whatever else absorbs.
"""

from typing import Literal

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.references import EndMembers

Background = Literal["none", "constant", "power_law"]

MOST_TERMS = 4
"""The kernels have no room for more"""
POWER_LAW_EXPONENT = 3.0
_WORST_CONDITION = 1e4


def design_matrix(
    end_members: EndMembers, energy_ev: F64, shift_ev: float = 0.0, background: Background = "none"
) -> F64:
    """Optical density (ENERGY, TERM) float64 per unit of each coefficient: discharged, charged, constant, power law.

    ``background="constant"`` adds a third term, ``"power_law"`` a third and a fourth, (E0/E)^3 - 1 with E0 the mean
    energy, for what is not the cathode: carbon, binder, a neighbouring edge's tail (larch's and Mantis' usual
    choice).

    Raises
    ------
    InputError
        where the energies leave the end-members, are fewer than the terms, or do not distinguish the terms
    """
    energy = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64))
    design = np.concatenate([end_members.at(energy, shift_ev).T, background_columns(energy, background)], axis=1)
    check_design(design, where=f"fit with {end_members.names[0]} and {end_members.names[1]}")
    return design


def design_slope(
    end_members: EndMembers, energy_ev: F64, shift_ev: float = 0.0, background: Background = "none"
) -> F64:
    """Derivative of ``design_matrix`` by the energy of the end-members, (ENERGY, TERM) float64 per eV.

    A symmetric difference over 0.05 eV, one-sided at the ends of the references; 0 for background terms.
    """
    low, high = end_members.energy_ev[[0, -1]]
    at = np.clip(np.asarray(energy_ev, dtype=np.float64) + shift_ev, low, high)
    below, above = np.clip(at - 0.025, low, high), np.clip(at + 0.025, low, high)
    slope = ((end_members.at(above) - end_members.at(below)) / (above - below)).T
    flat = np.zeros_like(background_columns(np.asarray(energy_ev, dtype=np.float64), background))
    return np.concatenate([slope, flat], axis=1)


def background_columns(energy_ev: F64, background: Background) -> F64:
    """Terms (ENERGY, 0 to 2) float64 for what is not the cathode: a constant, and (E0/E)^3 - 1 with E0 the mean energy.

    Raises
    ------
    InputError
        for a background of another name
    """
    columns = []
    if background not in ("none", "constant", "power_law"):
        raise InputError(
            where="fit options",
            problem="there is no background of this kind",
            got=repr(background),
            wanted="none, constant or power_law",
            mend="Choose one of those",
        )
    if background != "none":
        columns.append(np.ones_like(energy_ev))
    if background == "power_law":
        columns.append((energy_ev.mean() / energy_ev) ** POWER_LAW_EXPONENT - 1.0)
    return np.stack(columns, axis=1) if columns else np.empty((energy_ev.size, 0))


def check_design(design: F64, where: str = "fit") -> None:
    """Refuse a design (ENERGY, TERM) that cannot be solved.

    Raises
    ------
    InputError
        for more terms than energies or than the kernels have room for, values that are not finite, and terms that are
        nearly proportional
    """
    n_energies, n_terms = design.shape
    if n_terms > MOST_TERMS or n_energies < n_terms:
        raise InputError(
            where=where,
            problem="there are fewer energies than unknowns" if n_energies < n_terms else "too many terms",
            got=f"{n_energies} energies for {n_terms} terms",
            wanted=f"at least as many energies as terms, and at most {MOST_TERMS} terms",
            mend="Fit fewer terms (background: none) or measure more energies",
        )
    finite = bool(np.isfinite(design).all())
    condition = condition_number(design) if finite else float("inf")
    if not condition < _WORST_CONDITION:
        raise InputError(
            where=where,
            problem="the energies measured cannot tell the terms of the fit apart",
            got=f"condition number {condition:.3g}",
            wanted=f"below {_WORST_CONDITION:g}",
            mend="Use end-members that differ, add energies across the edge, or fit without background",
        )


def condition_number(design: F64) -> float:
    """Ratio of the largest to the smallest singular value of a design (ENERGY, TERM) whose columns are scaled to
    length 1.
    """
    length = np.linalg.norm(design, axis=0)
    if not np.all(length > 0.0):
        return float("inf")
    return float(np.linalg.cond(design / length))
