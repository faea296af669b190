"""What an SDF stack runs over, and at which photon energies its frames were taken.

The axis of a stack may be called Energy and hold a magnetic field: MAXYMUS writes what was scanned into ScanningStage.
Where the axis is none of energies, the energy of a single image is the monochromator's.
"""

import re
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers import axes
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.conversions import Converted, energies_ev
from stxmdist.readers.plausible import look_like_kev
from stxmdist.readers.sdf.frames import Frames
from stxmdist.readers.sdf.header import (
    MOST_PLANNED,
    Header,
    frame_entries,
    lacking,
    number_of,
    points_of,
    structure_of,
    text_of,
)

# Below this a reading stands for unknown: converters write -5, idle monochromators 0.
LEAST_READING_EV = 1.0
NO_ENERGY = re.compile(
    r"field|magnet|time|delay|pump|phase|angle|rotation|coarse ?r|theta|temperature|polari[sz]|voltage|bias|current"
    r"|frequency|zone ?plate|focus",
    re.IGNORECASE,
)
OTHER_UNITS = ("t", "mt", "oe", "g", "s", "ms", "us", "ns", "ps", "fs", "deg", "degree", "rad", "k", "v", "a", "ma")


def runs_over(header: Header) -> str:
    """What the frames of a stack run over, in words; empty for photon energy."""
    axis = structure_of(header.definition, "StackAxis")
    name, unit = text_of(axis, "Name").strip(), text_of(axis, "Unit").strip()
    stage = text_of(structure_of(header.content, "ImageScan"), "ScanningStage").strip()
    if unit.lower() in axes.EV_PER_UNIT:
        return ""
    other = next((word for word in (stage, name) if NO_ENERGY.search(word)), "")
    if not other and (unit.lower() in OTHER_UNITS or "energy" not in name.lower()):
        other = name
    return f"{other} ({unit})" if other and unit else other


def energies_said(header: Header) -> list[float]:
    """Requested photon energies in eV; those of a line or point scan lie on one of its two axes."""
    if runs_over(header):
        reading = _monochromator_ev(header)
        return [] if reading is None else [reading]
    along = (structure_of(header.regions[0], name) for name in ("PAxis", "QAxis"))
    for axis in (structure_of(header.definition, "StackAxis"), *along):
        points = points_of(axis)
        if text_of(axis, "Name").strip().lower() == "energy" and points.size:
            kev = text_of(axis, "Unit").strip().lower() == "kev" or look_like_kev(points)
            return [float(point) * (1e3 if kev else 1.0) for point in points]
    return []


def energies(path: Path, header: Header, frames: Frames, region: int, choices: ReadChoices) -> Converted:
    """Photon energy (ENERGY,) in eV by frame number, notes, and what is lacking.

    Raises
    ------
    InputError
        for more frames than energies, and where nothing says the energy of a single image.
    """
    axis = structure_of(header.definition, "StackAxis")
    other = runs_over(header)
    if other or not points_of(axis).size:
        return _of_monochromator(path, header, region, other)
    listed, notes = _listed(path, header, frames, points_of(axis))
    found = energies_ev(listed, text_of(axis, "Unit"), "StackAxis", choices, f"{path}: StackAxis")
    return Converted(found.values, notes + found.notes + _away(header, region, found.values), found.lacks)


def _listed(path: Path, header: Header, frames: Frames, listed: F64) -> tuple[F64, tuple[str, ...]]:
    """Energies of the axis, or those that were asked for where there are frames of more."""
    if max(frames) < listed.size:
        return listed, ()
    # A header cut down to the frames that were kept still says in EnergyRegions what was asked for.
    planned = _planned(header)
    if max(frames) >= planned.size or not all(np.isclose(planned, energy, atol=1e-3).any() for energy in listed):
        raise _too_many(path, frames, listed.size)
    said = f"StackAxis lists {listed.size} energies and frames go up to {max(frames):03d}"
    return planned, (f"{said}: the {planned.size} energies of EnergyRegions are taken",)


def _too_many(path: Path, frames: Frames, n_energies: int) -> InputError:
    return InputError(
        where=path,
        problem="there are more frames than photon energies",
        got=f"{frames[max(frames)].name} beside a header with {n_energies} energies",
        wanted=f"frames numbered 0 to {n_energies - 1}",
        mend="Bring header and frames of the same scan together",
    )


def _of_monochromator(path: Path, header: Header, region: int, other: str) -> Converted:
    """The photon energy of a single image whose stack axis holds none."""
    entries = frame_entries(header, region)
    planned = number_of(header.energy_regions[0], "StartEnergy") if header.energy_regions and not other else None
    found = (number_of(entries.get(0, {}), "Energy"), planned)
    readings = [reading for value in found if (reading := _reading_ev(value)) is not None]
    at_start = _monochromator_ev(header)
    if not readings and at_start is None:
        raise lacking(path, "photon energy: neither ScanDefinition.StackAxis.Points nor Monochromator.LastPosition")
    energy_ev = np.array([readings[0] if readings else at_start], np.float64)
    if other:
        note = f"StackAxis is {other}: the photon energy is the monochromator's reading"
        return Converted(energy_ev, notes=(note,))
    return Converted(energy_ev, lacks=("StackAxis (the energy is the monochromator's reading)",))


def _monochromator_ev(header: Header) -> float | None:
    return _reading_ev(number_of(structure_of(header.content, "Monochromator"), "LastPosition"))


def _reading_ev(value: float | None) -> float | None:
    """A monochromator's reading in eV; None for a number that stands for none."""
    if value is None or not np.isfinite(value) or value < LEAST_READING_EV:
        return None
    return value * 1e3 if look_like_kev(np.array([value])) else value


def _away(header: Header, region: int, energy_ev: F64) -> tuple[str, ...]:
    """A note where the monochromator stood elsewhere than it was asked to."""
    entries = frame_entries(header, region).items()
    readings = [(index, _reading_ev(number_of(entry, "Energy"))) for index, entry in entries if index < energy_ev.size]
    away = [abs(reading - energy_ev[index]) for index, reading in readings if reading is not None]
    most = max(away, default=0.0)
    if most <= axes.ENERGY_TOLERANCE_EV:
        return ()
    return (f"the monochromator's reading differs from the requested energy by up to {most:.2f} eV",)


def _planned(header: Header) -> F64:
    """Photon energies (ENERGY,) in eV that the energy regions ask for."""
    energies: list[float] = []
    for region in header.energy_regions:
        start, stop, points = number_of(region, "StartEnergy"), number_of(region, "EndEnergy"), region.get("Points")
        left = MOST_PLANNED - len(energies)
        if not isinstance(points, int) or not 0 < points <= left or start is None or stop is None:
            return np.empty(0)
        energies += np.linspace(start, stop, points).tolist()
    return np.array(energies)
