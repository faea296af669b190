"""Axes of a scan, brought to one convention: micrometres and electronvolts, ascending."""

from pathlib import Path

import numpy as np

from stxmdist.arrays import F64, Index
from stxmdist.errors import InputError
from stxmdist.units import JOULE_PER_EV


def _spelt(symbols: dict[str, float], names: dict[str, float], prefixes: dict[str, float]) -> dict[str, float]:
    """Factors by every spelling of UDUNITS, in which NeXus has its units: symbols, and names with prefix and plural."""
    written = symbols | {f"{prefix}{name}": names[name] * prefixes[prefix] for name in names for prefix in prefixes}
    return written | {f"{name}s": written[name] for name in written if name not in symbols}


_PREFIXES = {"": 1.0, "centi": 1e-2, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12}
UM_PER_UNIT = _spelt(
    {"m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "a": 1e-4, "\u00e5": 1e-4},
    {"meter": 1e6, "metre": 1e6},
    _PREFIXES,
) | _spelt({}, {"micron": 1.0, "angstrom": 1e-4, "\u00e5ngstr\u00f6m": 1e-4}, {"": 1.0})
EV_PER_UNIT = _spelt(
    {"ev": 1.0, "kev": 1e3, "j": 1 / JOULE_PER_EV},
    {"electronvolt": 1.0, "electron volt": 1.0, "joule": 1 / JOULE_PER_EV},
    {"": 1.0, "kilo": 1e3},
)
MS_PER_UNIT = _spelt(
    {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6},
    {"sec": 1e3, "second": 1e3},
    _PREFIXES,
) | _spelt({}, {"msec": 1.0, "usec": 1e-3, "nsec": 1e-6, "min": 6e4, "minute": 6e4}, {"": 1.0})
MA_PER_UNIT = _spelt({"a": 1e3, "ma": 1.0, "ua": 1e-3}, {"amp": 1e3, "ampere": 1e3}, _PREFIXES)
# Beamlines round coordinates to about a hundredth of a step.
UNEVEN = 0.1
# The requested energy and the monochromator's reading differ by up to a few hundredths of an eV.
ENERGY_TOLERANCE_EV = 0.5
# No microscope works below or above; a damaged file, or one in other units, may hold any number.
LEAST_ENERGY_EV, MOST_ENERGY_EV = 1.0, 1e6
MOST_ENERGIES = 1 << 16


def factor_of(unit: str, factors: dict[str, float], where: object) -> float | None:
    """Factor from a unit as written in a file to the unit of stxmdist; None where the file does not say.

    Raises
    ------
    InputError
        for a unit that is not among the known ones.
    """
    name = _plain(unit)
    if not name:
        return None
    if name not in factors:
        raise InputError(
            where=where,
            problem="the unit is not known",
            got=repr(unit),
            wanted="a unit such as " + ", ".join(list(factors)[:5]),
            mend="Correct the unit in the file",
        )
    return factors[name]


def factor_if_known(unit: str, factors: dict[str, float]) -> float | None:
    """As `factor_of`, for what a scan can do without: NaN for a unit that is not among the known ones."""
    name = _plain(unit)
    return factors.get(name, float("nan")) if name else None


def _plain(unit: str) -> str:
    """A unit in small letters, with single blanks and without brackets; micro is u."""
    # Both the micro sign and the Greek letter are in use.
    name = unit.strip(" \t[]()").lower().replace("\u00b5", "u").replace("\u03bc", "u")
    return " ".join(name.replace("_", " ").split())


def ascending(values: F64, name: str, where: Path) -> tuple[F64, bool, tuple[str, ...]]:
    """Coordinates (PIXEL,) in ascending order, whether they had to be reversed, and what is worth noting of them.

    Raises
    ------
    InputError
        if they neither ascend nor descend, or are not finite.
    """
    steps = np.diff(values)
    usable = values.ndim == 1 and values.size > 0 and bool(np.isfinite(values).all())
    if not usable or not ((steps > 0).all() or (steps < 0).all()):
        raise InputError(
            where=where,
            problem=f"the coordinates {name} are not an axis",
            got=f"shape {values.shape}, {_few(values)}",
            wanted="numbers that only ascend or only descend",
            mend="Export the scan again; if two of them are equal, correct the header",
        )
    notes: list[str] = []
    flipped = bool(values.size > 1 and steps[0] < 0)
    if flipped:
        values = np.ascontiguousarray(values[::-1])
        notes.append(f"{name} descends in the file: reversed")
    if values.size > 2 and np.ptp(steps) > UNEVEN * abs(np.median(steps)):
        notes.append(f"{name} is not evenly spaced: steps of {np.abs(steps).min():g} to {np.abs(steps).max():g} um")
    return values, flipped, tuple(notes)


def energy_order(energy_ev: F64, where: Path) -> tuple[Index, tuple[str, ...]]:
    """Order (ENERGY,) in which photon energies ascend, and what is worth noting: unsorted or repeated ones.

    Raises
    ------
    InputError
        for energies that are not finite, that no microscope has, or more of them than any scan has.
    """
    usable = energy_ev.ndim == 1 and 0 < energy_ev.size <= MOST_ENERGIES and bool(np.isfinite(energy_ev).all())
    if not usable or energy_ev.min() < LEAST_ENERGY_EV or energy_ev.max() > MOST_ENERGY_EV:
        raise InputError(
            where=where,
            problem="the photon energies cannot be used",
            got=f"shape {energy_ev.shape}, {_few(energy_ev)}",
            wanted=f"at most {MOST_ENERGIES} numbers from {LEAST_ENERGY_EV:g} to {MOST_ENERGY_EV:g} eV",
            mend="Correct them in the file or its header",
        )
    order = np.argsort(energy_ev, kind="stable")
    notes: list[str] = []
    if (np.diff(energy_ev) < 0).any():
        notes.append("photon energies did not ascend in the file: sorted")
    repeated = np.unique(energy_ev[order][1:][np.diff(energy_ev[order]) == 0])
    if repeated.size:
        notes.append(
            "repeated energies, every frame of them is kept and fitted: "
            + ", ".join(f"{energy:g} eV" for energy in repeated)
        )
    return order, tuple(notes)


def _few(values: F64) -> str:
    return np.array2string(values.reshape(-1)[:6], precision=4, separator=", ") + (" ..." if values.size > 6 else "")
