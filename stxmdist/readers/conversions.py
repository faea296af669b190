"""Positions in um and photon energies in eV: by the unit that a file says, that was chosen, or that makes sense."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers.axes import EV_PER_UNIT, UM_PER_UNIT, factor_of
from stxmdist.readers.choices import POSITION_UNITS, ReadChoices
from stxmdist.readers.plausible import look_like_kev, unit_of_positions


@dataclass(frozen=True)
class Converted:
    """Numbers of a file in the unit of stxmdist, and how they came there."""

    values: F64
    notes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


def positions_um(values: F64, unit: str, name: str, choices: ReadChoices, where: object) -> Converted:
    """Positions (PIXEL,) in um.

    Raises
    ------
    InputError
        for a unit that is not known, where none was chosen.
    """
    factor = _said(unit, UM_PER_UNIT, choices.position_unit, "position_unit", where)
    if factor is not None:
        return Converted(values * factor)
    if choices.position_unit is not None:
        note = f"{name} is taken in {choices.position_unit}, as was chosen"
        return Converted(values * UM_PER_UNIT[choices.position_unit], notes=(note,))
    taken = unit_of_positions(values, {unit: UM_PER_UNIT[unit] for unit in POSITION_UNITS})
    otherwise = f": in um its step would be {np.median(np.abs(np.diff(values))):g} um" if taken != "um" else ""
    return Converted(values * UM_PER_UNIT[taken], lacks=(f"unit of {name} (taken as {taken}{otherwise})",))


def energies_ev(values: F64, unit: str, name: str, choices: ReadChoices, where: object) -> Converted:
    """Photon energies (ENERGY,) in eV.

    Raises
    ------
    InputError
        for a unit that is not known, where none was chosen.
    """
    factor = _said(unit, EV_PER_UNIT, choices.energy_unit, "energy_unit", where)
    if factor is None and choices.energy_unit is not None:
        factor = EV_PER_UNIT[choices.energy_unit.lower()]
        return Converted(values * factor, notes=(f"{name} is taken in {choices.energy_unit}, as was chosen",))
    if factor not in (None, 1.0):
        return Converted(values * factor, notes=(f"{name} is in {unit.strip()}: converted to eV",))
    if choices.energy_unit is None and look_like_kev(values):
        said = "" if factor is None else f", though the unit is {unit.strip()}"
        span = " to ".join(f"{energy:g}" for energy in dict.fromkeys((np.nanmin(values), np.nanmax(values))))
        note = f"{name}, {span}: these look like keV{said}, and are multiplied by 1000"
        return Converted(values * 1e3, notes=(note,))
    return Converted(values, lacks=() if factor is not None else (f"unit of {name} (taken as eV)",))


def _said(unit: str, factors: dict[str, float], chosen: str | None, option: str, where: object) -> float | None:
    """Factor of the unit that a file says; None where it says none, or an unknown one and another was chosen."""
    try:
        return factor_of(unit, factors, where)
    except InputError as error:
        if chosen is not None:
            return None
        raise InputError(
            where=where,
            problem=error.problem,
            got=error.got,
            wanted=error.wanted,
            mend=f"{error.mend}, or say what it is with ingest: {option}",
        ) from None
